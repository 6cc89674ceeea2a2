"""Hold the curve of retrainings against the recorded curves: a diagnosis, which refutes and confirms nothing."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from hstu_preserve.primitives.wording import count
from hstu_preserve.records.claim import Claim
from hstu_preserve.records.verdict import Outcome, Rung, Verdict, list_facts
from hstu_preserve.verdict.slack import SLACK
from hstu_preserve.verdict.statistics import mean, quantile, standard_error, sum_of_squares

LEAST_CURVES = 5
"""Of which a band is made."""
LEVEL = 0.95
"""Of the band over all epochs together."""

Curve = Sequence[float]
"""A metric by epoch, from 0."""


@dataclass(frozen=True, kw_only=True)
class Band:
    """Where a curve lies at one epoch if it is one of the recorded kind.

    Attributes:
        low: Its lower end.
        high: Its upper end.
    """

    low: float
    high: float

    def holds(self, value: float) -> bool:
        """Whether a value lies within."""
        return self.low - SLACK <= value <= self.high + SLACK


def make_bands(recorded: Sequence[Curve], *, num_epochs: int, num_reruns: int) -> list[Band]:
    """Return the band of each epoch, whose errors add up to 5 % over all of them (Bonferroni).

    Args:
        recorded: At least two curves of at least `num_epochs` epochs.
        num_epochs: That are looked at.
        num_reruns: Curves whose mean is held against the band.
    """
    degrees = len(recorded) - 1
    reach = quantile(degrees, level=1 - (1 - LEVEL) / num_epochs) * standard_error(num_reruns, len(recorded))
    bands = []
    for epoch in range(num_epochs):
        values = [curve[epoch] for curve in recorded]
        half_width = reach * math.sqrt(sum_of_squares(values) / degrees)
        bands.append(Band(low=mean(values) - half_width, high=mean(values) + half_width))
    return bands


def judge_trajectory(claim: Claim, *, reruns: Sequence[Curve], recorded: Sequence[Curve]) -> Verdict:
    """Say where the mean curve of the retrainings leaves the band of the recorded curves, if it does.

    Args:
        claim: Whose metric the curves are of.
        reruns: The curve of each retraining that did not diverge, at least one.
        recorded: The curve of each recorded run.
    """
    num_epochs = min(map(len, [*reruns, *recorded]))
    curve = [mean([one[epoch] for one in reruns]) for epoch in range(num_epochs)]
    outcome = Outcome.INCONCLUSIVE
    if num_epochs == 0:
        reason = "no epoch was evaluated on both sides"
    elif len(recorded) < LEAST_CURVES:
        reason = describe_distance(curve, recorded)
    else:
        bands = make_bands(recorded, num_epochs=num_epochs, num_reruns=len(reruns))
        left = next((epoch for epoch, band in enumerate(bands) if not band.holds(curve[epoch])), None)
        named = f"the {100 * LEVEL:.0f} % band of {len(recorded)} recorded curves"
        if left is None:
            every = f"all {num_epochs} epochs" if num_epochs > 1 else "its one epoch"
            reason = f"inside {named} at {every}, which refutes nothing and confirms nothing"
        else:
            outcome = Outcome.NOT_REPRODUCED
            band = f"({curve[left]:.4f}, band {bands[left].low:.4f} to {bands[left].high:.4f})"
            reason = f"leaves {named} at epoch {left} {band}{', inside before' if left else ''}"
    return Verdict(
        rung=Rung.TRAJECTORY,
        outcome=outcome,
        claim=claim.policy.name,
        reason=reason,
        evidence=list_facts(
            metric=claim.policy.metric, epochs=num_epochs, curves=len(recorded), retrainings=len(reruns)
        ),
        is_required=False,
    )


def describe_distance(curve: Curve, recorded: Sequence[Curve]) -> str:
    """Return where a curve is furthest from the mean of too few recorded curves for a band."""
    distances = [abs(value - mean([one[epoch] for one in recorded])) for epoch, value in enumerate(curve)]
    furthest = max(range(len(distances)), key=distances.__getitem__)
    makes = "makes" if len(recorded) == 1 else "make"
    return (
        f"{count(len(recorded), 'recorded curve')} {makes} no band ({LEAST_CURVES} do): largest distance "
        f"{distances[furthest]:.4f} at epoch {furthest}"
    )
