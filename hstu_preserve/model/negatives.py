"""Draw the negatives of each supervised position: uniformly, by popularity, or the hardest of a pool.

Hard negatives are a reconstruction: the archive named them and never published a definition. Ours are the top of a pool
by the model's own score (dynamic negative sampling: Zhang et al., SIGIR 2013), beside uniform ones (mixed negative
sampling: Yang et al., WWW 2020). A user's own items are none of them (`exclude_history`): all of the training sequence,
whatever part of it the model reads or a positional sampling leaves.

Shape suffixes: B batch, N padded position, L position of the history, T supervised positions, K negatives per position,
I candidates, P pool of hard negatives, C supervised positions scored at once, H hard negatives per position, D model
width.
"""

import torch
from torch import Generator, Tensor

from hstu_preserve.kernels.counter_draws import Source, draw_integers, draw_shares

SCORES_AT_ONCE = 2**24
"""Scores of pool items that `select_hard` holds at once: 64 MiB."""


def draw_local(candidate_I: Tensor, *, positions: int, num_negatives: int, generator: Source) -> Tensor:
    """Draw negative_TK uniformly, with replacement, from all candidates (int64 item ids)."""
    return draw_from(candidate_I, positions=positions, num_negatives=num_negatives, generator=generator)


def draw_in_batch(item_BN: Tensor, *, positions: int, num_negatives: int, generator: Source) -> Tensor:
    """Draw negative_TK uniformly, with replacement, from the distinct items of the batch, targets included.

    Args:
        item_BN: int64, 0 is padding.
        positions: T.
        num_negatives: K.
        generator: Decides the draw; may live on another device than the items.
    """
    distinct = torch.unique(item_BN)
    return draw_from(distinct[distinct != 0], positions=positions, num_negatives=num_negatives, generator=generator)


def draw_from(pool: Tensor, *, positions: int, num_negatives: int, generator: Source) -> Tensor:
    """Draw (positions, num_negatives) entries of the 1-d `pool`, uniformly with replacement."""
    index_TK = draw_integers(pool.numel(), (positions, num_negatives), source=generator, device=pool.device)
    return pool.index_select(0, index_TK.flatten()).view(positions, num_negatives)


def draw_weighted(
    candidate_I: Tensor, *, probability_I: Tensor, positions: int, num_negatives: int, generator: Source
) -> Tensor:
    """Draw negative_TK with the given probabilities, with replacement, by inverting their cumulative sum.

    Sum and draw are float64, and the sum is made on the CPU, so that every device finds the same items.

    Args:
        candidate_I: int64 item ids.
        probability_I: float64, not negative, with sum 1; the last candidate gets the rest that rounding leaves.
        positions: T.
        num_negatives: K.
        generator: Decides the draw; may live on another device than the candidates.
    """
    share_TK = draw_shares((positions, num_negatives), source=generator, device=candidate_I.device)
    upper_I = probability_I.cpu().double().cumsum(0).to(candidate_I.device)
    index_TK = torch.searchsorted(upper_I[:-1], share_TK, right=True)
    return candidate_I.index_select(0, index_TK.flatten()).view(positions, num_negatives)


def draw_pool(candidate_I: Tensor, *, size: int, generator: Generator) -> Tensor:
    """Draw pool_P uniformly: min(size, I) distinct candidates (int64 item ids), ascending."""
    index_P = torch.randperm(candidate_I.numel(), generator=generator, device=generator.device)[:size]
    return candidate_I.index_select(0, index_P.to(candidate_I.device)).sort().values


@torch.no_grad()
def select_hard(
    user_TD: Tensor,
    *,
    item_table: Tensor,
    pool_P: Tensor,
    positive_T: Tensor,
    negative_TK: Tensor,
    fraction: float,
    row_T: Tensor,
    history_BL: Tensor | None,
) -> Tensor:
    """Return negative_TK with its last round(fraction · K) places taken by the pool items that score highest.

    They stand hardest first, among equal scores the lower id first. The positive is never taken; where too few pool
    items remain, the last places keep what they had.

    Args:
        user_TD: Encoder outputs, already normalised.
        item_table: Item embeddings by id, already normalised.
        pool_P: int64 ids, distinct and ascending.
        positive_T: int64 ids of the true next items.
        negative_TK: int64 ids of the uniform negatives.
        fraction: Share of the K that is hard, above 0 and up to 1.
        row_T: int64, to which of the B users a position belongs.
        history_BL: int64 ids that are no negatives of their user, the target's among them, 0 is padding; None lets all
            items but the positive be negatives. Held-out items must not be here: that would leak them.
    """
    wanted = round(fraction * negative_TK.shape[1])
    num_hard = min(wanted, len(pool_P))
    if num_hard == 0:
        return negative_TK
    start_of_hard = negative_TK.shape[1] - wanted
    places = slice(start_of_hard, start_of_hard + num_hard)
    pool_PD = item_table.index_select(0, pool_P)
    is_seen_BP = None if history_BL is None else find_in_pool(history_BL, pool_P=pool_P)
    chunk = max(1, SCORES_AT_ONCE // len(pool_P))
    mixed_TK = negative_TK.clone()
    for start in range(0, len(user_TD), chunk):
        part = slice(start, start + chunk)
        is_barred_CP = positive_T[part, None] == pool_P
        if is_seen_BP is not None:
            is_barred_CP |= is_seen_BP.index_select(0, row_T[part])
        score_CP = (user_TD[part] @ pool_PD.t()).masked_fill(is_barred_CP, -torch.inf)
        column_CH = find_highest(score_CP, count=num_hard)
        is_barred_CH = is_barred_CP.gather(1, column_CH)
        mixed_TK[part, places] = torch.where(is_barred_CH, negative_TK[part, places], pool_P[column_CH])
    return mixed_TK


def find_highest(score_CP: Tensor, *, count: int) -> Tensor:
    """Return column_CH of the `count` highest scores of each row, highest first, of equal ones the lower column first.

    Of equal scores, topk may return any. Sorting whole rows takes five times as long, so only those rows are sorted in
    which a chosen score equals one that was left out.
    """
    top = torch.topk(score_CP, count, dim=1)
    ascending = top.indices.sort(dim=1).values
    order = score_CP.gather(1, ascending).sort(dim=1, descending=True, stable=True).indices
    column_CH = ascending.gather(1, order)
    is_cut = (score_CP >= top.values.amin(1, keepdim=True)).sum(1) > count
    column_CH[is_cut] = score_CP[is_cut].sort(dim=1, descending=True, stable=True).indices[:, :count]
    return column_CH


def find_in_pool(item_BL: Tensor, *, pool_P: Tensor) -> Tensor:
    """Return is_found_BP (bool): which of the pool's items (ascending) are among each row's (any int64 ids)."""
    size = len(pool_P)
    column_BL = torch.searchsorted(pool_P, item_BL.contiguous()).clamp(max=size - 1)
    # One more column takes the items that are not in the pool, and is cut off again.
    column_BL = torch.where(pool_P[column_BL] == item_BL, column_BL, size)
    found = torch.zeros(len(item_BL), size + 1, dtype=torch.bool, device=item_BL.device)
    return found.scatter(1, column_BL, value=True)[:, :-1]
