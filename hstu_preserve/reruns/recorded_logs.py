"""Compare the logs of a run with each other and with its recipe: the recorded steps and the event files."""

import math
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from hstu_preserve.bundle.deep_checks import require_equal
from hstu_preserve.bundle.layout import EVENTS_FOLDER, STEPS
from hstu_preserve.data.split import MIN_EVENTS
from hstu_preserve.errors import ContentError
from hstu_preserve.event_files.reader import ScalarPoint, stream_scalars
from hstu_preserve.model.interactions.objective import OWN_LOSSES
from hstu_preserve.primitives.wording import count, list_some, printable
from hstu_preserve.records.recipe import Recipe
from hstu_preserve.reruns.opened_bundle import OpenedBundle
from hstu_preserve.runs.evaluator import list_tags
from hstu_preserve.training.loop import count_steps_per_epoch, learning_rate_at, select_training_events

Points = Mapping[str, Sequence[tuple[int, float]]]
"""Step or epoch, and value, of each point of a tag."""

AR_LOSS, MAIN_LOSS, LOAD_BALANCE = "losses/ar_loss", "losses/main_loss", "losses/prism_load_balance"
AUXILIARY = tuple(f"losses/{name}" for name in sorted(OWN_LOSSES))
TAGS_OF_STEPS = (AR_LOSS, MAIN_LOSS, LOAD_BALANCE, *AUXILIARY, "loss/train", "lr")
MAX_TAG_CHARACTERS = 100
"""Of a tag in a message."""
LOSS_SLACK = 1e-4
"""Of a loss that is a sum in single precision, relative."""


def check_steps(bundle: OpenedBundle) -> str:
    """Every epoch of the curve has the recipe's number of recorded steps, and each step its number."""
    steps, results = bundle.steps, bundle.results
    numbers = [step.number for step in steps]
    if numbers != list(range(len(steps))):
        place = next(place for place, number in enumerate(numbers) if number != place)
        raise ContentError(f"{STEPS}: step {place} is missing, found {numbers[place]} in its place")
    per_epoch = count_expected_steps(bundle)
    epochs = [epoch.epoch for epoch in results.epochs for _ in range(per_epoch)]
    found = [step.epoch for step in steps]
    if found != epochs:
        shown = ", ".join(f"{number} in epoch {epoch}" for epoch, number in list(Counter(found).items())[:3])
        raise ContentError(
            f"{STEPS}: expected {count(per_epoch, 'step')} in each of {count(len(results.epochs), 'epoch')}, "
            f"found {count(len(found), 'step')} ({shown}, …)"
        )
    return f"{count(len(steps), 'step')}, {per_epoch} in each of {count(len(results.epochs), 'epoch')}"


def count_expected_steps(bundle: OpenedBundle) -> int:
    """Return how many steps each epoch has: by the bundle's own data, else as many as the first epoch has."""
    store = bundle.store
    if store is None:
        return sum(step.epoch == bundle.steps[0].epoch for step in bundle.steps) if bundle.steps else 0
    recipe = bundle.manifest.run.recipe
    users = np.count_nonzero(select_training_events(store, recipe).lengths >= MIN_EVENTS)
    return count_steps_per_epoch(int(users), num_all=store.num_users, settings=recipe.training)


def check_event_files(bundle: OpenedBundle) -> str:
    """The event files are whole and show the recorded steps and curve, and nothing else."""
    curve = expect_curve(bundle)
    shown = read_points(bundle, curve)
    expected = {**curve, **expect_losses(bundle, shown)}
    if unknown := sorted(shown.keys() - expected.keys()):
        raise ContentError(f"the event files show {list_some(unknown, at_most=3)}, which this run did not record")
    for tag, points in expected.items():
        require_points(tag, expected=points, found=shown.get(tag, []))
    require_sum(shown, bundle)
    return f"{sum(map(len, shown.values()))} points, whole, as recorded step by step and epoch by epoch"


def read_points(bundle: OpenedBundle, curve: Points) -> Points:
    """Return the points of the event files by tag; no more are kept than such a run can have written.

    Raises:
        ContentError: There are more, or of a tag that no run has; or a file is damaged.
    """
    tags = {*curve, *TAGS_OF_STEPS}
    most = sum(map(len, curve.values())) + len(TAGS_OF_STEPS) * len(bundle.steps)
    shown: dict[str, list[tuple[int, float]]] = defaultdict(list)
    for number, point in enumerate(iterate_points(bundle)):
        if point.tag not in tags:
            tag = printable(point.tag[:MAX_TAG_CHARACTERS])
            raise ContentError(f"the event files show {tag}, which this run did not record")
        if number == most:
            raise ContentError(f"the event files show more than {most} points, which are all that this run recorded")
        shown[point.tag].append((point.step, point.value))
    return shown


def iterate_points(bundle: OpenedBundle) -> Iterator[ScalarPoint]:
    """Yield the points of all event files, each as it is read."""
    for name in bundle.list_files_in(EVENTS_FOLDER):
        yield from stream_scalars(bundle.root / name)


def expect_curve(bundle: OpenedBundle) -> Points:
    """Return the points of every evaluation that the results record."""
    points: dict[str, list[tuple[int, float]]] = defaultdict(list)
    for record in bundle.results.epochs:
        for prefix in list_tags(bundle.manifest.run.recipe.evaluation, epoch=record.epoch):
            for metric, value in {**record.metrics, "coverage@10": record.coverage_at_10}.items():
                if value is not None:  # a mean over nobody has no point
                    points[f"{prefix}/{metric}"].append((record.epoch, value))
    return points


def expect_losses(bundle: OpenedBundle, shown: Points) -> Points:
    """Return the points of every recorded step; those of parts of the loss, which only these files keep, as shown."""
    recipe, steps = bundle.manifest.run.recipe, bundle.steps
    settings = recipe.training
    regular = [step for step in steps if step.number % settings.eval_interval == 0]
    losses = [(step.number, step.loss) for step in steps]
    weights = weigh_parts(recipe, shown)
    has_parts = bool(weights) or recipe.training.embedding_l2 is not None
    parts = {tag: shown.get(tag, []) for tag in (MAIN_LOSS, *weights)} if has_parts else {MAIN_LOSS: losses}
    points = {
        AR_LOSS: losses,
        "loss/train": [(step.number, step.loss) for step in regular],
        "lr": [(step.number, learning_rate_at(step.number, settings=settings)) for step in regular],
        **parts,
    }
    return points if steps else {}


def weigh_parts(recipe: Recipe, shown: Points) -> Mapping[str, float]:
    """Return the weight that each part of the loss has beside the positions', by its tag."""
    weights = {f"losses/{name}": weight for name, weight in recipe.loss.weights.items()} if recipe.mol else {}
    if recipe.prism is not None and LOAD_BALANCE in shown:
        weights[LOAD_BALANCE] = recipe.prism.load_balance_weight
    return weights


def require_penalty(shown: Points, bundle: OpenedBundle) -> None:
    """Raise ContentError if a step's loss is less with the norm of the tables than without it, or has no part."""
    points = shown.get(MAIN_LOSS, [])
    require_equal(f"steps of {MAIN_LOSS}", expected=len(bundle.steps), found=len(points))
    main = dict(points)
    for step in bundle.steps:
        value = main.get(step.number, math.nan)
        is_less = value <= step.loss + LOSS_SLACK * max(1.0, abs(step.loss))
        if not is_less and to_single(value) != to_single(step.loss):  # equal if both are NaN or infinite
            raise ContentError(f"{MAIN_LOSS}: without a penalty it is {value} at {step.number}, with it {step.loss}")


def require_sum(shown: Points, bundle: OpenedBundle) -> None:
    """Raise ContentError if the parts of a step's loss do not add up to it."""
    weights = weigh_parts(bundle.manifest.run.recipe, shown)
    if bundle.manifest.run.recipe.training.embedding_l2 is not None:
        require_penalty(shown, bundle)
    if not weights:
        return
    for tag in (MAIN_LOSS, *weights):
        require_equal(f"steps of {tag}", expected=len(bundle.steps), found=len(shown.get(tag, [])))
    main, parts = dict(shown[MAIN_LOSS]), {tag: dict(shown[tag]) for tag in weights}
    for step in bundle.steps:
        values = (weights[tag] * parts[tag].get(step.number, math.nan) for tag in weights)
        total = main.get(step.number, math.nan) + sum(values)
        is_near = abs(total - step.loss) <= LOSS_SLACK * max(1.0, abs(step.loss))
        if not is_near and to_single(total) != to_single(step.loss):  # equal if both are NaN or infinite
            raise ContentError(
                f"{MAIN_LOSS}: with {list_some([*weights], at_most=3)} it is {total} at {step.number}, not {step.loss}"
            )


def require_points(tag: str, *, expected: Sequence[tuple[int, float]], found: Sequence[tuple[int, float]]) -> None:
    """Raise ContentError if a tag shows other points than were recorded."""
    recorded = [(step, to_single(value)) for step, value in expected]
    shown = [(step, to_single(value)) for step, value in found]
    if shown == recorded:
        return
    pairs = zip(found, expected, shown, recorded, strict=False)
    difference = next(((one, other) for one, other, *bits in pairs if bits[0] != bits[1]), None)
    if difference is None:
        raise ContentError(f"{tag}: expected {count(len(recorded), 'point')}, found {len(shown)}")
    (step, value), (recorded_step, recorded_value) = difference
    raise ContentError(f"{tag}: expected {recorded_value} at {recorded_step}, found {value} at {step}")


def to_single(value: float) -> bytes:
    """Return the bytes of a value in the single precision that event files keep; NaN equals itself there."""
    with np.errstate(over="ignore"):  # infinite in single precision, as it was written
        return np.float32(value).tobytes() if not math.isnan(value) else b"nan"
