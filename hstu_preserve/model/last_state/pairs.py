"""What a layer of HSTU must know of each pair of a query and a key, in tiles that stay in a processor's cache.

Shape suffixes: B users of a group, Q queries, K keys (the first ones of each user), H heads.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from hstu_preserve.model.time_buckets import NUM_TIME_BUCKETS, TIME_BUCKET_WIDTH
from hstu_preserve.model.time_decay import fade, measure_age
from hstu_preserve.records.components import TimeDecaySettings

QUERIES_PER_TILE = 64
"""Few, so that little above the diagonal is computed; many, so that a product is worth its call."""
HALF_OF_INT32 = 2**30
"""Differences of numbers up to this one fit 32 bits, of which a processor handles twice as many at once."""


@dataclass(frozen=True, kw_only=True)
class Terms:
    """What an encoder's settings say of pairs.

    Attributes:
        padded_length: Positions of a padded history.
        is_divided_by_length: Whether the number of keys that a query sees divides attention, or the padded length.
        decay: None without.
    """

    padded_length: int
    is_divided_by_length: bool
    decay: TimeDecaySettings | None


@dataclass(frozen=True, kw_only=True)
class Pairs:
    """Some queries of each user, and every key that one of them may see; the layers share them.

    Attributes:
        shape: (B, Q, K).
        bucket_P: int64, bucket of the gap in time of each of the P = B · Q · K pairs, in row order.
        bias_row: int64, where a layer's table of biases has the gap in position; QK, or B11K with one query each.
        visible: float, 0 where a key is hidden, else 1; as `bias_row`.
        measured_age_B1QK: As time decay measures it; None without decay.
        divisor: Divides attention; a number, Q1 or B111.
    """

    shape: tuple[int, int, int]
    bucket_P: Tensor
    bias_row: Tensor
    visible: Tensor
    measured_age_B1QK: Tensor | None
    divisor: Tensor | int

    def look_up(self, *, position_weight: Tensor, time_weight: Tensor) -> Tensor:
        """Return bias_B1QK by a layer's tables of biases."""
        batch, queries, keys = self.shape
        position_bias = position_weight.index_select(0, self.bias_row.flatten()).view(self.bias_row.shape)
        return time_weight.index_select(0, self.bucket_P).view(batch, 1, queries, keys).add_(position_bias)

    def weigh(self, rate_H: Tensor | float | None) -> Tensor:
        """Return how much each key counts: QK or B11K without decay, else B1QK or BHQK."""
        if self.measured_age_B1QK is None or rate_H is None:
            return self.visible
        rate = rate_H[:, None, None] if isinstance(rate_H, Tensor) else rate_H
        return fade(self.measured_age_B1QK, rate).mul_(self.visible)


def list_tiles(terms: Terms, time_BN: Tensor) -> Iterator[Pairs]:
    """Yield the pairs of all queries but the one past the end, tile by tile; keys end where the tile's queries end.

    Args:
        terms: The encoder's.
        time_BN: Time of each token and of the one after it; see `tell_time`.
    """
    num_queries = time_BN.shape[1] - 1
    for first in range(0, num_queries, QUERIES_PER_TILE):
        end = min(first + QUERIES_PER_TILE, num_queries)
        query_Q, key_K = torch.arange(first, end), torch.arange(end)
        yield make_pairs(
            terms,
            gap_BQK=time_BN[:, first + 1 : end + 1, None] - time_BN[:, None, :end],
            distance=query_Q[:, None] - key_K,
        )


def pair_last(terms: Terms, time_BN: Tensor, last_B: Tensor) -> Pairs:
    """Return the pairs of one query for each user, its last token, which stands at `last_B` (int64)."""
    next_time_B1 = time_BN.gather(1, last_B[:, None] + 1)
    return make_pairs(
        terms,
        gap_BQK=(next_time_B1 - time_BN[:, :-1])[:, None],
        distance=(last_B[:, None] - torch.arange(time_BN.shape[1] - 1))[:, None, None],
    )


def make_pairs(terms: Terms, *, gap_BQK: Tensor, distance: Tensor) -> Pairs:
    """Return pairs by their gaps.

    Args:
        terms: The encoder's.
        gap_BQK: int32 or int64 seconds from the key to the event after the query.
        distance: int64, position of the query less the key's, QK or B11K; a key with a negative one is hidden.
    """
    gap = gap_BQK.float()
    visible = (distance >= 0).float()
    by_length = visible.sum(-1, keepdim=True).clamp(min=1)
    return Pairs(
        shape=(gap.shape[0], gap.shape[1], gap.shape[2]),
        bias_row=(terms.padded_length - 1 - distance).clamp_(max=2 * terms.padded_length - 2),
        visible=visible,
        measured_age_B1QK=None if terms.decay is None else measure_age(gap.clamp(min=0), terms.decay)[:, None],
        divisor=by_length if terms.is_divided_by_length else terms.padded_length,
        bucket_P=bucket_in_place(gap).flatten(),
    )


def bucket_in_place(gap: Tensor) -> Tensor:
    """Return the buckets (int64) of gaps, which are lost: the rule of `hstu.bucket_time_gaps`, without its temporaries.

    Args:
        gap: Seconds, as float32.
    """
    scaled = gap.abs_().clamp_(min=1).log_().div_(TIME_BUCKET_WIDTH)
    return scaled.clamp_(max=NUM_TIME_BUCKETS).long()


def tell_time(time_BN: Tensor, length_B: Tensor) -> Tensor:
    """Return the times (int32 if they fit, else int64) since each user's first one, 0 past the target's.

    Args:
        time_BN: int64 seconds; position `length` is the target's.
        length_B: int64, tokens per user.
    """
    is_there_BN = torch.arange(time_BN.shape[1]) <= length_B[:, None]
    since_BN = (time_BN - time_BN[:, :1]).masked_fill_(~is_there_BN, 0)
    return since_BN.int() if int(since_BN.abs().max()) < HALF_OF_INT32 else since_BN
