"""How far a metric moves if every score is computed in another arithmetic: from the users whose ranks move."""

import numpy as np

from hstu_preserve.evaluation.metrics import list_contributions
from hstu_preserve.evaluation.ranks import UserRanks

LEAST_SPREAD = 5e-5
DEVIATIONS = 4.0


def measure_spread(one: UserRanks, other: UserRanks) -> dict[str, float]:
    """Return by metric how far a third arithmetic of the same kind may be from the first.

    Which users move is chance, and each that moves changes the mean by its own amount. Independent changes d of U users
    give a mean that is within 4 √(Σ d²) / U, all but once in 16,000 times; a floor covers metrics that few users move.

    Args:
        one: The ranks of all users.
        other: Of the same users, in the other arithmetic.
    """
    first, second = list_contributions(one), list_contributions(other)
    spread = {}
    for name, values in first.items():
        change = values.astype(np.float64) - second[name].astype(np.float64)
        bound = DEVIATIONS * float(np.sqrt(np.square(change).sum())) / max(1, change.size)
        spread[name] = max(LEAST_SPREAD, bound)
    return spread
