"""One interval for the difference of two recipes' means over seeds, and how often it will decide.

The interval of Student's t for two groups of runs that share one spread. The spread is pooled from the scatter within
each group and from a declared one, each with its degrees of freedom as weight. At level 90 %, that the interval lies
within ± margin is the two one-sided tests of equivalence at 5 % each (Schuirmann, 1987).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from hstu_preserve.verdict.slack import SLACK

LEVEL = 0.90
"""Of the interval, two-sided."""
FIRST_LOOK_SHARE = 0.4
"""Of the error that is permitted, where the re-runs are looked at twice."""
LEAST_RERUNS_FOR_TWO_LOOKS = 4
LEAST_REFERENCES_FOR_TWO_LOOKS = 3
"""Against one recorded run, a first look saves a third of a run and costs 12 points of power."""
QUADRATURE_POINTS = 2000


class Place(StrEnum):
    """Where an interval lies, as seen from a margin on both sides of zero."""

    INSIDE = "inside"
    OUTSIDE = "outside"
    ACROSS = "across"


@dataclass(frozen=True, kw_only=True)
class Spread:
    """The standard deviation of a metric from run to run, and by how many degrees of freedom it is known."""

    value: float
    degrees: int


@dataclass(frozen=True, kw_only=True)
class Interval:
    """An interval for the mean of the re-runs less the mean of the references."""

    difference: float
    half_width: float
    spread: Spread

    def place(self, margin: float) -> Place:
        """Return where it lies; a rounding error of the last bits puts nothing on the other side of the margin."""
        if abs(self.difference) + self.half_width <= margin + SLACK:
            return Place.INSIDE
        if abs(self.difference) - self.half_width > margin + SLACK:
            return Place.OUTSIDE
        return Place.ACROSS


def pool(groups: Sequence[Sequence[float]], *, declared: Spread | None) -> Spread | None:
    """Return the spread within the groups, pooled with a declared one; None if nothing is known of it.

    Args:
        groups: The metric of each run, by group; a group of one run tells nothing.
        declared: A spread that was known before.
    """
    squares = math.fsum(sum_of_squares(group) for group in groups)
    degrees = sum(max(0, len(group) - 1) for group in groups)
    if declared is not None:
        squares += declared.value**2 * declared.degrees
        degrees += declared.degrees
    return Spread(value=math.sqrt(squares / degrees), degrees=degrees) if degrees else None


def sum_of_squares(values: Sequence[float]) -> float:
    """Return the sum of the squared distances from the mean; nothing has none."""
    if not values:
        return 0.0
    center = mean(values)
    return math.fsum((value - center) ** 2 for value in values)


def mean(values: Sequence[float]) -> float:
    """Return the mean, rounded once."""
    return math.fsum(values) / len(values)


def compare(
    reruns: Sequence[float], references: Sequence[float], *, declared: Spread | None, level: float = LEVEL
) -> Interval | None:
    """Return the interval of the difference, None if one run meets one run and no spread was declared.

    Args:
        reruns: The metric of each re-run, at least one.
        references: Of each recorded run, at least one: what is claimed is a run, too.
        declared: The spread that the claim states.
        level: Of the interval.
    """
    spread = pool([reruns, references], declared=declared)
    if spread is None:
        return None
    half_width = quantile(spread.degrees, level=level) * spread.value * standard_error(len(reruns), len(references))
    return Interval(difference=mean(reruns) - mean(references), half_width=half_width, spread=spread)


def quantile(degrees: int, *, level: float) -> float:
    """Return how many standard errors a two-sided interval of Student's t reaches to either side."""
    from scipy.special import stdtrit  # scipy.stats takes four times as long to import

    return float(stdtrit(degrees, (1 + level) / 2))


def standard_error(num_reruns: int, num_references: int) -> float:
    """Return the standard error of the difference of two means, in spreads."""
    return math.sqrt(1 / num_reruns + 1 / num_references)


def power(
    margin: float, *, num_reruns: int, num_references: int, spread: float, degrees: int, level: float = LEVEL
) -> float:
    """Return how often recipes without any difference come out inside the margin.

    Args:
        margin: On either side of zero.
        num_reruns: In the end.
        num_references: Recorded runs.
        spread: The true one.
        degrees: Of the spread that the final interval will be made with.
        level: Of the interval.
    """
    import numpy as np
    from scipy.special import gammaincinv, ndtr

    if spread == 0:
        return 1.0
    places = (np.arange(QUADRATURE_POINTS) + 0.5) / QUADRATURE_POINTS
    estimated = np.sqrt(2 * gammaincinv(degrees / 2, places) / degrees)  # over the true one
    error = standard_error(num_reruns, num_references)
    room = margin / (spread * error) - quantile(degrees, level=level) * estimated
    return float(np.mean(np.clip(2 * ndtr(room) - 1, 0, 1)))


def choose_looks(num_reruns: int, *, num_references: int) -> dict[int, float]:
    """Return after how many re-runs the interval is looked at, each with its level; a decided first look ends it.

    The errors of both looks add up to that of one interval at `LEVEL`.
    """
    if num_reruns < LEAST_RERUNS_FOR_TWO_LOOKS or num_references < LEAST_REFERENCES_FOR_TWO_LOOKS:
        return {num_reruns: LEVEL}
    error = 1 - LEVEL
    first = (num_reruns + 1) // 2
    return {first: 1 - error * FIRST_LOOK_SHARE, num_reruns: 1 - error * (1 - FIRST_LOOK_SHARE)}
