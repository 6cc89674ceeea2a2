"""Both evaluators' ranks by counting, in tiles that stay in a processor's cache.

A user whose target has no equal has upstream's rank by counting, down to the clamp. Everything else that upstream's
evaluator gives depends on the order in which `torch.topk` lists equal scores: for the users whom that concerns, the
list is made as the reference path makes it. So every value is the reference path's, for the same embeddings.

Shape suffixes: B users, I candidates, S seen items, E seen candidates of all users, T the first ten, D model width.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from hstu_preserve.evaluation.ranking import (
    COVERAGE_CUTOFF,
    MAX_K,
    MISS,
    NEAR_TIE,
    CandidateIndex,
    find_depth,
    find_recommended,
    list_top,
    multiply,
    rank_batch,
    rank_topk,
)
from hstu_preserve.evaluation.ranks import BatchRanks

VALUES_PER_TILE = 2**17
"""Scores that are looked at in every way before the next ones are: half a megabyte."""
LARGEST_SCORE = 1e30
"""Scores up to it are finite, in whatever order they are summed up; users with larger ones are the reference path's."""


@dataclass(frozen=True, kw_only=True)
class Counts:
    """Of some users: how many unseen candidates score how, int64.

    Attributes:
        higher_B: Higher than the target.
        equal_B: As the target, itself included.
        near_B: Within 1e-6 of the target, itself included.
        within_B: Within the tolerance, itself included; zeros if there is none.
        has_one_ten_B: bool, whether equal scores leave no doubt which candidates are the user's first ten.
        is_first_I: bool, which candidates are among the first ten of such a user.
    """

    higher_B: Tensor
    equal_B: Tensor
    near_B: Tensor
    within_B: Tensor
    has_one_ten_B: Tensor
    is_first_I: Tensor


def count_batch(
    user_BD: Tensor,
    *,
    index: CandidateIndex,
    seen_BS: Tensor,
    target_B: Tensor,
    score_chunk: int | None,
    tolerance: float | None = None,
) -> BatchRanks:
    """Return what `ranking.rank_batch` returns for these arguments."""
    if not is_bounded(user_BD, index):
        return rank_batch(
            user_BD, index=index, seen_BS=seen_BS, target_B=target_B, score_chunk=score_chunk, tolerance=tolerance
        )
    score_BI = multiply(user_BD, index=index, score_chunk=score_chunk)
    column_B = index.columns(target_B)
    target_B1 = score_BI.gather(1, column_B.clamp(min=0)[:, None])
    place_E = locate_seen(index, seen_BS)
    seen_score_E = score_BI.view(-1).index_select(0, place_E)
    score_BI.view(-1).index_fill_(0, place_E, -torch.inf)
    is_unseen_B = score_BI.gather(1, column_B.clamp(min=0)[:, None]).squeeze(1) > -torch.inf
    rankable_B = (column_B >= 0) & is_unseen_B
    tolerance_B = None if tolerance is None else index.tolerate(user_BD, tolerance)
    counts = count_in_tiles(score_BI, target_B1=target_B1, tolerance_B=tolerance_B)

    rank_B = torch.where(rankable_B, counts.higher_B + 1, 0)
    ranks_topk_B = torch.where(rankable_B & (rank_B <= MAX_K), rank_B, MISS)
    is_first_I = counts.is_first_I
    needs_list_B = (rankable_B & (counts.equal_B > 1)) | ~counts.has_one_ten_B
    if bool(needs_list_B.any()):
        score_BI.view(-1).index_copy_(0, place_E, seen_score_E)
        eligible_BI = ~index.seen_mask(seen_BS)
        top = list_top(score_BI[needs_list_B], eligible_BI=eligible_BI[needs_list_B], depth=find_depth(eligible_BI))
        ranks_topk_B[needs_list_B] = rank_topk(top, column_B=torch.where(rankable_B, column_B, -1)[needs_list_B])
        is_first_I = is_first_I | find_recommended(top, num_candidates=score_BI.shape[1])
    return BatchRanks(
        rank=rank_B,
        rank_topk=ranks_topk_B,
        ties=torch.where(rankable_B, counts.equal_B - 1, 0),
        near_ties=torch.where(rankable_B, counts.near_B - 1, 0),
        is_recommended=is_first_I,
        within=None if tolerance is None else torch.where(rankable_B, counts.within_B - 1, 0),
    )


def is_bounded(user_BD: Tensor, index: CandidateIndex) -> bool:
    """Whether no score can be NaN or infinite, of one user at least; else comparisons are the reference path's."""
    if not len(user_BD):
        return False
    return float(user_BD.norm(dim=1).amax()) * index.largest_norm <= LARGEST_SCORE  # false of NaN


def locate_seen(index: CandidateIndex, seen_BS: Tensor) -> Tensor:
    """Return where a batch's flat scores hold the users' seen items (`seen_BS` int64, 0 is padding)."""
    column_BS = index.columns(seen_BS)
    first_B1 = torch.arange(len(seen_BS), device=seen_BS.device)[:, None] * len(index.candidate_I)
    return (first_B1 + column_BS)[column_BS >= 0]


def count_in_tiles(score_BI: Tensor, *, target_B1: Tensor, tolerance_B: Tensor | None) -> Counts:
    """Return the counts of all users.

    Args:
        score_BI: Minus infinity for seen candidates.
        target_B1: The targets' scores.
        tolerance_B: Largest distance that is near, for each user; None if nobody asks.
    """
    size = max(1, VALUES_PER_TILE // score_BI.shape[1])
    tolerances: Sequence[Tensor | None] = [None] * len(score_BI)
    if tolerance_B is not None:
        tolerances = torch.split(tolerance_B, size)
    tiles = [
        count_tile(score, target_B1=target, tolerance_B=tolerance)
        for score, target, tolerance in zip(
            torch.split(score_BI, size), torch.split(target_B1, size), tolerances, strict=False
        )
    ]
    return Counts(
        higher_B=torch.cat([tile.higher_B for tile in tiles]),
        equal_B=torch.cat([tile.equal_B for tile in tiles]),
        near_B=torch.cat([tile.near_B for tile in tiles]),
        within_B=torch.cat([tile.within_B for tile in tiles]),
        has_one_ten_B=torch.cat([tile.has_one_ten_B for tile in tiles]),
        is_first_I=torch.stack([tile.is_first_I for tile in tiles]).any(0),
    )


def count_tile(score_BI: Tensor, *, target_B1: Tensor, tolerance_B: Tensor | None) -> Counts:
    """Return the counts of a few users; see `count_in_tiles`."""
    gap_BI = (score_BI - target_B1).abs_()
    top = score_BI.topk(min(COVERAGE_CUTOFF + 1, score_BI.shape[1]), dim=1)
    first_BT = top.values[:, :COVERAGE_CUTOFF]
    has_one_ten_B = torch.ones_like(first_BT[:, 0], dtype=torch.bool)
    if top.values.shape[1] > COVERAGE_CUTOFF:
        tenth_B, next_B = top.values[:, COVERAGE_CUTOFF - 1], top.values[:, COVERAGE_CUTOFF]
        has_one_ten_B = (tenth_B > next_B) | (tenth_B == -torch.inf)  # of fewer than ten, all are first
    is_first_BT = has_one_ten_B[:, None] & (first_BT > -torch.inf)
    is_first_I = torch.zeros(score_BI.shape[1], dtype=torch.bool, device=score_BI.device)
    return Counts(
        higher_B=count(score_BI > target_B1),
        equal_B=count(score_BI == target_B1),
        near_B=count(gap_BI <= NEAR_TIE),
        within_B=torch.zeros_like(target_B1[:, 0], dtype=torch.int64)
        if tolerance_B is None
        else count(gap_BI <= tolerance_B[:, None]),
        has_one_ten_B=has_one_ten_B,
        is_first_I=is_first_I.index_fill_(0, top.indices[:, :COVERAGE_CUTOFF][is_first_BT], value=True),
    )


def count(holds_BI: Tensor) -> Tensor:
    """Return count_B (int64) of what is true; summed in 32 bits, of which a processor adds twice as many at once."""
    return holds_BI.sum(1, dtype=torch.int32).long()
