"""The least that a metric scatters from seed to seed: what a finite number of users alone causes.

Two runs of one recipe rank each user a little otherwise. If users' differences are independent, the mean over U users
of one run scatters by their standard deviation / √(2U): a difference of two runs has the variance of both. What a seed
does to all users at once comes on top, so that this is a lower bound.
"""

import math
from collections.abc import Sequence

import numpy as np

from hstu_preserve.evaluation.metrics import list_contributions
from hstu_preserve.evaluation.ranks import UserRanks
from hstu_preserve.verdict.agreement import Floor


def find_floor(recorded: UserRanks, others: Sequence[UserRanks], *, metric: str) -> Floor | None:
    """Return the floor by all pairs of the recorded run with another one of the same users.

    Args:
        recorded: The ranks of the run behind the claim.
        others: Of runs with other seeds; those of other users or targets say nothing.
        metric: Which one.

    Returns:
        None if no pair is there, or the metric counts fewer than two users.
    """
    values = list_contributions(recorded)[metric].astype(np.float64)
    paired = [other for other in others if is_of_same_users(other, recorded)]
    if not paired or values.size < 2:
        return None
    variances = [np.var(list_contributions(other)[metric].astype(np.float64) - values, ddof=1) for other in paired]
    return Floor(value=math.sqrt(float(np.mean(variances)) / (2 * values.size)), num_users=values.size)


def is_of_same_users(one: UserRanks, other: UserRanks) -> bool:
    """Whether two evaluations ranked the same users against the same targets."""
    return all(
        np.array_equal(getattr(one, name), getattr(other, name))
        for name in ("user_ids", "target_ids", "target_half_stars")
    )
