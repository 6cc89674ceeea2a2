"""How recipes compare with BASE over paired seeds and over the same users."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats

Scores = npt.NDArray[np.float64]
"""[seeds, users]: one metric of every user, seeds and users in one order for all recipes."""

CONFIDENCE = 0.95
POWER = 0.8


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """One recipe against BASE.

    Attributes:
        mean: Over seeds and users.
        half_width: Of the 95 % interval of the mean over seeds (Student's t).
        difference: To BASE, paired by seed; None for BASE itself.
        difference_half_width: Of its 95 % interval over seeds.
        difference_user_error: Standard error of the difference over users, averaged over seeds first.
        p_value: Of no difference, over seeds, as it is.
        p_holm: The same, corrected for the number of recipes (Holm, 1979).
        detectable: Smallest difference found with probability 0.8 at the uncorrected 5 %, given this spread over seeds.
    """

    mean: float
    half_width: float
    difference: float | None = None
    difference_half_width: float | None = None
    difference_user_error: float | None = None
    p_value: float | None = None
    p_holm: float | None = None
    detectable: float | None = None

    def to_json(self) -> dict[str, float | None]:
        """Return the figures by name."""
        return asdict(self)


def compare(scores: Mapping[str, Scores], *, base: str) -> dict[str, Comparison]:
    """Return each recipe's figures and its paired difference to `base`."""
    p_values = {name: p_of_no_difference(one - scores[base]) for name, one in scores.items() if name != base}
    corrected = dict(zip(p_values, correct_by_holm(list(p_values.values())), strict=True))
    return {
        name: describe(one, base=None if name == base else scores[base], p_holm=corrected.get(name))
        for name, one in scores.items()
    }


def describe(scores: Scores, *, base: Scores | None, p_holm: float | None) -> Comparison:
    """Return one recipe's figures."""
    means = scores.mean(1)
    if base is None:
        return Comparison(mean=float(means.mean()), half_width=half_width(means))
    difference = scores - base
    by_seed, by_user = difference.mean(1), difference.mean(0)
    return Comparison(
        mean=float(means.mean()),
        half_width=half_width(means),
        difference=float(by_seed.mean()),
        difference_half_width=half_width(by_seed),
        difference_user_error=float(by_user.std(ddof=1) / len(by_user) ** 0.5),
        p_value=p_of_no_difference(difference),
        p_holm=p_holm,
        detectable=detectable_difference(by_seed),
    )


def half_width(values: Scores) -> float:
    """Return the half-width of the 95 % t interval of a mean of values."""
    quantile = stats.t.ppf((1 + CONFIDENCE) / 2, len(values) - 1)
    return float(quantile * values.std(ddof=1) / len(values) ** 0.5)


def p_of_no_difference(difference: Scores) -> float:
    """Return the two-sided p of the t test that the seeds' mean differences [seeds, users] are around 0."""
    by_seed = difference.mean(1)
    if not by_seed.any():
        return 1.0
    return float(stats.ttest_1samp(by_seed, 0.0).pvalue)


def detectable_difference(by_seed: Scores) -> float:
    """Return the difference that this many seeds of this spread would find with probability 0.8."""
    degrees = len(by_seed) - 1
    quantiles = stats.t.ppf((1 + CONFIDENCE) / 2, degrees) + stats.t.ppf(POWER, degrees)
    return float(quantiles * by_seed.std(ddof=1) / len(by_seed) ** 0.5)


def correct_by_holm(p_values: list[float]) -> list[float]:
    """Return the p values corrected by Holm's step-down procedure, in the given order."""
    corrected = [0.0] * len(p_values)
    largest = 0.0
    for place, index in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        largest = max(largest, min(1.0, p_values[index] * (len(p_values) - place)))
        corrected[index] = largest
    return corrected
