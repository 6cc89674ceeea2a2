"""What a training cost, from the times that its event file records."""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

from hstu_preserve.event_files.reader import ScalarPoint
from hstu_preserve.primitives.metric_names import EPOCH_TAG
from hstu_preserve.primitives.numbers import LARGEST_FLOAT

LOSS_TAG = "losses/ar_loss"
"""Of every step."""
EVALUATION_TAG = f"{EPOCH_TAG}/ndcg@10"
"""Of every epoch's evaluation, written when it ends."""


@dataclass(frozen=True, kw_only=True)
class Cost:
    """The time that a training took.

    Attributes:
        seconds: All steps and evaluations at their median times, so that a pause between two parts of a run that was
            cut and resumed does not count.
        steps_per_second: Of training, evaluations apart; by the median step.
    """

    seconds: float
    steps_per_second: float


def measure_cost(points: Iterable[ScalarPoint]) -> Cost | None:
    """Return the cost of a training; None if no two steps of one epoch were recorded, or the times make no sense.

    Args:
        points: Of its event file, in the order in which they were written.
    """
    own = [point for point in points if point.tag in {LOSS_TAG, EVALUATION_TAG}]
    after_a_step = [(one, other) for one, other in pairwise(own) if one.tag == LOSS_TAG]
    steps = [other.wall_time - one.wall_time for one, other in after_a_step if other.tag == LOSS_TAG]
    evaluations = [other.wall_time - one.wall_time for one, other in after_a_step if other.tag == EVALUATION_TAG]
    if not steps or not all(abs(point.wall_time) < LARGEST_FLOAT for point in own):
        return None
    step = median(steps)
    num_steps = sum(point.tag == LOSS_TAG for point in own)
    seconds = num_steps * step + len(evaluations) * median(evaluations or [0.0])
    return Cost(seconds=seconds, steps_per_second=1 / step) if 0 < seconds < LARGEST_FLOAT and step > 1e-9 else None
