"""Gather what an archive holds of its own run: the curves over the test items, every point of them."""

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from hstu_preserve.legacy.metric_spellings import split_test_tag
from hstu_preserve.primitives.metric_names import EPOCH_TAG, FULL_EPOCH_TAG
from hstu_preserve.records.legacy.shown import ShownChain, ShownCheckpoint
from hstu_preserve.verdict.recorded import EvaluationCurve, RecordedPoint, RecordedRun

if TYPE_CHECKING:
    from hstu_preserve.event_files.reader import ScalarPoint

MAX_POINTS = 200_000
"""Of all metrics over the test items; a run of 101 epochs has 3,434."""
FULL_EVERY = "train_fn.full_eval_every_n"

Points = dict[int, list[RecordedPoint]]


@dataclass(kw_only=True)
class EvaluatedPoints:
    """The points over the test items that event files hold, by prefix, metric and epoch."""

    found: defaultdict[tuple[str, str], Points] = field(default_factory=lambda: defaultdict(dict))
    num_files: int = 0
    num_points: int = 0

    def take(self, points: "Iterable[ScalarPoint]", *, file: str) -> None:
        """Keep the points of a file that are of metrics over the test items; one that is no number is none."""
        self.num_files += 1
        for point in points:
            named = split_test_tag(point.tag)
            if named is not None and math.isfinite(point.value) and not self.is_cut:
                self.num_points += 1
                one = RecordedPoint(value=point.value, wall_time=point.wall_time, file=file)
                self.found[named].setdefault(point.step, []).append(one)

    @property
    def is_cut(self) -> bool:
        """Whether there may be more points than were kept."""
        return self.num_points == MAX_POINTS


def describe_run(
    points: EvaluatedPoints, *, chains: Iterable[ShownChain], checkpoints: Iterable[ShownCheckpoint]
) -> RecordedRun:
    """Return what an archive holds of its run, evaluations of everybody told from those of a part of the users."""
    every = max(list_full_intervals(chains), default=1)
    metrics = sorted({metric for _, metric in points.found})
    return RecordedRun(
        curves={metric: make_curve(points, metric=metric, every=every) for metric in metrics},
        num_event_files=points.num_files,
        checkpoint_epochs=tuple(one.epoch for one in checkpoints if one.epoch is not None),
    )


def make_curve(points: EvaluatedPoints, *, metric: str, every: int) -> EvaluationCurve:
    """Return one metric's curve.

    Upstream writes each evaluation under `eval_epoch`, and one of everybody under `eval_epoch_full` as well, unless
    everybody is evaluated at every epoch. It evaluates everybody at epochs that `full_eval_every_n` divides.
    """
    full = points.found.get((FULL_EPOCH_TAG, metric), {})
    each = points.found.get((EPOCH_TAG, metric), {})
    whole = full or {epoch: found for epoch, found in each.items() if epoch % every == 0}
    return EvaluationCurve(whole=whole, partial=frozenset(each.keys() - whole.keys()))


def list_full_intervals(chains: Iterable[ShownChain]) -> Iterator[int]:
    """Yield after how many epochs each chain evaluates everybody, as far as it says so in plain digits."""
    for chain in chains:
        for binding in chain.known:
            if binding.name == FULL_EVERY and binding.value.isascii() and binding.value.isdecimal():
                yield max(1, int(binding.value))
