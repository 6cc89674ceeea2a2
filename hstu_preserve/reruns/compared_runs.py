"""Read what finished runs recorded, for a comparison: the metric, every user's part in it, coverage and cost."""

import math
import os
from io import BytesIO
from pathlib import Path

from hstu_preserve.bundle.layout import EVENTS_FOLDER, METRICS, RANKS, RUN_RECORD
from hstu_preserve.bundle.verification import read_member
from hstu_preserve.bundle.walker import walk_bundle
from hstu_preserve.errors import ContentError, UsageError
from hstu_preserve.evaluation.metrics import list_contributions
from hstu_preserve.evaluation.ranks import read_ranks
from hstu_preserve.event_files.reader import iterate_scalars
from hstu_preserve.library.diverged import has_diverged
from hstu_preserve.library.sources import Form, Source, is_unfinished_run, look_at, obtain
from hstu_preserve.primitives.archive_names import ARCHIVE_SUFFIXES
from hstu_preserve.primitives.files import read_bytes, refuse_unreadable
from hstu_preserve.primitives.voice import SILENT, Voice
from hstu_preserve.records.claim import Direction
from hstu_preserve.records.evaluation import EvaluationRecord, ResultsRecord
from hstu_preserve.records.manifest import MANIFEST_NAME, NO_RUN, Manifest, RunRecord
from hstu_preserve.studies.comparison import StudiedRun, Terms, UserScores
from hstu_preserve.studies.cost import Cost, measure_cost
from hstu_preserve.studies.results import ComparedRun

MAX_MEMBER_BYTES = 2**28
"""Of metrics, ranks or an event file, each of which is read whole: a million steps, or ten million users."""
MAX_RUNS = 1000


def find_runs(target: str, *, voice: Voice = SILENT) -> list[Source]:
    """Return the run that a target names, or those in the folder that it names.

    Raises:
        UsageError: It is a recipe, a folder without a run, or a legacy archive.
        ContentError: A published bundle does not have the digests that it must have.
        UnavailableError: It cannot be fetched, or the folder not be read.
    """
    path = Path(target)
    if not os.path.isdir(path) or is_run(path):  # noqa: PTH112  Path.is_dir raises for a name that is too long
        source = obtain(target, voice=voice)
        require_run(source)
        return [source]
    with refuse_unreadable(path):
        found = [child for child in sorted(path.iterdir()) if is_run(child) or is_archive(child)]
    if not found:
        raise UsageError(f"{target}: neither a run nor a folder that holds runs")
    if len(found) > MAX_RUNS:
        raise UsageError(f"{target}: holds {len(found)} runs; name at most {MAX_RUNS}")
    sources = [look_at(child, text=str(child)) for child in found]
    for source in sources:
        require_run(source)
    return sources


def is_run(path: Path) -> bool:
    """Whether a directory is a run, finished or not, or an unpacked bundle."""
    return not path.name.startswith(".") and any(os.path.lexists(path / name) for name in (MANIFEST_NAME, RUN_RECORD))


def is_archive(path: Path) -> bool:
    """Whether a file is named as a packed bundle."""
    return path.is_file() and not path.name.startswith(".") and path.name.endswith(ARCHIVE_SUFFIXES)


def require_run(source: Source) -> None:
    """Raise UsageError for a recipe or a legacy archive: neither has runs with recorded recipes."""
    if source.form is Form.RECIPE:
        raise UsageError(f"{source.text}: a recipe, not a run; train it first with 'hstu-preserve train'")
    if source.form in {Form.LEGACY, Form.MIGRATED}:
        raise UsageError(f"{source.text}: a legacy archive, {NO_RUN}")


def read_record(source: Source) -> RunRecord:
    """Return what was fixed before a run's first step, of an unfinished run only if its training diverged.

    Raises:
        UsageError: The run is not finished.
        MissingPathError: A directory without a manifest.
        ContentError: The manifest cannot be read.
    """
    if source.stored is None and isinstance(source.content, Path) and is_unfinished_run(source.content):
        require_diverged(source.content)
        return RunRecord.from_json(read_bytes(source.content / RUN_RECORD), source=str(source.content / RUN_RECORD))
    return source.require_manifest().manifest.run


def require_diverged(root: Path) -> None:
    """Raise UsageError for a run that is not finished and could go on."""
    if not has_diverged(root):
        raise UsageError(
            f"{root}: not finished; the command that began it goes on with it (with --resume, unless it has --seeds), "
            "or leave it out"
        )


def read_run(source: Source, *, metric: str, origin: str) -> StudiedRun:
    """Return what a run recorded; every byte that is read was compared with the manifest.

    Args:
        source: From `find_runs`.
        metric: What is compared.
        origin: The target that the user named.

    Raises:
        UsageError: The run is not finished.
        ContentError: It is damaged, or its parts contradict each other.
    """
    record = read_record(source)
    recipe, seed = record.recipe, record.recipe.training.random_seed
    if source.stored is None:
        run, users = describe_diverged(source, record, metric=metric), None
    else:
        run, users = describe_finished(source, record, metric=metric)
    return StudiedRun(
        run=run,
        origin=origin,
        recipe=recipe,
        recipe_id=record.bundle.id.removesuffix(f"-seed-{seed}"),
        data_name=record.data.name,
        terms=Terms(
            data_fingerprint=record.data.fingerprint,
            protocol=recipe.dataset.protocol,
            kind=recipe.evaluation.effective_kind,
            candidates=recipe.dataset.candidates,
            selection_rule=record.policies[0].selection_rule,
        ),
        users=users,
    )


def describe_diverged(source: Source, record: RunRecord, *, metric: str) -> ComparedRun:
    """Return a run whose training diverged, counted as the worst value of a metric that is maximised.

    Raises:
        UsageError: The metric is minimised, which has no worst value.
    """
    for policy in record.policies:
        if policy.metric == metric and policy.direction is Direction.MINIMIZE:
            raise UsageError(f"{source.text}: diverged, and a minimised {metric} has no worst value; leave it out")
    return ComparedRun(
        path=source.text,
        identity=None,
        seed=record.recipe.training.random_seed,
        value=0.0,
        is_diverged=True,
        coverage_at_10=None,
        seconds=None,
        steps_per_second=None,
        device=name_device(record),
    )


def describe_finished(source: Source, record: RunRecord, *, metric: str) -> tuple[ComparedRun, UserScores]:
    """Return a finished run, and every user's part in its metric."""
    stored = source.require_manifest()
    members = read_members(source, stored.manifest)
    if not {METRICS, RANKS} <= members.keys():
        raise ContentError(f"{source.text}: holds no {METRICS} and {RANKS}, so that nothing can be compared")
    final = ResultsRecord.from_json(members.pop(METRICS), source=f"{source.text}: {METRICS}").final
    require_own_terms(final, record, source=source.text)
    users = read_users(members.pop(RANKS), final=final, metric=metric, source=f"{source.text}: {RANKS}")
    cost = read_cost(members)
    run = ComparedRun(
        path=source.text,
        identity=stored.identity,
        seed=record.recipe.training.random_seed,
        value=final.value_of(metric),
        is_diverged=False,
        coverage_at_10=final.coverage_at_10,
        seconds=cost.seconds if cost else None,
        steps_per_second=cost.steps_per_second if cost else None,
        device=name_device(record),
    )
    return run, users


def read_members(source: Source, manifest: Manifest) -> dict[str, bytes]:
    """Return the metrics, the ranks and the one event file of a run; one pass verifies all of a packed bundle.

    Raises:
        ContentError: The bundle is damaged, or one of these files is too large to be read.
    """
    files = manifest.contents.files
    events = [file for file in files if file.path.startswith(f"{EVENTS_FOLDER}/")]
    results = [file for file in files if file.path in {METRICS, RANKS}]
    for file in results:
        if file.size > MAX_MEMBER_BYTES:
            raise ContentError(f"{source.text}: {file.path} has {file.size} bytes, too many to be read here")
    is_readable = len(events) == 1 and events[0].size <= MAX_MEMBER_BYTES
    names = {file.path for file in (*results, *(events if is_readable else ()))}
    if source.path.is_dir():
        return {name: read_member(source.path, member=name, max_bytes=MAX_MEMBER_BYTES) for name in sorted(names)}
    with walk_bundle(source.path, known=source.stored) as walker:
        members = {
            found.member.path: b"".join(found.chunks) for found in walker.members() if found.member.path in names
        }
        if walker.findings:
            raise walker.verification_error()
    return members


def require_own_terms(final: EvaluationRecord, record: RunRecord, *, source: str) -> None:
    """Raise ContentError if the evaluation is of other data, protocol or kind than the run was fixed to."""
    recipe = record.recipe
    expected = (record.data.fingerprint, recipe.dataset.protocol, recipe.evaluation.effective_kind, "test")
    if (final.data_fingerprint, final.protocol, final.effective_kind, final.part) != expected:
        raise ContentError(
            f"{source}: {METRICS} is of other data, protocol, kind of evaluation or part than {RUN_RECORD} fixed"
        )


def read_users(content: bytes, *, final: EvaluationRecord, metric: str, source: str) -> UserScores:
    """Return what each user contributes to the metric, whose mean must be the recorded value.

    Raises:
        ContentError: No ranks, or not those behind the recorded value.
    """
    ranks = read_ranks(content, source=source)
    if ranks.digest() != final.ranks_sha256:
        raise ContentError(f"{source}: not the ranks that {METRICS} names")
    scores = list_contributions(ranks)[metric].astype(float)
    if not len(scores) or not math.isclose(float(scores.mean()), final.value_of(metric), abs_tol=1e-9):
        raise ContentError(f"{source}: gives another {metric} than {METRICS} records")
    return UserScores(user_ids=ranks.user_ids, target_ids=ranks.target_ids, scores=scores)


def read_cost(members: dict[str, bytes]) -> Cost | None:
    """Return what the event file says of a run's time; None without one, or if it cannot be read."""
    try:
        return next((measure_cost(iterate_scalars(BytesIO(file), source=name)) for name, file in members.items()), None)
    except ContentError:  # the figures do not depend on it
        return None


def name_device(record: RunRecord) -> str | None:
    """Return the device, and of a processor its model."""
    numerics = record.environment.numerics
    if numerics is None:
        return None
    return numerics.processor if numerics.device == "cpu" else numerics.device
