"""The Triton kernel behind `small_table`; imported only where a GPU is used, since Triton comes with PyTorch's CUDA."""

import torch
import triton
import triton.language as tl
from torch import Tensor

TILE = 32
"""Values that are compared with all entries at once."""


@triton.jit  # type: ignore[untyped-decorator]
def add_up_kernel(  # type: ignore[no-untyped-def]  # Triton reads annotations as its own
    value_ptr,
    index_ptr,
    sum_ptr,
    num_values,
    num_entries,
    entries: tl.constexpr,
    tile: tl.constexpr,
    per_block: tl.constexpr,
):
    """Add up one block's values by entry, into one row of sums."""
    block = tl.program_id(0).to(tl.int64)
    entry = tl.arange(0, entries)
    total = tl.zeros([tile, entries], dtype=tl.float32)
    for start in range(0, per_block, tile):
        place = block * per_block + start + tl.arange(0, tile)
        is_there = place < num_values
        value = tl.load(value_ptr + place, mask=is_there, other=0.0)
        index = tl.load(index_ptr + place, mask=is_there, other=-1)
        total += tl.where(index[:, None] == entry[None, :], value[:, None], 0.0)
    tl.store(sum_ptr + block * num_entries + entry, tl.sum(total, axis=0), mask=entry < num_entries)


def add_up_blocks(value_N: Tensor, index_N: Tensor, *, num_entries: int, indices_per_block: int) -> Tensor:
    """Return one row of sums by entry (float32) for each block of indices, in their order."""
    num_blocks = triton.cdiv(value_N.numel(), indices_per_block)
    sums = torch.empty(num_blocks, num_entries, device=value_N.device)
    add_up_kernel[(num_blocks,)](
        value_N,
        index_N,
        sums,
        value_N.numel(),
        num_entries,
        entries=triton.next_power_of_2(num_entries),
        tile=TILE,
        per_block=indices_per_block,
        num_warps=8,
    )
    return sums
