"""Check that a bundle agrees with itself: gin chain, checkpoints, event files, ranks and data against its manifest."""

from collections.abc import Callable
from functools import partial

import numpy as np

from hstu_preserve.bundle.deep_checks import require_equal, run_check
from hstu_preserve.bundle.layout import (
    CHECKPOINT_FOLDER,
    CONFIG_FOLDER,
    ENVIRONMENT,
    EVENTS_FOLDER,
    RANKS,
    RUN_RECORD,
    STEPS,
)
from hstu_preserve.bundle.opening import VerifiedTree
from hstu_preserve.compute.threads import require_computing_threads
from hstu_preserve.data.batches import locate_targets
from hstu_preserve.data.finding import open_store_for_bundle
from hstu_preserve.data.split import Part, count_held_out_events, find_eligible_users
from hstu_preserve.data.store import Store
from hstu_preserve.errors import ContentError
from hstu_preserve.evaluation.metrics import compute_metrics
from hstu_preserve.event_files.reader import ScalarPoint, read_scalars
from hstu_preserve.gin_recipes.reader import read_chain
from hstu_preserve.gin_recipes.resolve import resolve
from hstu_preserve.model.upstream_weights import build_for_weights
from hstu_preserve.primitives.wording import count
from hstu_preserve.records.environment import EnvironmentRecord
from hstu_preserve.records.manifest import Manifest, RunRecord
from hstu_preserve.records.verification import DeepCheck
from hstu_preserve.reruns.opened_bundle import OpenedBundle
from hstu_preserve.training.checkpoint import Checkpoint, read_checkpoint, state_digest
from hstu_preserve.training.resumability import require_resumable


def check_tree(tree: VerifiedTree) -> tuple[DeepCheck, ...]:
    """Compare the parts of a run's bundle, whose bytes are those of its manifest, with each other.

    Returns:
        One check per question; a check that failed says what it expected and found.
    """
    manifest = tree.verification.manifest
    assert isinstance(manifest, Manifest)
    return check_bundle(OpenedBundle(root=tree.root, manifest=manifest))


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
    return "policy and environment are those written before the first step"


def check_checkpoints(bundle: OpenedBundle) -> str:
    """Every checkpoint can be read safely, fits the recipe's model and belongs to this run."""
    run, results = bundle.manifest.run, bundle.results
    digests = set()
    names = bundle.list_files_in(CHECKPOINT_FOLDER)
    for name in names:
        checkpoint = read_checkpoint(bundle.root / name)
        require_fitting(checkpoint, bundle, name=name)
        digests.add(state_digest(checkpoint.content))
        if name == bundle.manifest.checkpoint:
            require_equal(f"epoch of {name}", expected=results.final.epoch, found=checkpoint.epoch)
    if results.state_sha256 not in digests:
        raise ContentError(f"no checkpoint has the recorded final state {results.state_sha256}")
    return f"{len(names)} checkpoints fit the recipe; one has the final state of a {run.recipe.model.kind} run"


def require_fitting(checkpoint: Checkpoint, bundle: OpenedBundle, *, name: str) -> None:
    """Raise ContentError if a checkpoint is of another model, recipe or dataset, or none to go on from."""
    run = bundle.manifest.run
    require_equal(f"recipe of {name}", expected=run.recipe_sha256, found=checkpoint.recipe_sha256)
    require_equal(f"data of {name}", expected=run.data.fingerprint, found=checkpoint.data_fingerprint)
    model = build_for_weights(run.recipe, checkpoint.weights, source=name)
    parameters = dict(model.named_parameters())
    num_steps = count_steps(bundle, until_epoch=checkpoint.epoch)
    require_resumable(checkpoint, parameters=parameters, num_steps=num_steps, source=name)


def count_steps(bundle: OpenedBundle, *, until_epoch: int) -> int:
    """Return how many steps were recorded up to the end of an epoch."""
    return sum(step.epoch <= until_epoch for step in bundle.steps)


def check_event_files(bundle: OpenedBundle) -> str:
    """The event files are whole and show the recorded steps and curve."""
    points = [point for name in bundle.list_files_in(EVENTS_FOLDER) for point in read_scalars(bundle.root / name)]
    require_curve(points, bundle)
    require_steps(points, bundle)
    return f"{len(points)} points, whole, as recorded step by step and epoch by epoch"


def require_curve(points: list[ScalarPoint], bundle: OpenedBundle) -> None:
    """Raise ContentError if the event files show another curve than the results record."""
    results = bundle.results
    # Event files keep single precision, to which the recorded figures are rounded here.
    shown = {(point.tag, point.step): point.value for point in points}
    for epoch in results.epochs:
        figures = epoch.metrics | {"coverage@10": epoch.coverage_at_10}
        for metric, value in figures.items():
            tag = f"eval_epoch/{metric}"
            found = shown.get((tag, epoch.epoch))
            require_equal(f"{tag} of epoch {epoch.epoch}", expected=float(np.float32(value)), found=found)


def require_steps(points: list[ScalarPoint], bundle: OpenedBundle) -> None:
    """Raise ContentError if the event files show other losses than were recorded step by step."""
    # As hexadecimal text: NaN equals itself there, and 0.0 is not -0.0.
    shown = [(point.step, point.value.hex()) for point in points if point.tag == "losses/ar_loss"]
    with np.errstate(over="ignore"):  # infinite in single precision, as it was written
        recorded = [(step.number, float(np.float32(step.loss)).hex()) for step in bundle.steps]
    if shown != recorded:
        place = next((n for n, pair in enumerate(zip(shown, recorded, strict=False)) if pair[0] != pair[1]), None)
        where = f"first at entry {place}" if place is not None else f"{len(shown)} shown, {len(recorded)} recorded"
        raise ContentError(f"losses/ar_loss: not the losses of {STEPS} ({where})")


def check_ranks(bundle: OpenedBundle) -> str:
    """The recorded ranks are the ones the metrics and claims were computed from."""
    results, ranks = bundle.results, bundle.ranks
    require_equal(RANKS, expected=results.final.ranks_sha256, found=ranks.digest())
    require_equal("metrics from the ranks", expected=results.final.metrics, found=compute_metrics(ranks))
    for epoch in results.epochs:
        if (epoch.part, epoch.epoch, epoch.num_users) == (results.final.part, results.final.epoch, len(ranks.ranks)):
            require_equal(f"evaluation of epoch {epoch.epoch} in the curve", expected=epoch, found=results.final)
    for claim in bundle.manifest.claims:
        require_equal(f"epoch of claim {claim.policy.name}", expected=results.final.epoch, found=claim.epoch)
    return f"the ranks of {len(ranks.ranks)} users give every recorded metric"


def check_data(bundle: OpenedBundle) -> str:
    """The data inside, if any, has the recorded fingerprint, and the ranks are of its held-out items."""
    reference, results = bundle.manifest.run.data, bundle.results
    require_equal("data of the results", expected=reference.fingerprint, found=results.final.data_fingerprint)
    if not reference.included:
        return "not inside; named by its fingerprint"
    store = open_store_for_bundle(reference, bundle.data)
    require_held_out_items(store, bundle)
    return f"{store.record.counts.num_ratings} ratings with the recorded fingerprint; ranks are of the held-out items"


def require_held_out_items(store: Store, bundle: OpenedBundle) -> None:
    """Raise ContentError if the ranks are of other users or items than the protocol holds out."""
    held_out = count_held_out_events(bundle.manifest.run.recipe.dataset.protocol, part=Part.TEST)
    users = find_eligible_users(store, held_out_events=held_out)
    targets = locate_targets(store, users, held_out_events=held_out)
    ranks = bundle.ranks
    if not np.array_equal(ranks.user_ids, store.user_ids[users]):
        raise ContentError(f"{RANKS}: of other users than the data has")
    if not np.array_equal(ranks.target_ids, store.item_ids[targets]):
        raise ContentError(f"{RANKS}: of other items than the protocol holds out")


CHECKS: dict[str, Callable[[OpenedBundle], str]] = {
    "gin chain": check_chain,
    "run records": check_run_records,
    "checkpoints": check_checkpoints,
    "event files": check_event_files,
    "ranks": check_ranks,
    "data": check_data,
}
