"""Continue a bundle's run from a checkpoint before its last, and hold every loss against the recorded one."""

import math
from dataclasses import dataclass

import torch

from hstu_preserve.bundle.layout import CHECKPOINT_FOLDER
from hstu_preserve.checkpoint_files.names import epoch_of_name
from hstu_preserve.compute.determinism import repeatable_arithmetic
from hstu_preserve.data.store import Store
from hstu_preserve.errors import ContentError, NotRunnableError
from hstu_preserve.primitives.voice import Progress, Voice
from hstu_preserve.primitives.wording import count
from hstu_preserve.reruns.opened_bundle import OpenedBundle, RecordedStep
from hstu_preserve.training.checkpoint import Checkpoint, capture_state, read_checkpoint, read_position, state_digest
from hstu_preserve.training.events import StepEvent
from hstu_preserve.training.loop import TrainingRun
from hstu_preserve.verdict.resumption import NUMERIC_STEPS, ResumeComparison


@dataclass(frozen=True, kw_only=True)
class Stretch:
    """The part of a recorded run that can be run again.

    Attributes:
        start: The checkpoint to continue from.
        last_epoch: The run's last, from 0.
        steps: Recorded between the two.
    """

    start: Checkpoint
    last_epoch: int
    steps: tuple[RecordedStep, ...]


@dataclass(frozen=True, kw_only=True)
class Continued:
    """The outcome of a stretch that was run again.

    Attributes:
        losses: One per step.
        state_sha256: Of the state at the run's end, None if the steps ended before it.
    """

    losses: list[float]
    state_sha256: str | None


def find_stretch(bundle: OpenedBundle) -> Stretch:
    """Return the part of the run after its last checkpoint but one.

    Raises:
        NotRunnableError: The bundle holds no such checkpoint, or does not record every step after it.
        ContentError: A checkpoint or the recorded steps are not of this run.
    """
    names = sorted(
        (epoch, name) for name in bundle.list_files_in(CHECKPOINT_FOLDER) if (epoch := epoch_of_name(name)) is not None
    )
    if len(names) < 2:
        raise NotRunnableError(
            f"the bundle holds {count(len(names), 'checkpoint')} after an epoch, so there is none before the last"
        )
    (epoch, name), (last_epoch, last_name) = names[-2:]
    start = read_end_of_epoch(bundle, name, epoch=epoch)
    end = read_end_of_epoch(bundle, last_name, epoch=last_epoch)
    first, last = read_position(start).batch_id, read_position(end).batch_id
    if first >= last:
        raise ContentError(f"{name}: after {first} steps, which is no step before {last_name}, after {last}")
    steps = tuple(step for step in bundle.steps if first <= step.number < last)
    if [step.number for step in steps] != list(range(first, last)):
        raise NotRunnableError(f"the bundle does not record every step between {name} and {last_name}")
    return Stretch(start=start, last_epoch=last_epoch, steps=steps)


def read_end_of_epoch(bundle: OpenedBundle, name: str, *, epoch: int) -> Checkpoint:
    """Return a checkpoint of the bundle's run that was written after the epoch that it is named after.

    Raises:
        CheckpointError: It cannot be read, or does not say where the run stood.
        ContentError: It is of another run or another place in it.
    """
    checkpoint = read_checkpoint(bundle.root / name)
    run = bundle.manifest.run
    if checkpoint.recipe_sha256 != run.recipe_sha256 or checkpoint.data_fingerprint != run.data.fingerprint:
        raise ContentError(f"{name}: of another recipe or dataset than the bundle's")
    position = read_position(checkpoint)
    if (position.finished_epoch, position.epoch_steps) != (epoch, 0):
        raise ContentError(
            f"{name}: not of the end of epoch {epoch}, but {position.epoch_steps} steps after epoch "
            f"{position.finished_epoch}"
        )
    return checkpoint


def continue_run(
    stretch: Stretch,
    bundle: OpenedBundle,
    *,
    store: Store,
    device: torch.device,
    max_steps: int | None,
    voice: Voice,
) -> ResumeComparison:
    """Take the steps again and compare.

    Args:
        stretch: The steps.
        bundle: Records them.
        store: The bundle's data.
        device: Where the model lives.
        max_steps: How many steps at most; None goes to the run's end and compares the final state, too.
        voice: Shows each step.

    Raises:
        CheckpointError: Training cannot go on from the checkpoint.
    """
    recipe = bundle.manifest.run.recipe
    path = bundle.manifest.run.environment.training_path
    recorded = [step.loss for step in stretch.steps[:max_steps]]
    with repeatable_arithmetic(tf32=recipe.training.enable_tf32):
        training = TrainingRun(recipe, store, device=device, path=path)
        training.restore(stretch.start)
        continued = take_steps(
            training, stretch, num_wanted=len(recorded), data_fingerprint=store.fingerprint, voice=voice
        )
    return ResumeComparison(
        checkpoint=stretch.start.path.name,
        num_steps=len(continued.losses),
        num_recorded=len(recorded),
        num_equal=count_equal(continued.losses, recorded),
        largest_difference=max(map(relative_difference, continued.losses[:NUMERIC_STEPS], recorded), default=0.0),
        state_sha256=continued.state_sha256,
        recorded_sha256=bundle.results.state_sha256,
        training_path=path,
    )


def take_steps(
    training: TrainingRun, stretch: Stretch, *, num_wanted: int, data_fingerprint: str, voice: Voice
) -> Continued:
    """Train to the end of the stretch, or until as many steps are taken as are wanted, if those are fewer.

    Args:
        training: The loop, at the stretch's beginning.
        stretch: The recorded part of the run.
        num_wanted: Steps that will be compared.
        data_fingerprint: Is part of the state.
        voice: Shows each step.
    """
    losses: list[float] = []
    for event in training.epochs():
        if isinstance(event, StepEvent):
            losses.append(event.loss)
            figures = {"loss": event.loss}
            voice.show(Progress(activity="resuming", completed=len(losses), total=num_wanted, figures=figures))
            if len(losses) == num_wanted < len(stretch.steps):
                break
        elif event.epoch == stretch.last_epoch:
            # As the run's last checkpoint has it: the epoch counts as finished, though no evaluation follows here.
            position = training.position.after_epoch()
            state = capture_state(
                training.model,
                training.optimizer,
                position=position,
                recipe=training.recipe,
                data_fingerprint=data_fingerprint,
            )
            return Continued(losses=losses, state_sha256=state_digest(state))
    return Continued(losses=losses, state_sha256=None)


def count_equal(found: list[float], recorded: list[float]) -> int:
    """Return how many values from the first on are equal to the bit."""
    # As hexadecimal text: NaN equals itself there, and 0.0 is not -0.0.
    pairs = list(zip(found, recorded, strict=False))
    return next((place for place, (one, other) in enumerate(pairs) if one.hex() != other.hex()), len(pairs))


def relative_difference(found: float, recorded: float) -> float:
    """Return how far apart two losses are, as a share of the recorded one; infinite if one is not finite."""
    if found.hex() == recorded.hex():
        return 0.0
    share = abs(found - recorded) / max(abs(recorded), 1e-30)  # a recorded loss may be 0
    return share if math.isfinite(share) else math.inf
