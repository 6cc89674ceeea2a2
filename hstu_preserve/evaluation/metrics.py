"""Metrics from ranks, as upstream defines them (arXiv:2402.17152, section 4.1.1): means over users, in float64."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from hstu_preserve.evaluation.ranking import MAX_K, MISS
from hstu_preserve.evaluation.ranks import BoolArray, Int64Array, UserRanks
from hstu_preserve.records.evaluation import TiedMetric

HIT_RATE_CUTOFFS = (1, 10, 50, 100, 200, 500, 1000)
NDCG_CUTOFFS = (1, 10, 50, 100, 200)
LIKED_HALF_STARS = 8  # the `_>=4` family counts targets of 4 stars or more
MAX_SUMMED = 2**20
"""Harmonic numbers up to this one are summed; later ones are approximated to 1e-12, so that no table grows large."""


Values = npt.NDArray[np.bool_] | npt.NDArray[np.float64]
"""Of one metric, user by user."""


def hit(ranks: Int64Array, cutoff: int) -> Values:
    """Return whether each rank is up to the cutoff."""
    return np.asarray(ranks <= cutoff)


def gain(ranks: Int64Array, cutoff: int) -> Values:
    """Return 1 / log2(rank + 1) for each rank up to the cutoff, else 0: NDCG with one relevant item."""
    return np.where(ranks <= cutoff, 1.0 / np.log2(ranks + 1.0), 0.0)


def reciprocal_rank(ranks: Int64Array) -> Values:
    """Return 1 / rank of each; upstream's clamp gives a miss 1 / 2501."""
    return 1.0 / ranks


def mean(values: Values) -> float | None:
    """Return the mean in float64, None for nobody: a number would look like a result."""
    return float(np.mean(values, dtype=np.float64)) if values.size else None


def compute_metrics(users: UserRanks) -> dict[str, float | None]:
    """Return upstream's metrics by upstream's names, from the clamped ranks; None for a mean over nobody."""
    return {name: mean(values) for name, values in list_contributions(users).items()}


def list_contributions(users: UserRanks) -> dict[str, Values]:
    """Return by metric what each user that it counts contributes to its mean, from the clamped ranks."""
    ranks = users.ranks_topk
    liked = ranks[users.target_half_stars >= LIKED_HALF_STARS]
    return {
        **{f"ndcg@{k}": gain(ranks, k) for k in NDCG_CUTOFFS},
        **{f"hr@{k}": hit(ranks, k) for k in HIT_RATE_CUTOFFS},
        "mrr": reciprocal_rank(ranks),
        "ndcg@10_>=4": gain(liked, 10),
        "hr@10_>=4": hit(liked, 10),
        "hr@50_>=4": hit(liked, 50),
        "mrr_>=4": reciprocal_rank(liked),
    }


def exact_reciprocal_rank(users: UserRanks) -> float | None:
    """Return the mean reciprocal of the exact ranks; a target that cannot be ranked counts 0.

    A tied target counts the mean of 1 / place over the places that it could take among its equals, which is what an
    order drawn at random would give on average. Its best place alone would make a model that scores all items alike
    perfect.
    """
    reciprocal = np.where(users.ranks > 0, 1.0 / np.maximum(users.ranks, 1), 0.0)
    is_tied = (users.ties > 0) & (users.ranks > 0)
    if is_tied.any():
        first, last = users.ranks[is_tied], (users.ranks + users.ties)[is_tied]
        reciprocal[is_tied] = (harmonic(last) - harmonic(first - 1)) / (last - first + 1)
    return mean(reciprocal)


def harmonic(n: Int64Array) -> npt.NDArray[np.float64]:
    """Return 1 + 1/2 + … + 1/n for each n from 0."""
    size = min(int(n.max()), MAX_SUMMED)
    summed = np.concatenate([[0.0], np.cumsum(1.0 / np.arange(1, size + 1))])
    large = np.maximum(n, MAX_SUMMED).astype(np.float64)
    approximated = np.log(large) + np.euler_gamma + 1.0 / (2.0 * large)
    return np.where(n <= MAX_SUMMED, summed[np.minimum(n, size)], approximated)


def bound_by_ties(users: UserRanks) -> dict[str, TiedMetric] | None:
    """Return what each metric, and `exact_mrr`, would be with all ties for the target and with all against it.

    Upstream's evaluator leaves the order of equal scores to `torch.topk`, so that its metrics lie anywhere between.

    Returns:
        None if no user has an exact tie: each metric has one value then.
    """
    if not (users.ties > 0).any():
        return None
    best, worst = place_ties(users, users.ranks), place_ties(users, users.ranks + users.ties)
    ties_for, ties_against = compute_metrics(best), compute_metrics(worst)
    ties_for["exact_mrr"], ties_against["exact_mrr"] = exact_reciprocal_rank(best), exact_reciprocal_rank(worst)
    return {name: TiedMetric(ties_for=ties_for[name], ties_against=ties_against[name]) for name in ties_for}


def place_ties(users: UserRanks, ranks: Int64Array) -> UserRanks:
    """Return the users with these exact ranks of their tied targets, and nobody tied."""
    is_tied = users.ties > 0
    return replace(
        users,
        ranks=np.where(is_tied, ranks, users.ranks),
        ranks_topk=np.where(is_tied, np.where(ranks <= MAX_K, ranks, MISS), users.ranks_topk),
        ties=np.zeros_like(users.ties),
    )


def coverage(is_recommended: Sequence[BoolArray]) -> float:
    """Return the share of candidates that are recommended in at least one batch of users."""
    return float(np.mean(np.logical_or.reduce(is_recommended), dtype=np.float64))
