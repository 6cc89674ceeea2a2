"""The buckets of time gaps by integer arithmetic, equal to the rule of `model.hstu.bucket_time_gaps` for every gap.

That rule is a function of the gap as float32, and rises with it. A float32's bits are integers in the same order: their
upper part names a cell, of which a table says how many buckets lie below it and where in it the next one begins.
"""

from functools import cache

import torch
from torch import Tensor

from hstu_preserve.model.time_buckets import NUM_TIME_BUCKETS, TIME_BUCKET_WIDTH

CELL_BITS = 19
"""Bits of a float32 below its cell: with 16 cells an octave, and a bucket 0.43 octaves wide, none holds two limits."""
BITS_OF_ONE = 127 << 23
LARGEST_BITS = (127 + 63) << 23
"""Of 2^63, beyond every gap."""


def bucket_gaps(gap: Tensor) -> Tensor:
    """Return the bucket (int32, 0…128) of each gap (int64 seconds, whatever its sign)."""
    bits = gap.abs().clamp_(min=1).float().view(torch.int32)
    cell = (bits >> CELL_BITS).sub_(BITS_OF_ONE >> CELL_BITS)
    offset = make_table().index_select(0, cell.flatten()).view(cell.shape)
    return offset.add_(bits) >> CELL_BITS


@cache
def make_table() -> Tensor:
    """Return for each cell the number (int32) that, added to a gap's bits, leaves its bucket above the cell's bits."""
    first = torch.arange(BITS_OF_ONE >> CELL_BITS, (LARGEST_BITS >> CELL_BITS) + 1, dtype=torch.int32) << CELL_BITS
    limit = find_limits()
    num_below = torch.searchsorted(limit, first, right=True, out_int32=True)
    next_limit = torch.cat([limit, limit.new_tensor([2**31 - 1])]).index_select(0, num_below)
    # Where the next bucket begins within the cell, the sum carries over; in a cell without a limit it does not.
    carry = (first + (1 << CELL_BITS) - next_limit).clamp(min=0)
    return (num_below << CELL_BITS) + carry - first


def find_limits() -> Tensor:
    """Return the bits (int32, ascending) of the smallest float32 of each bucket but the first, found by bisection."""
    wanted = torch.arange(1, NUM_TIME_BUCKETS + 1)
    low = torch.full_like(wanted, BITS_OF_ONE, dtype=torch.int32)
    high = torch.full_like(low, LARGEST_BITS + 1)
    while bool((low < high).any()):
        middle = low + (high - low) // 2
        is_reached = apply_rule(middle.view(torch.float32)) >= wanted
        low, high = torch.where(is_reached, low, middle + 1), torch.where(is_reached, middle, high)
    return low[low <= LARGEST_BITS]


def apply_rule(gap: Tensor) -> Tensor:
    """Return the bucket (int64) of gaps (float32 seconds, at least 1) by the rule."""
    return (gap.log() / TIME_BUCKET_WIDTH).long().clamp(min=0, max=NUM_TIME_BUCKETS)
