"""Tests of whether two recipes differ: over pairs of runs or users, or over two groups of runs.

Each is Student's t, two-sided, as scipy.stats' `ttest_rel` and `ttest_ind` have it; scipy.stats itself takes four times
as long to import as the special functions that are used here.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hstu_preserve.verdict.statistics import mean, pool, quantile, standard_error

LEVEL = 0.95
"""Of every interval of a study, two-sided."""
POWER = 0.8
"""With which the detectable difference would be found."""

Values = Sequence[float] | npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """A mean difference.

    Attributes:
        difference: The mean of ours less the mean of theirs.
        half_width: Of its interval at `LEVEL`; None if nothing is known of the scatter.
        p_value: Of no difference; None likewise, and if there is no scatter at all.
    """

    difference: float
    half_width: float | None
    p_value: float | None


def compare_pairs(ours: Values, theirs: Values) -> Estimate:
    """Return the paired t test, as `scipy.stats.ttest_rel`.

    Args:
        ours: One value per pair.
        theirs: The other values, in the same order.
    """
    differences = np.asarray(ours, dtype=np.float64) - np.asarray(theirs, dtype=np.float64)
    center = float(differences.mean())
    if len(differences) < 2:
        return Estimate(difference=center, half_width=None, p_value=None)
    error = float(differences.std(ddof=1)) / math.sqrt(len(differences))
    return judge(center, error=error, degrees=len(differences) - 1)


def compare_groups(ours: Sequence[float], theirs: Sequence[float]) -> Estimate:
    """Return the t test of two groups that share one spread, as `scipy.stats.ttest_ind`."""
    center, spread = mean(ours) - mean(theirs), pool([ours, theirs], declared=None)
    if spread is None:
        return Estimate(difference=center, half_width=None, p_value=None)
    return judge(center, error=spread.value * standard_error(len(ours), len(theirs)), degrees=spread.degrees)


def judge(difference: float, *, error: float, degrees: int) -> Estimate:
    """Return a difference with its interval and p value.

    Args:
        difference: The mean one.
        error: Its standard error. Without any scatter, a test would call the smallest difference certain.
        degrees: Of freedom by which the error is known.
    """
    from scipy.special import stdtr

    if error == 0:
        return Estimate(difference=difference, half_width=0.0, p_value=None if difference else 1.0)
    return Estimate(
        difference=difference,
        half_width=quantile(degrees, level=LEVEL) * error,
        p_value=float(2 * stdtr(degrees, -abs(difference) / error)),
    )


def correct_by_holm(p_values: Sequence[float | None]) -> list[float | None]:
    """Return p values corrected by Holm's step-down procedure (1979), in the given order; None is no test."""
    tested = [(p, index) for index, p in enumerate(p_values) if p is not None]
    corrected: list[float | None] = [None] * len(p_values)
    largest = 0.0
    for place, (p, index) in enumerate(sorted(tested)):
        largest = max(largest, min(1.0, p * (len(tested) - place)))
        corrected[index] = largest
    return corrected


def find_detectable(*, error: float, degrees: int) -> float:
    """Return the difference that a two-sided test at 5 % finds with a probability of `POWER`.

    Args:
        error: The standard error of the difference, taken as the true one.
        degrees: Of freedom of the test.
    """
    from scipy.special import nctdtrinc

    return float(nctdtrinc(degrees, 1 - POWER, quantile(degrees, level=LEVEL))) * error
