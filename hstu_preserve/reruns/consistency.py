"""Check that a bundle agrees with itself: gin chain, checkpoints, event files, ranks and data against its manifest."""

from collections.abc import Callable
from functools import partial

from hstu_preserve.bundle.deep_checks import require_equal, run_check
from hstu_preserve.bundle.layout import CHECKPOINT_FOLDER, CONFIG_FOLDER, ENVIRONMENT, RUN_RECORD
from hstu_preserve.bundle.opening import VerifiedTree
from hstu_preserve.checkpoint_files.names import epoch_of_name
from hstu_preserve.compute.threads import require_computing_threads
from hstu_preserve.errors import ContentError
from hstu_preserve.gin_recipes.reader import read_chain
from hstu_preserve.gin_recipes.resolve import resolve
from hstu_preserve.model.upstream_weights import build_for_weights
from hstu_preserve.primitives.wording import count
from hstu_preserve.records.catalog import CatalogEntry
from hstu_preserve.records.environment import EnvironmentRecord
from hstu_preserve.records.manifest import RunRecord
from hstu_preserve.records.verification import DeepCheck
from hstu_preserve.reruns.opened_bundle import OpenedBundle, open_bundle
from hstu_preserve.reruns.published_claims import check_catalog
from hstu_preserve.reruns.rank_laws import require_same_evaluation
from hstu_preserve.reruns.recorded_data import check_data
from hstu_preserve.reruns.recorded_logs import check_event_files, check_steps
from hstu_preserve.reruns.recorded_references import check_references
from hstu_preserve.reruns.recorded_results import check_claims, check_curve, check_ranks
from hstu_preserve.runs.journal import JournalRecord
from hstu_preserve.training.checkpoint import JOURNAL, Checkpoint, read_checkpoint, state_digest
from hstu_preserve.training.resumability import require_resumable


def check_tree(tree: VerifiedTree, *, entry: CatalogEntry | None = None) -> tuple[DeepCheck, ...]:
    """Compare the parts of a run's bundle, whose bytes are those of its manifest, with each other.

    Args:
        tree: The bundle.
        entry: The published experiment by whose id it was fetched; None if the user named a file.

    Returns:
        One check per question; a check that failed says what it expected and found.
    """
    return check_bundle(open_bundle(tree, entry=entry))


def check_bundle(bundle: OpenedBundle) -> tuple[DeepCheck, ...]:
    """Compare the parts of an opened bundle with each other.

    Raises:
        UnavailableError: The system gives too few threads.
    """
    require_computing_threads()
    return tuple(run_check(name, partial(check, bundle), root=bundle.root) for name, check in CHECKS.items())


def check_chain(bundle: OpenedBundle) -> str:
    """The gin chain resolves to the manifest's recipe, claims and settings, and every file of it is used."""
    run, root = bundle.manifest.run, bundle.root / CONFIG_FOLDER
    chain = read_chain(bundle.root / run.gin_file, root=root)
    resolution = resolve(chain)
    require_equal("recipe", expected=run.recipe_sha256, found=resolution.recipe.digest())
    require_equal("claims", expected=run.policies, found=resolution.policies)
    require_equal("bundle settings", expected=run.bundle, found=resolution.bundle)
    listed = {name.removeprefix(f"{CONFIG_FOLDER}/") for name in bundle.list_files_in(CONFIG_FOLDER)}
    require_equal("gin files", expected=sorted(listed), found=sorted({name for name, _ in chain.files}))
    return f"recipe {run.recipe_sha256[:16]}… resolved from {count(len(chain.files), 'gin file')}"


def check_run_records(bundle: OpenedBundle) -> str:
    """The policy and the environment that were written before the first step are the manifest's."""
    run = RunRecord.from_json(bundle.read_file(RUN_RECORD), source=RUN_RECORD)
    require_equal(RUN_RECORD, expected=bundle.manifest.run.digest(), found=run.digest())
    environment = EnvironmentRecord.from_json(bundle.read_file(ENVIRONMENT), source=ENVIRONMENT)
    require_equal(ENVIRONMENT, expected=run.environment, found=environment)
    require_arithmetic(bundle)
    return "policy and environment are those written before the first step"


def require_arithmetic(bundle: OpenedBundle) -> None:
    """Raise ContentError if the recorded arithmetic is not the one that recipe and packages come to."""
    run = bundle.manifest.run
    numerics, packages = run.environment.numerics, run.environment.packages
    if numerics is None:
        raise ContentError(f"{ENVIRONMENT}: records no arithmetic, without which nothing was trained")
    require_equal("number type of the arithmetic", expected=run.recipe.model.dtype, found=numerics.dtype)
    installed = packages.get("torch", numerics.torch)
    if not is_same_build(installed, numerics.torch):
        require_equal("torch of the arithmetic", expected=installed, found=numerics.torch)


def is_same_build(installed: str, imported: str) -> bool:
    """Whether a package's version and what the module says of itself can be of one build.

    The package index gives PyTorch for CUDA without the local part that the module has: 2.11.0, and 2.11.0+cu130.
    """
    public, _, local = imported.partition("+")
    return installed in {public, imported} or (not local and installed.partition("+")[0] == public)


def check_checkpoints(bundle: OpenedBundle) -> str:
    """Every checkpoint can be read safely, is what its name says, fits the recipe's model and belongs to this run."""
    run, results = bundle.manifest.run, bundle.results
    digests = {}
    names = bundle.list_files_in(CHECKPOINT_FOLDER)
    for name in names:
        checkpoint = read_checkpoint(bundle.root / name)
        require_fitting(checkpoint, bundle, name=name)
        require_journal(checkpoint, bundle, name=name)
        digests[checkpoint.epoch] = state_digest(checkpoint.content)
        if name == bundle.manifest.checkpoint:
            require_equal(f"epoch of {name}", expected=results.final.epoch, found=checkpoint.epoch)
    if results.state_sha256 not in digests.values():
        raise ContentError(f"no checkpoint has the recorded final state {results.state_sha256}")
    last = len(results.epochs) - 1
    require_equal("final state, of the last epoch's checkpoint", expected=digests.get(last), found=results.state_sha256)
    return f"{count(len(names), 'checkpoint')} of a run of {run.recipe.model.kind}; the last has the final state"


def require_fitting(checkpoint: Checkpoint, bundle: OpenedBundle, *, name: str) -> None:
    """Raise ContentError if a checkpoint is of another model, recipe, dataset or epoch, or none to go on from."""
    run = bundle.manifest.run
    require_equal(f"recipe of {name}", expected=run.recipe_sha256, found=checkpoint.recipe_sha256)
    require_equal(f"data of {name}", expected=run.data.fingerprint, found=checkpoint.data_fingerprint)
    if (named := epoch_of_name(name)) is not None:
        require_equal(f"epoch of {name}, by its name", expected=named, found=checkpoint.epoch)
    numerics = run.environment.numerics
    if numerics is not None and not bundle.results.resumptions:
        found = checkpoint.content.get("world_size")
        require_equal(f"processes of {name}", expected=numerics.processes, found=found)
    model = build_for_weights(run.recipe, checkpoint.weights, source=name)
    parameters = dict(model.named_parameters())
    num_steps = count_steps(bundle, until_epoch=checkpoint.epoch)
    require_resumable(checkpoint, parameters=parameters, num_steps=num_steps, source=name)


def require_journal(checkpoint: Checkpoint, bundle: OpenedBundle, *, name: str) -> None:
    """Raise ContentError if a checkpoint's journal, where it has one, tells of another curve than the results do."""
    content = checkpoint.content.get(JOURNAL)
    if not isinstance(content, str):
        return
    journal = JournalRecord.from_json(content.encode(), source=f"{name}: {JOURNAL}")
    recorded = bundle.results.epochs[: checkpoint.epoch + 1]
    require_equal(f"epochs in the journal of {name}", expected=len(recorded), found=len(journal.epochs))
    for one, other in zip(recorded, journal.epochs, strict=True):
        require_same_evaluation(f"epoch {one.epoch} in the journal of {name}", expected=one, found=other)


def count_steps(bundle: OpenedBundle, *, until_epoch: int) -> int:
    """Return how many steps were recorded up to the end of an epoch."""
    return sum(step.epoch <= until_epoch for step in bundle.steps)


CHECKS: dict[str, Callable[[OpenedBundle], str]] = {
    "gin chain": check_chain,
    "run records": check_run_records,
    "checkpoints": check_checkpoints,
    "steps": check_steps,
    "event files": check_event_files,
    "ranks": check_ranks,
    "curve": check_curve,
    "claims": check_claims,
    "references": check_references,
    "data": check_data,
    "catalog": check_catalog,
}
