"""Train a recipe into a run directory: policy first, then the steps, then the claims' values."""

import signal
from pathlib import Path
from typing import TYPE_CHECKING

from hstu_preserve.bundle.layout import CONFIG_FOLDER, GENERATED_NAMES, METRICS
from hstu_preserve.bundle.tree import read_tree_manifest, record_files, seal
from hstu_preserve.data.store import Store
from hstu_preserve.errors import LostProcessError, UnknownNameError, UsageError
from hstu_preserve.gin_recipes.reader import GinChain, read_chain
from hstu_preserve.gin_recipes.resolve import Resolution, resolve
from hstu_preserve.primitives.files import read_bytes, remove_leftovers
from hstu_preserve.records.claim import Claim
from hstu_preserve.records.evaluation import ResultsRecord
from hstu_preserve.records.manifest import DataReference, Manifest, RunRecord
from hstu_preserve.records.results import TrainingResult
from hstu_preserve.training.determinism import repeatable_arithmetic
from hstu_preserve.training.distributed import join_world
from hstu_preserve.workflows.catalog import list_chains
from hstu_preserve.workflows.conduct import Conduct, Durability
from hstu_preserve.workflows.interruption import RunStopped, leave, listen_for_signals
from hstu_preserve.workflows.machine import choose_device, describe_code, describe_environment, describe_numerics
from hstu_preserve.workflows.progress import Announcer, Listener, ignore, say_nothing
from hstu_preserve.workflows.resume import list_changes
from hstu_preserve.workflows.run_beginning import open_run, require_unused
from hstu_preserve.workflows.stores import find_store_for_recipe
from hstu_preserve.workflows.targets import looks_like_path

if TYPE_CHECKING:
    import torch


def train(
    gin: str | Path,
    *,
    output: Path,
    data: Path | None = None,
    gin_root: Path | None = None,
    device: str = "auto",
    durability: Durability = Durability(),  # noqa: B008  frozen
    listener: Listener = ignore,
    announce: Announcer = say_nothing,
) -> TrainingResult:
    """Train what a gin chain says and write the run directory that `pack` takes.

    SIGINT and SIGTERM save the run before it is left, where this is the main thread.

    Args:
        gin: The chain's entry file, or the id of a chain that comes with the program.
        output: The run directory; must not exist, or be empty, unless a run there is resumed.
        data: The store; None searches the folder that HSTU_PRESERVE_DATA names.
        gin_root: The folder that includes may not leave.
        device: `auto`, `cpu` or `cuda`.
        durability: Whether to go on with the run in `output` (from its newest whole checkpoint, from the start where
            there is none), when checkpoints are written beside those the recipe asks for, and which stay.
        listener: Hears of every step and evaluation.
        announce: Is told where a resumed run goes on, and what was saved before leaving.

    Raises:
        RecipeError: The chain does not resolve.
        DataMismatchError: The store is not the recipe's, or not the resumed run's.
        UsageError: The output is in use or holds another run, or data that may not be redistributed shall be included.
        CheckpointError: The run cannot be resumed, since none of its checkpoints is whole.
        UnavailableError: No torch, no such device, no data, or the output cannot be written.
    """
    chain = read_chain(find_gin(gin), root=gin_root)
    resolution = resolve(chain)
    store = find_store_for_recipe(resolution.recipe.dataset, data)
    require_redistributable(resolution, store=store)
    if not durability.resume:
        require_unused(output)
    chosen = choose_device(device)
    with repeatable_arithmetic(tf32=resolution.recipe.training.enable_tf32), join_world(chosen) as world:
        if not world.is_first:
            announce, listener = say_nothing, ignore
        now = fix_policy(chain, resolution, store=store, device=chosen, num_processes=world.size)
        world.wait()  # until all have looked at the output
        warnings = tuple(str(warning) for warning in resolution.warnings)
        for warning in warnings:
            announce(f"warning: {warning}")
        with (
            open_run(
                output,
                now=now,
                chain=chain,
                store=store,
                is_resumed=durability.resume,
                world=world,
                announce=announce,
            ) as run,
            listen_for_signals(announce) as stop,
        ):
            if is_finished(output):
                announce(f"{output}: the run is finished; nothing is left to resume")
                return read_result(output, warnings=warnings)
            if world.is_first:
                remove_leftovers(output)
            conduct = Conduct(
                output,
                run=run,
                store=store,
                device=chosen,
                durability=durability,
                stop=stop,
                world=world,
                listener=listener,
            )
            if durability.resume:
                conduct.resume(changes=list_changes(run, now), announce=announce)
            try:
                results, checkpoint = conduct.complete()
            except (RunStopped, LostProcessError) as error:
                if isinstance(error, LostProcessError) and not stop.is_made:
                    advice = "the same command with --resume goes on from the newest checkpoint"
                    raise LostProcessError(f"{error}; {advice}") from None
                announce(f"{output}: saved; the same command with --resume goes on from here")
                leave(stop.signal_number or signal.SIGTERM)  # another process may have been the one to hear it
            if world.is_first:
                seal_run(output, run=run, results=results, checkpoint=checkpoint)
            world.wait()
    return read_result(output, warnings=warnings)


def read_result(output: Path, *, warnings: tuple[str, ...]) -> TrainingResult:
    """Return what a sealed run directory holds."""
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


def find_gin(gin: str | Path) -> Path:
    """Return the gin file that a path names, or the chain of an id that comes with the program.

    Raises:
        UnknownNameError: Neither; the nearest ids are offered.
    """
    path = Path(gin)
    if path.exists() or looks_like_path(str(gin)):
        return path
    chains = list_chains()
    if str(gin) not in chains:
        raise UnknownNameError(kind="gin file or id", name=str(gin), known=chains)
    return chains[str(gin)]


def require_redistributable(resolution: Resolution, *, store: Store) -> None:
    """Raise UsageError where the bundle would hold data that may not travel."""
    if resolution.bundle.include_data and not store.record.provenance.redistributable:
        raise UsageError(
            f"bundle.include_data: {store.name} may not be redistributed ({store.record.provenance.notice}); "
            "leave it out, the bundle names the data by its fingerprint"
        )


def fix_policy(
    chain: GinChain, resolution: Resolution, *, store: Store, device: "torch.device", num_processes: int
) -> RunRecord:
    """Return everything that is decided before the first step."""
    recipe, record = resolution.recipe, store.record
    dtype = "bfloat16" if recipe.model.main_module_bf16 else "float32"
    source = record.provenance.source
    md5 = record.provenance.source_md5
    return RunRecord(
        bundle=resolution.bundle,
        recipe=recipe,
        recipe_sha256=recipe.digest(),
        gin_file=f"{CONFIG_FOLDER}/{chain.entry}",
        policies=resolution.policies,
        data=DataReference(
            name=record.name,
            fingerprint=record.fingerprint,
            tie_policy=record.provenance.tie_policy.value,
            redistributable=record.provenance.redistributable,
            included=resolution.bundle.include_data,
            num_users=record.counts.num_users,
            num_rated_items=record.counts.num_rated_items,
            num_candidates=record.counts.num_candidates,
            num_ratings=record.counts.num_ratings,
            source=f"{source} (md5 {md5})" if md5 else source,
        ),
        environment=describe_environment(describe_numerics(device, dtype=dtype, processes=num_processes)),
        code=describe_code(),
    )


def seal_run(output: Path, *, run: RunRecord, results: ResultsRecord, checkpoint: Path) -> None:
    """Fill in the claims' values and bind everything in the manifest."""
    claims = tuple(
        Claim(policy=policy, value=results.final.metrics[policy.metric], epoch=results.final.epoch)
        for policy in run.policies
    )
    manifest = Manifest(
        schema_version=0,
        run=run,
        checkpoint=checkpoint.relative_to(output).as_posix(),
        claims=claims,
        contents=record_files(output),
    )
    seal(output, manifest=manifest)
