"""Rank each user's target among the few items that were drawn for it.

Shape suffixes: B users, K items that are ranked (the target first), D model width.
"""

import torch
from torch import Tensor

from hstu_preserve.evaluation.ranking import COVERAGE_CUTOFF, MISS, NEAR_TIE, CandidateIndex
from hstu_preserve.evaluation.ranks import BatchRanks


def rank_sampled(
    user_BD: Tensor, *, index: CandidateIndex, item_BK: Tensor, tolerance: float | None = None
) -> BatchRanks:
    """Rank each target among its user's items: one more than the items that score strictly higher.

    An item that was drawn twice counts twice, as in the reference; the target itself, drawn again, is an exact tie. The
    reference leaves ties to an unstable sort; here a tied target is first among its equals, as exact ranks have it.

    Args:
        user_BD: User embeddings.
        index: The catalogue, which holds the drawn items.
        item_BK: int64 ids; a target that is no candidate or scored NaN has exact rank 0 and counts as a miss.
        tolerance: Other items whose score is so near the target's are counted as well; see `rank_batch`.
    """
    column_BK = index.columns(item_BK)
    score_BK = index.score_some(user_BD, column_BK.clamp(min=0))
    target_B1, other_BK = score_BK[:, :1], score_BK[:, 1:]
    is_rankable_B = (column_BK[:, 0] >= 0) & ~target_B1.isnan().squeeze(1)
    # Stable, so that a tied target, which is the first item, stands first among its equals.
    order_BK = torch.sort(score_BK, dim=1, descending=True, stable=True).indices
    gap_BK = other_BK - target_B1
    is_equal_BK = other_BK == target_B1
    # Negated, so that NaN counts as higher, as in `rank_batch`.
    rank_B = torch.where(is_rankable_B, (~(other_BK <= target_B1)).sum(1) + 1, 0)
    return BatchRanks(
        rank=rank_B,
        rank_topk=torch.where(is_rankable_B, (order_BK == 0).int().argmax(1) + 1, MISS),
        ties=count_where(is_equal_BK, is_rankable_B),
        near_ties=count_where(is_equal_BK | (gap_BK.abs() <= NEAR_TIE), is_rankable_B),
        is_recommended=find_first(column_BK, order_BK=order_BK, num_candidates=len(index.candidate_I)),
        within=None
        if tolerance is None
        else count_where(
            gap_BK.float().abs() <= index.tolerate(user_BD, tolerance)[:, None],
            is_rankable_B,
        ),
    )


def find_first(column_BK: Tensor, *, order_BK: Tensor, num_candidates: int) -> Tensor:
    """Return is_recommended_I (bool): which candidates are among the first ten of at least one user's own items."""
    first_B10 = column_BK.gather(1, order_BK[:, :COVERAGE_CUTOFF])
    # One more column takes a target that is no candidate, and is cut off again.
    found = torch.zeros(num_candidates + 1, dtype=torch.bool, device=column_BK.device)
    return found.scatter(0, first_B10.flatten() % (num_candidates + 1), value=True)[:-1]


def count_where(is_so_BK: Tensor, is_rankable_B: Tensor) -> Tensor:
    """Return how many items are so, 0 of a user whose target cannot be ranked."""
    return torch.where(is_rankable_B, is_so_BK.sum(1), 0)
