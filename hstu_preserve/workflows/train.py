"""Train a recipe into a run directory: policy first, then the steps, then the claims' values."""

from pathlib import Path
from typing import TYPE_CHECKING

from hstu_preserve.bundle.layout import CONFIG_FOLDER, DATA_FOLDER, ENVIRONMENT, RUN_RECORD, StoredManifest
from hstu_preserve.bundle.tree import record_files, seal
from hstu_preserve.data.store import Store, write_store
from hstu_preserve.errors import UnknownNameError, UsageError
from hstu_preserve.gin_recipes.reader import GinChain, read_chain
from hstu_preserve.gin_recipes.resolve import Resolution, resolve
from hstu_preserve.primitives.files import write_atomically
from hstu_preserve.records.claim import Claim
from hstu_preserve.records.evaluation import ResultsRecord
from hstu_preserve.records.manifest import DataReference, Manifest, RunRecord
from hstu_preserve.records.results import TrainingResult
from hstu_preserve.training.determinism import repeatable_arithmetic
from hstu_preserve.workflows.conduct import Conduct
from hstu_preserve.workflows.machine import choose_device, describe_code, describe_environment, describe_numerics
from hstu_preserve.workflows.progress import Listener, ignore
from hstu_preserve.workflows.stores import find_store_for_recipe
from hstu_preserve.workflows.targets import list_chains, looks_like_path

if TYPE_CHECKING:
    import torch


def train(
    gin: str | Path,
    *,
    output: Path,
    data: Path | None = None,
    gin_root: Path | None = None,
    device: str = "auto",
    listener: Listener = ignore,
) -> TrainingResult:
    """Train what a gin chain says and write the run directory that `pack` takes.

    Args:
        gin: The chain's entry file, or the id of a chain that comes with the program.
        output: The run directory; must not exist, or be empty.
        data: The store; None searches the folder that HSTU_PRESERVE_DATA names.
        gin_root: The folder that includes may not leave.
        device: `auto`, `cpu` or `cuda`.
        listener: Hears of every step and evaluation.

    Raises:
        RecipeError: The chain does not resolve.
        DataMismatchError: The store is not the recipe's.
        UsageError: The output is in use, or data that may not be redistributed shall be included.
        UnavailableError: No torch, no such device, no data, or the output cannot be written.
    """
    chain = read_chain(find_gin(gin), root=gin_root)
    resolution = resolve(chain)
    store = find_store_for_recipe(resolution.recipe.dataset, data)
    require_usable(output, resolution=resolution, store=store)
    chosen = choose_device(device)
    with repeatable_arithmetic(tf32=resolution.recipe.training.enable_tf32):
        run = fix_policy(chain, resolution, store=store, device=chosen)
        write_policy(output, run=run, chain=chain, store=store)
        conduct = Conduct(output, run=run, store=store, device=chosen, listener=listener)
        results, checkpoint = conduct.complete()
    stored = seal_run(output, run=run, results=results, checkpoint=checkpoint)
    return TrainingResult(
        path=output,
        identity=stored.identity,
        claims=stored.manifest.claims,
        results=results,
        environment=run.environment,
        warnings=tuple(str(warning) for warning in resolution.warnings),
    )


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


def require_usable(output: Path, *, resolution: Resolution, store: Store) -> None:
    """Raise UsageError where the output is in use or the bundle would hold data that may not travel."""
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise UsageError(f"{output}: exists and is not empty; name a new directory with --output")
    if resolution.bundle.include_data and not store.record.provenance.redistributable:
        raise UsageError(
            f"bundle.include_data: {store.name} may not be redistributed ({store.record.provenance.notice}); "
            "leave it out, the bundle names the data by its fingerprint"
        )


def fix_policy(chain: GinChain, resolution: Resolution, *, store: Store, device: "torch.device") -> RunRecord:
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
        environment=describe_environment(describe_numerics(device, dtype=dtype)),
        code=describe_code(),
    )


def write_policy(output: Path, *, run: RunRecord, chain: GinChain, store: Store) -> None:
    """Write policy, environment, gin chain and, where it may travel, the data, before the first step."""
    for path, content in chain.files:
        write_atomically(output / CONFIG_FOLDER / path, content)
    if run.data.included:
        write_store(store, output / DATA_FOLDER)
    write_atomically(output / ENVIRONMENT, run.environment.to_json())
    write_atomically(output / RUN_RECORD, run.to_json())


def seal_run(output: Path, *, run: RunRecord, results: ResultsRecord, checkpoint: Path) -> StoredManifest:
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
    return seal(output, manifest=manifest)
