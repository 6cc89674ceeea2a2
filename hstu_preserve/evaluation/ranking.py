"""Two evaluators over one score tensor: upstream's top-k with its clamp, and exact rank counting.

Shape suffixes: B users, I candidates, S seen items, K places at the top, D model width.
"""

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from hstu_preserve.evaluation.ranks import BatchRanks

MAX_K = 2500  # upstream's clamp
MISS = MAX_K + 1  # upstream's rank for a target outside the top 2,500
NEAR_TIE = 1e-6
"""Difference of scores within which ranks may swap between implementations, batch sizes or shards."""
COVERAGE_CUTOFF = 10


class CandidateIndex:
    """The catalogue: the items among which each user's target is ranked.

    Args:
        candidate_I: int64 item ids, each once.
        embedding_ID: Of the candidates; a score is the dot product of user and candidate.
        max_item_id: Largest id that may occur in a history.
    """

    def __init__(self, candidate_I: Tensor, embedding_ID: Tensor, *, max_item_id: int) -> None:
        self.candidate_I = candidate_I
        self.embedding_DI = embedding_ID.t()
        self.column_of_item = torch.full((max_item_id + 1,), -1, dtype=torch.int64, device=candidate_I.device)
        self.column_of_item[candidate_I] = torch.arange(len(candidate_I), device=candidate_I.device)

    @cached_property
    def typical_norm(self) -> Tensor:
        """The median norm of the candidates' embeddings, 1 if normalised; one item could raise a mean at will."""
        norm: Tensor = self.embedding_DI.float().norm(dim=0).median()
        return norm

    @cached_property
    def largest_norm(self) -> float:
        """The largest norm of a candidate's embedding."""
        return float(self.embedding_DI.float().norm(dim=0).amax())

    def score(self, user_BD: Tensor) -> Tensor:
        """Return score_BI of all candidates."""
        return user_BD @ self.embedding_DI

    def score_some(self, user_BD: Tensor, column_BK: Tensor) -> Tensor:
        """Return score_BK of each user's own candidates, by their columns (int64)."""
        return torch.einsum("bd,bkd->bk", user_BD, self.embedding_DI.t()[column_BK])

    def tolerate(self, user_BD: Tensor, tolerance: float) -> Tensor:
        """Return tolerance_B, the largest difference of scores that is near; errors grow with the norms."""
        tolerance_B: Tensor = tolerance * self.typical_norm * user_BD.float().norm(dim=1)
        return tolerance_B

    def columns(self, item: Tensor) -> Tensor:
        """Return the column of each item id, -1 if it is no candidate (any shape, int64)."""
        is_known = (item >= 0) & (item < len(self.column_of_item))
        return torch.where(is_known, self.column_of_item[item.clamp(0, len(self.column_of_item) - 1)], -1)

    def seen_mask(self, seen_BS: Tensor) -> Tensor:
        """Return seen_BI (bool): which candidates are among each user's items (0 is padding)."""
        column_BS = self.columns(seen_BS)
        # One more column takes what is no candidate, and is cut off again.
        mask = torch.zeros(len(seen_BS), len(self.candidate_I) + 1, dtype=torch.bool, device=seen_BS.device)
        return mask.scatter(1, column_BS % (len(self.candidate_I) + 1), value=True)[:, :-1]


def rank_batch(
    user_BD: Tensor,
    *,
    index: CandidateIndex,
    seen_BS: Tensor,
    target_B: Tensor,
    score_chunk: int | None,
    tolerance: float | None = None,
) -> BatchRanks:
    """Rank each user's target among the candidates that the user has not seen.

    Args:
        user_BD: User embeddings.
        index: The catalogue.
        seen_BS: int64 ids to filter out, 0 is padding.
        target_B: int64 ids; one that is filtered out, no candidate or scored NaN (by a diverged model) has exact rank 0
            and counts as a miss.
        score_chunk: Users scored at once; None scores all together.
        tolerance: Other candidates whose score is so near the target's are counted as well, if the embeddings have norm
            1; of others, the tolerance grows with their norms, as rounding errors do. None counts none.
    """
    score_BI = multiply(user_BD, index=index, score_chunk=score_chunk)
    eligible_BI = ~index.seen_mask(seen_BS)
    column_B = index.columns(target_B)
    target_score_B1 = score_BI.gather(1, column_B.clamp(min=0)[:, None])
    eligible_B1 = eligible_BI.gather(1, column_B.clamp(min=0)[:, None])
    rankable_B = (column_B >= 0) & (eligible_B1 & ~target_score_B1.isnan()).squeeze(1)

    is_equal_BI = score_BI == target_score_B1
    is_near_BI = is_equal_BI | ((score_BI - target_score_B1).abs() <= NEAR_TIE)
    # Negated, so that NaN counts as higher: torch.topk puts it first, too.
    higher_B = (eligible_BI & ~(score_BI <= target_score_B1)).sum(1)
    equal_B = (eligible_BI & is_equal_BI).sum(1)
    near_B = (eligible_BI & is_near_BI).sum(1)
    top = list_top(score_BI, eligible_BI=eligible_BI, depth=find_depth(eligible_BI))
    return BatchRanks(
        rank=torch.where(rankable_B, higher_B + 1, 0),
        rank_topk=rank_topk(top, column_B=torch.where(rankable_B, column_B, -1)),
        ties=torch.where(rankable_B, equal_B - 1, 0),
        near_ties=torch.where(rankable_B, near_B - 1, 0),
        is_recommended=find_recommended(top, num_candidates=score_BI.shape[1]),
        within=None
        if tolerance is None
        else count_within(
            score_BI - target_score_B1,
            eligible_BI=eligible_BI & rankable_B[:, None],
            tolerance_B=index.tolerate(user_BD, tolerance),
        ),
    )


def multiply(user_BD: Tensor, *, index: CandidateIndex, score_chunk: int | None) -> Tensor:
    """Return score_BI, of all candidates; see `rank_batch`."""
    chunks = torch.split(user_BD, score_chunk or max(1, len(user_BD)))
    return torch.cat([index.score(chunk) for chunk in chunks])


def count_within(gap_BI: Tensor, *, eligible_BI: Tensor, tolerance_B: Tensor) -> Tensor:
    """Return within_B (int64): how many unseen candidates but the target have a score so near the target's.

    Args:
        gap_BI: Scores less the target's; NaN and infinite ones are never near.
        eligible_BI: bool, which candidates are ranked; none of a user whose target is not.
        tolerance_B: Largest distance that is near.
    """
    # In single precision: a gap of bfloat16 is compared with the tolerance, not with the tolerance's nearest bfloat16.
    is_near_BI = gap_BI.float().abs() <= tolerance_B[:, None]
    return ((eligible_BI & is_near_BI).sum(1) - 1).clamp(min=0)


@dataclass(frozen=True, kw_only=True)
class Top:
    """The candidates that score highest, best first.

    Attributes:
        column_BK: int64 columns of the candidates.
        place_BK: int64, place among the unseen, from 1; 0 for a seen one.
    """

    column_BK: Tensor
    place_BK: Tensor


def find_depth(eligible_BI: Tensor) -> int:
    """Return how many candidates hold the top 2,500 of the unseen, for every user of a batch.

    Upstream takes the top k + S over all candidates and then filters; S seen items at the most stand before the k-th
    unseen one. It crashes on catalogues with fewer than k unseen candidates; here the list just ends.

    Args:
        eligible_BI: bool, which candidates are ranked.
    """
    num_seen = int((~eligible_BI).sum(1).max()) if len(eligible_BI) else 0
    return min(MAX_K + num_seen, eligible_BI.shape[1])


def list_top(score_BI: Tensor, *, eligible_BI: Tensor, depth: int) -> Top:
    """Return the first `depth` candidates.

    Args:
        score_BI: Scores of all candidates.
        eligible_BI: bool, which candidates are ranked.
        depth: Candidates per user, seen ones included; how many decides the order of equal ones, too.
    """
    column_BK = torch.topk(score_BI, depth, dim=1, sorted=True).indices
    is_eligible_BK = eligible_BI.gather(1, column_BK)
    return Top(column_BK=column_BK, place_BK=is_eligible_BK.cumsum(1) * is_eligible_BK)


def rank_topk(top: Top, *, column_B: Tensor) -> Tensor:
    """Return upstream's rank_B: place among the unseen of the top candidates, 2,501 beyond the top 2,500.

    Args:
        top: The users' top candidates.
        column_B: int64 column of the target, -1 if it cannot be ranked.
    """
    rank_B = (top.place_BK * (top.column_BK == column_B[:, None])).sum(1)
    return torch.where((rank_B >= 1) & (rank_B <= MAX_K), rank_B, MISS)


def find_recommended(top: Top, *, num_candidates: int) -> Tensor:
    """Return is_recommended_I (bool): which candidates are among the first ten unseen of at least one user."""
    is_first_BK = (top.place_BK >= 1) & (top.place_BK <= COVERAGE_CUTOFF)
    recommended = torch.zeros(num_candidates, dtype=torch.bool, device=top.column_BK.device)
    return recommended.scatter(0, top.column_BK[is_first_BK], value=True)
