"""Compare two bundles side by side, or two recipes setting by setting."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from hstu_preserve.bundle.results import read_results
from hstu_preserve.errors import UsageError
from hstu_preserve.gin_recipes.differences import RecipeDiff, RecipeSide, compare_recipes
from hstu_preserve.gin_recipes.reader import read_chain
from hstu_preserve.gin_recipes.resolve import resolve
from hstu_preserve.library.sources import Form, Source, obtain
from hstu_preserve.library.targets import find_recipe
from hstu_preserve.primitives.given_paths import as_path
from hstu_preserve.primitives.json_values import Json, flatten
from hstu_preserve.primitives.voice import SILENT, Voice
from hstu_preserve.records.evaluation import EvaluationRecord, ResultsRecord
from hstu_preserve.records.evaluation_kind import EvaluationKind
from hstu_preserve.records.manifest import NO_RUN, AnyManifest, Manifest, MigratedManifest
from hstu_preserve.records.record import Record
from hstu_preserve.records.results import BundleDiff, Difference

NUMBERS = frozenset({"claims", "metrics", "curve"})
"""The sections whose values are numbers of the bundle's kind of evaluation."""


def diff(
    left: str | Path, right: str | Path, *, gin_root: str | Path | None = None, voice: Voice = SILENT
) -> BundleDiff | RecipeDiff:
    """Compare the records of two bundles or run directories, or two recipes; bytes are not verified.

    If either side is a gin file or the id of one of our recipes, recipes and claims are compared, by their gin names.

    Args:
        left: A bundle, run directory, `sample`, a gin file, the id of a recipe or of the catalog, or an `hf://`
            address; a published bundle is fetched if it is not here.
        right: Another one.
        gin_root: The folder that a gin file's includes may not leave.
        voice: Shows the transfer, in bytes; before it begins, names the file and its size.

    Returns:
        Every difference by section; none if the two are the same bundle, or the same recipe and claims.

    Raises:
        MissingPathError: Nothing is at one of the paths.
        RecipeError: A gin chain does not resolve.
        UsageError: A recipe is to be compared with what has none.
        ContentError: A manifest cannot be read.
    """
    targets, root = (str(left), str(right)), as_path(gin_root)
    if any(map(find_recipe, targets)):
        ours, theirs = (take_recipe(target, root=root, voice=voice) for target in targets)
        return compare_recipes(ours, theirs)
    return compare_bundles(*(obtain(target, voice=voice) for target in targets), targets=targets)


def take_recipe(target: str, *, root: Path | None, voice: Voice) -> RecipeSide:
    """Return the recipe that a gin chain resolves to, or that a bundle or run directory records.

    Raises:
        UsageError: It was made from a legacy archive, which has no recipe of this program.
    """
    chain = find_recipe(target)
    if chain is not None:
        resolution = resolve(read_chain(chain, root=root))
        return RecipeSide(name=target, recipe=resolution.recipe, policies=resolution.policies)
    source = obtain(target, voice=voice)
    if source.form in {Form.LEGACY, Form.MIGRATED}:
        raise UsageError(f"{target}: a legacy archive, {NO_RUN}")
    run = source.require_manifest().manifest.run
    return RecipeSide(name=target, recipe=run.recipe, policies=run.policies)


def compare_bundles(left: Source, right: Source, *, targets: tuple[str, str]) -> BundleDiff:
    """Return every difference of two bundles' records, by section."""
    stored = [source.require_manifest() for source in (left, right)]
    kinds = [find_kind(side.record) for side in stored]
    apart = kinds if kinds[0] is not kinds[1] else [None, None]
    ours, theirs = (
        describe_side(source.path, side.record, apart=kind)
        for source, side, kind in zip((left, right), stored, apart, strict=True)
    )
    differences = (
        one
        for section in {**ours, **theirs}
        for one in compare_section(section, ours.get(section), theirs.get(section))
    )
    return BundleDiff(
        left=targets[0],
        right=targets[1],
        left_identity=stored[0].identity,
        right_identity=stored[1].identity,
        differences=tuple(differences),
    )


def find_kind(manifest: AnyManifest) -> EvaluationKind | None:
    """Return the kind of evaluation of a run; None of a legacy archive, which records none."""
    return manifest.run.recipe.evaluation.effective_kind if isinstance(manifest, Manifest) else None


def describe_side(path: Path, manifest: AnyManifest, *, apart: EvaluationKind | None) -> dict[str, dict[str, Json]]:
    """Return the records of a bundle by section, each flattened to one value per name.

    Args:
        path: Of the bundle.
        manifest: Its record.
        apart: Names the sections of numbers if the other side's are of another kind, so that no two are one line.
    """
    own = describe_migrated(manifest) if isinstance(manifest, MigratedManifest) else describe_run(path, manifest)
    if apart is not None:
        own = {f"{name} ({apart.words})" if name in NUMBERS else name: values for name, values in own.items()}
    contents: dict[str, Json] = {
        file.path: f"{file.sha256[:16]}…, {file.size} bytes" for file in manifest.contents.files
    }
    return {**own, "contents": contents}


def flatten_record(record: Record) -> dict[str, Json]:
    """Return a record's plain values by their dotted names."""
    return dict(flatten("", record.to_json_value()))


def describe_migrated(manifest: MigratedManifest) -> dict[str, dict[str, Json]]:
    """Return the facts known of a legacy archive: its origin, its statements by their place, its gin bindings."""
    return {
        "migrated from": flatten_record(manifest.source),
        "statements": {
            " ".join(filter(None, (one.subject.value, one.name, one.file, one.place))): one.value
            for one in manifest.statements
        },
        "gin bindings": {
            f"{chain.entry} {binding.name}": binding.value
            for chain in manifest.chains
            for binding in (*chain.known, *chain.unknown)
        },
    }


def describe_run(path: Path, manifest: Manifest) -> dict[str, dict[str, Json]]:
    """Return the records of a run by section."""
    run = manifest.run
    return {
        "recipe": flatten_record(run.recipe),
        "claims": dict(list_claims(manifest)),
        "bundle": flatten_record(run.bundle),
        "data": flatten_record(run.data),
        "environment": flatten_record(run.environment),
        "code": flatten_record(run.code),
        **describe_results(read_results(path, manifest)),
    }


def list_claims(manifest: Manifest) -> Iterator[tuple[str, Json]]:
    """Yield each claim's fields under the claim's name."""
    for claim in manifest.claims:
        yield from ((f"{claim.policy.name}.{name}", value) for name, value in flatten_record(claim).items())


def describe_results(results: ResultsRecord | None) -> dict[str, dict[str, Json]]:
    """Return the final metrics and the curve."""
    if results is None:
        return {"metrics": {}, "curve": {}}
    curve: dict[str, Json] = {
        f"epoch {epoch.epoch} {metric}": value for epoch in results.epochs for metric, value in headline(epoch).items()
    }
    metrics = {**flatten_record(results.final), "state_sha256": results.state_sha256}
    return {"metrics": metrics, "curve": curve}


def headline(epoch: EvaluationRecord) -> dict[str, float | None]:
    """Return the metrics that a curve is compared by."""
    return {metric: epoch.metrics[metric] for metric in ("ndcg@10", "hr@10", "mrr")}


def compare_section(
    section: str, left: Mapping[str, Json] | None, right: Mapping[str, Json] | None
) -> Iterator[Difference]:
    """Yield each difference in one section; a missing value is None, a missing section is not comparable."""
    if left is None or right is None:
        sides = (None if side is None else f"{len(side)} values, not comparable" for side in (left, right))
        yield Difference(section=section, name="all of it", left=next(sides), right=next(sides))
        return
    for name in dict.fromkeys([*left, *right]):
        values = left.get(name), right.get(name)
        if values[0] != values[1] or (name in left) != (name in right):
            yield Difference(
                section=section, name=name, left=describe_value(values[0]), right=describe_value(values[1])
            )


def describe_value(value: Json) -> str | None:
    """Return a value as text, None for one that is not there."""
    return None if value is None else str(value)
