"""How a batch's users are put together for attention: groups of similar length, in tiles that stay in the cache.

Shape suffixes: B batch, T all valid positions in row order, G users of a group, L padded position within the group,
N query position of a tile, M key position of a tile (0 up to the tile's last query: later ones are hidden anyway).
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from hstu_preserve.model.fast.time_buckets import bucket_gaps

QUERIES_AT_ONCE = 64
"""Of a tile: fewer leave more hidden keys out, more make larger products."""
SCORES_AT_ONCE = 2**18
"""Of a tile, over all heads: 1 MiB for each of the few tensors that a tile needs at once."""
MOST_PADDING = 8
"""Positions by which users of a group may differ in length."""


@dataclass(frozen=True, kw_only=True)
class Tile:
    """Some queries of a group, and the keys that they may see.

    Attributes:
        start: Of the queries.
        stop: Of queries and keys.
        bucket_GNM: int32, of the gaps in time.
        age_GNM: Age of each key as the decay measures it; None if nothing decays.
    """

    start: int
    stop: int
    bucket_GNM: Tensor
    age_GNM: Tensor | None


@dataclass(frozen=True, kw_only=True)
class Group:
    """Users of similar length.

    Attributes:
        length: L, of the longest one.
        row_GL: int64, where each position stands among all valid ones; anywhere if it is padding.
        is_padding_GL: bool; None if all have one length.
        tiles: They cover the queries.
    """

    length: int
    row_GL: Tensor
    is_padding_GL: Tensor | None
    tiles: tuple[Tile, ...]

    @property
    def size(self) -> int:
        """G."""
        return len(self.row_GL)


def make_groups(
    length_B: Tensor, time_BN: Tensor, *, heads: int, measure: Callable[[Tensor], Tensor] | None
) -> list[Group]:
    """Return the groups that cover all users with at least one position, longest first.

    Args:
        length_B: int64, valid positions per user.
        time_BN: int64 seconds.
        heads: Of the encoder.
        measure: Of the decay: from ages (int64 seconds ≥ 0) to what rates are multiplied with; None if nothing decays.
    """
    sorted_B = length_B.sort(descending=True, stable=True)
    first_B = length_B.cumsum(0) - length_B
    next_time_BN = torch.cat([time_BN[:, 1:], time_BN[:, -1:]], dim=1)
    groups = []
    for part in split_users(sorted_B.values.tolist(), heads=heads):
        user_G = sorted_B.indices[part]
        length_G = sorted_B.values[part]
        length = int(length_G[0])
        position_L = torch.arange(length)
        is_padding_GL = position_L >= length_G[:, None]
        row_GL = (first_B[user_G, None] + position_L).masked_fill_(is_padding_GL, 0)
        times = (next_time_BN[user_G, :length], time_BN[user_G, :length])
        groups.append(
            Group(
                length=length,
                row_GL=row_GL,
                is_padding_GL=is_padding_GL if bool(is_padding_GL.any()) else None,
                tiles=tuple(make_tiles(*times, measure=measure)),
            )
        )
    return groups


def split_users(lengths: list[int], *, heads: int) -> Iterator[slice]:
    """Yield the places of each group's users, whose lengths come in descending order; those of length 0 have none."""
    start = 0
    while start < len(lengths) and lengths[start]:
        longest = lengths[start]
        at_most = max(1, SCORES_AT_ONCE // (heads * min(longest, QUERIES_AT_ONCE) * longest))
        stop = start + 1
        while stop < min(len(lengths), start + at_most) and lengths[stop] >= max(1, longest - MOST_PADDING):
            stop += 1
        yield slice(start, stop)
        start = stop


def make_tiles(next_time_GL: Tensor, time_GL: Tensor, *, measure: Callable[[Tensor], Tensor] | None) -> Iterator[Tile]:
    """Yield the tiles of a group, from the times of its positions and those of the events after them."""
    length = time_GL.shape[1]
    for start in range(0, length, QUERIES_AT_ONCE):
        stop = min(length, start + QUERIES_AT_ONCE)
        gap_GNM = next_time_GL[:, start:stop, None] - time_GL[:, None, :stop]
        age_GNM = measure(gap_GNM.clamp(min=0)) if measure else None
        yield Tile(start=start, stop=stop, bucket_GNM=bucket_gaps(gap_GNM), age_GNM=age_GNM)
