"""Look values up in a small table by many indices, with a gradient that is the same in each run, and fast on a GPU.

PyTorch's deterministic gradient of such a look-up sorts all indices on a GPU: 98 % of a training step at the shape of
ml-20m, where five million gaps of time fall into 129 buckets. Here each block of indices is added up by itself, bucket
by bucket, and the blocks' sums then in their order.
"""

from functools import cache
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor

LARGEST_TABLE = 512
"""Entries; a block holds one sum for each in its registers."""
INDICES_PER_BLOCK = 8192


def look_up(table_K: Tensor, index: Tensor) -> Tensor:
    """Return `table_K[index]`, in the form of `index` (int64)."""
    is_small = table_K.is_cuda and table_K.numel() <= LARGEST_TABLE and table_K.dtype == torch.float32
    if is_small and has_triton():
        found: Tensor = LookUp.apply(table_K, index)  # type: ignore[no-untyped-call]
        return found
    return table_K.index_select(0, index.flatten()).view(index.shape)


@cache
def has_triton() -> bool:
    """Whether Triton is installed, which comes with PyTorch for CUDA on Linux."""
    return find_spec("triton") is not None


class LookUp(torch.autograd.Function):
    """The look-up with the gradient of `add_up`."""

    @staticmethod
    def forward(ctx: Any, table_K: Tensor, index: Tensor) -> Tensor:
        """Return the values."""
        ctx.save_for_backward(index)
        ctx.num_entries = table_K.numel()
        return table_K.index_select(0, index.flatten()).view(index.shape)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        """Return the table's gradient."""
        (index,) = ctx.saved_tensors
        return add_up(gradients[0], index, num_entries=ctx.num_entries), None


def add_up(value: Tensor, index: Tensor, *, num_entries: int) -> Tensor:
    """Return sum_K: for each entry of a table, the sum of the values whose index names it.

    Args:
        value: float32 on a GPU.
        index: int64, of the same shape, below `num_entries`.
        num_entries: K, at most 512.
    """
    if not value.numel():
        return value.new_zeros(num_entries)
    from hstu_preserve.kernels.small_table_triton import add_up_blocks

    return add_up_blocks(
        value.contiguous().view(-1),
        index.contiguous().view(-1),
        num_entries=num_entries,
        indices_per_block=INDICES_PER_BLOCK,
    ).sum(0)
