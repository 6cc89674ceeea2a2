"""Compare a run that was trained anew with the recorded seed, step by step, with the recorded one."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from hstu_preserve.bundle.layout import STEPS
from hstu_preserve.primitives.files import read_small
from hstu_preserve.reruns.continuation import relative_difference
from hstu_preserve.reruns.opened_bundle import MAX_STEPS_BYTES, OpenedBundle, RecordedStep, parse_steps
from hstu_preserve.verdict.same_draw import LossComparison


def compare_first_epoch(retrained: Path, bundle: OpenedBundle) -> LossComparison:
    """Compare the losses of the first epoch of a run directory with those that a bundle records."""
    found = list(list_losses(parse_steps(read_small(retrained / STEPS, max_bytes=MAX_STEPS_BYTES))))
    recorded = list(list_losses(bundle.steps))
    return LossComparison(
        differences=tuple(map(relative_difference, found, recorded)),  # of the steps that both took
        num_steps=len(found),
        num_recorded=len(recorded),
    )


def list_losses(steps: Iterable[RecordedStep]) -> Iterator[float]:
    """Yield the losses of the first epoch."""
    return (step.loss for step in steps if step.epoch == 0)
