"""Metrics from ranks, as upstream defines them (arXiv:2402.17152, section 4.1.1): means over users, in float64."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from hstu_preserve.evaluation.ranks import BoolArray, Int64Array, UserRanks

HIT_RATE_CUTOFFS = (1, 10, 50, 100, 200, 500, 1000)
NDCG_CUTOFFS = (1, 10, 50, 100, 200)
LIKED_HALF_STARS = 8  # the `_>=4` family counts targets of 4 stars or more


def hit_rate(ranks: Int64Array, cutoff: int) -> float:
    """Return the share of ranks up to the cutoff."""
    return mean(ranks <= cutoff)


def ndcg(ranks: Int64Array, cutoff: int) -> float:
    """Return the mean of 1 / log2(rank + 1) for ranks up to the cutoff: NDCG with one relevant item."""
    return mean(np.where(ranks <= cutoff, 1.0 / np.log2(ranks + 1.0), 0.0))


def reciprocal_rank(ranks: Int64Array) -> float:
    """Return the mean of 1 / rank; upstream's clamp gives a miss 1 / 2501."""
    return mean(1.0 / ranks)


def mean(values: npt.NDArray[np.bool_] | npt.NDArray[np.float64]) -> float:
    """Return the mean in float64, 0 for nothing."""
    return float(np.mean(values, dtype=np.float64)) if values.size else 0.0


def compute_metrics(users: UserRanks) -> dict[str, float]:
    """Return upstream's metrics by upstream's names, from the clamped ranks."""
    ranks = users.ranks_topk
    liked = ranks[users.target_half_stars >= LIKED_HALF_STARS]
    return {
        **{f"ndcg@{k}": ndcg(ranks, k) for k in NDCG_CUTOFFS},
        **{f"hr@{k}": hit_rate(ranks, k) for k in HIT_RATE_CUTOFFS},
        "mrr": reciprocal_rank(ranks),
        "ndcg@10_>=4": ndcg(liked, 10),
        "hr@10_>=4": hit_rate(liked, 10),
        "hr@50_>=4": hit_rate(liked, 50),
        "mrr_>=4": reciprocal_rank(liked),
    }


def exact_reciprocal_rank(users: UserRanks) -> float:
    """Return the mean reciprocal of the exact ranks; a target that cannot be ranked counts 0."""
    rankable = users.ranks > 0
    return mean(np.where(rankable, 1.0 / np.maximum(users.ranks, 1), 0.0))


def coverage(is_recommended: Sequence[BoolArray]) -> float:
    """Return the share of candidates that are recommended in at least one batch of users."""
    return mean(np.logical_or.reduce(is_recommended))
