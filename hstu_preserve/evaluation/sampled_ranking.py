"""Rank each user's target among the few items that were drawn for it.

Shape suffixes: B users, K items that are ranked (the target first), D model width.
"""

import torch
from torch import Tensor

from hstu_preserve.evaluation.ranking import MISS, NEAR_TIE, CandidateIndex
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
    embedding_BKD = index.embedding_DI.t()[column_BK.clamp(min=0)]
    score_BK = torch.einsum("bd,bkd->bk", user_BD, embedding_BKD)
    target_B1, other_BK = score_BK[:, :1], score_BK[:, 1:]
    is_rankable_B = (column_BK[:, 0] >= 0) & ~target_B1.isnan().squeeze(1)
    gap_BK = other_BK - target_B1
    is_equal_BK = other_BK == target_B1
    # Negated, so that NaN counts as higher, as in `rank_batch`.
    rank_B = torch.where(is_rankable_B, (~(other_BK <= target_B1)).sum(1) + 1, 0)
    return BatchRanks(
        rank=rank_B,
        rank_topk=torch.where(is_rankable_B, place_first(score_BK), MISS),
        ties=count_where(is_equal_BK, is_rankable_B),
        near_ties=count_where(is_equal_BK | (gap_BK.abs() <= NEAR_TIE), is_rankable_B),
        is_recommended=torch.zeros(len(index.candidate_I), dtype=torch.bool, device=user_BD.device),
        within=None
        if tolerance is None
        else count_where(
            gap_BK.float().abs() <= (tolerance * index.typical_norm * user_BD.float().norm(dim=1))[:, None],
            is_rankable_B,
        ),
    )


def place_first(score_BK: Tensor) -> Tensor:
    """Return the place of the first item, from 1, in an order by score that keeps equal scores as they are."""
    order_BK = torch.sort(score_BK, dim=1, descending=True, stable=True).indices
    return (order_BK == 0).int().argmax(1) + 1


def count_where(is_so_BK: Tensor, is_rankable_B: Tensor) -> Tensor:
    """Return how many items are so, 0 of a user whose target cannot be ranked."""
    return torch.where(is_rankable_B, is_so_BK.sum(1), 0)
