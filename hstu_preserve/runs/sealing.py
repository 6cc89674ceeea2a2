"""Fix a run's policy before the first step, and bind everything in its manifest after the last."""

from pathlib import Path
from typing import TYPE_CHECKING

from hstu_preserve.bundle.layout import CONFIG_FOLDER, GENERATED_NAMES, METRICS
from hstu_preserve.bundle.tree import read_tree_manifest, record_files, seal
from hstu_preserve.compute.machine import describe_environment, describe_numerics, find_running_code
from hstu_preserve.compute.training_path import choose_training_path
from hstu_preserve.data.fitness import require_what_is_read
from hstu_preserve.data.split import Part, count_held_out_events, find_evaluated_users
from hstu_preserve.data.store import Store
from hstu_preserve.errors import UsageError
from hstu_preserve.evaluation.kinds import require_drawable, require_enough_candidates
from hstu_preserve.evaluation.metrics import LIKED_HALF_STARS
from hstu_preserve.evaluation.one_evaluation import take_sample
from hstu_preserve.gin_recipes.resolve import Resolution
from hstu_preserve.primitives.files import read_bytes
from hstu_preserve.primitives.metric_names import LIKED_SUFFIX
from hstu_preserve.records.claim import Claim
from hstu_preserve.records.evaluation import ResultsRecord
from hstu_preserve.records.manifest import DataReference, Manifest, RunRecord
from hstu_preserve.records.recipe import Protocol
from hstu_preserve.records.record import SCHEMA_VERSION
from hstu_preserve.records.results import TrainingResult
from hstu_preserve.records.store import StoreRecord
from hstu_preserve.runs.plan import Plan

if TYPE_CHECKING:
    import torch


def read_result(output: Path, *, warnings: tuple[str, ...]) -> TrainingResult:
    """Return the result that a sealed run directory holds."""
    stored = read_tree_manifest(output)
    return TrainingResult(
        path=output,
        identity=stored.identity,
        claims=stored.manifest.claims,
        results=ResultsRecord.from_json(read_bytes(output / METRICS), source=str(output / METRICS)),
        environment=stored.manifest.run.environment,
        warnings=warnings,
    )


def is_finished(output: Path) -> bool:
    """Whether the run was sealed."""
    return all((output / name).exists() for name in GENERATED_NAMES)


def require_includable(resolution: Resolution, *, store: Store) -> None:
    """Raise UsageError if the bundle would hold data that may not travel."""
    if resolution.bundle.include_data and not store.record.provenance.redistributable:
        raise UsageError(
            f"bundle.include_data: {store.name} may not be redistributed ({store.record.provenance.notice}); "
            "leave it out, the bundle names the data by its fingerprint"
        )


def refer_to(record: StoreRecord, *, included: bool) -> DataReference:
    """Return how a run's manifest names a store."""
    source, md5 = record.provenance.source, record.provenance.source_md5
    return DataReference(
        name=record.name,
        fingerprint=record.fingerprint,
        tie_policy=record.provenance.tie_policy.value,
        redistributable=record.provenance.redistributable,
        included=included,
        num_users=record.counts.num_users,
        num_rated_items=record.counts.num_rated_items,
        num_candidates=record.counts.num_candidates,
        num_ratings=record.counts.num_ratings,
        source=f"{source} (md5 {md5})" if md5 else source,
    )


def require_claimable(resolution: Resolution, *, store: Store) -> None:
    """Require, before the first step, that the data has what is read, and that the claimed metrics will have values.

    Raises:
        UsageError: One would be a mean over nobody.
        DataMismatchError: The recipe reads times or ratings, and there are none.
        ContentError: A sampled evaluation draws more items than there are, or a user has every one.
    """
    recipe, counts = resolution.recipe, store.record.counts
    require_what_is_read(recipe, store)
    num_candidates = counts.num_candidates if recipe.dataset.candidates == "all" else counts.num_rated_items
    require_enough_candidates(recipe, num_candidates=num_candidates, data_name=store.name)
    protocol = recipe.dataset.protocol
    liked = [policy.metric for policy in resolution.policies if policy.metric.endswith(LIKED_SUFFIX)]
    for part in (Part.VALIDATION, Part.TEST) if protocol is Protocol.VALIDATED else (Part.TEST,):
        users = find_evaluated_users(store, recipe.dataset, part=part)
        ranked = take_sample(users, recipe, part=part)
        require_drawable(recipe, store, ranked, num_candidates=num_candidates, part=part)
        targets = store.offsets[1:][users] - 1 - count_held_out_events(protocol, part=part)
        if liked and not (store.half_stars[targets] >= LIKED_HALF_STARS).any():
            raise UsageError(
                f"claim.metric {liked[0]}: none of the {len(targets)} targets in the {part.value} part of {store.name} "
                "is rated 4 stars or more, and a mean over nobody cannot be claimed; claim another metric"
            )


def fix_policy(plan: Plan, *, device: "torch.device", num_processes: int) -> RunRecord:
    """Return everything that is decided before the first step."""
    recipe, resolution = plan.recipe, plan.resolution
    numerics = describe_numerics(device, dtype=recipe.model.dtype, processes=num_processes)
    path = choose_training_path(recipe, device=device, recorded=plan.recorded_path)
    return RunRecord(
        schema_version=SCHEMA_VERSION,
        bundle=resolution.bundle,
        recipe=recipe,
        recipe_sha256=recipe.digest(),
        gin_file=f"{CONFIG_FOLDER}/{plan.chain.entry}",
        policies=resolution.policies,
        data=refer_to(plan.store.record, included=resolution.bundle.include_data),
        environment=describe_environment(numerics, training_path=path),
        code=find_running_code(),
    )


def seal_run(output: Path, *, run: RunRecord, results: ResultsRecord, checkpoint: Path) -> None:
    """Fill in the claims' values and bind everything in the manifest."""
    claims = tuple(
        Claim(policy=policy, value=results.final.value_of(policy.metric), epoch=results.final.epoch)
        for policy in run.policies
    )
    manifest = Manifest(
        schema_version=SCHEMA_VERSION,
        run=run,
        checkpoint=checkpoint.relative_to(output).as_posix(),
        claims=claims,
        contents=record_files(output),
    )
    seal(output, manifest=manifest)
