"""The Triton kernels behind `pair_products`; imported only where a GPU is used, since Triton comes with PyTorch's CUDA.

Sums are of float32 products, one after the other within a program: no tensor core rounds them, no order is left open.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

ROWS_AT_ONCE = 16
"""Rows that a program reads at once; of width 256, with their sums, they fit a program's registers."""


@triton.jit  # type: ignore[untyped-decorator]
def multiply_kernel(  # type: ignore[no-untyped-def]  # Triton reads annotations as its own
    user_ptr,
    table_ptr,
    item_ptr,
    product_ptr,
    width,
    num_items: tl.constexpr,
    columns: tl.constexpr,
    tile: tl.constexpr,
):
    """Multiply one user with each of its items."""
    user = tl.program_id(0).to(tl.int64)
    column = tl.arange(0, columns)
    is_column = column < width
    factor = tl.load(user_ptr + user * width + column, mask=is_column, other=0.0)
    for start in range(0, num_items, tile):
        place = start + tl.arange(0, tile)
        is_there = place < num_items
        item = tl.load(item_ptr + user * num_items + place, mask=is_there, other=0)
        mask = is_there[:, None] & is_column[None, :]
        row = tl.load(table_ptr + item[:, None] * width + column[None, :], mask=mask, other=0.0)
        product = tl.sum(row * factor[None, :], axis=1)
        tl.store(product_ptr + user * num_items + place, product, mask=is_there)


@triton.jit  # type: ignore[untyped-decorator]
def sum_rows_kernel(  # type: ignore[no-untyped-def]  # Triton reads annotations as its own
    row_ptr,
    index_ptr,
    weight_ptr,
    first_ptr,
    sum_ptr,
    width,
    columns: tl.constexpr,
    tile: tl.constexpr,
):
    """Add up the weighted rows of one segment."""
    segment = tl.program_id(0).to(tl.int64)
    column = tl.arange(0, columns)
    is_column = column < width
    start = tl.load(first_ptr + segment)
    end = tl.load(first_ptr + segment + 1)
    total = tl.zeros([tile, columns], dtype=tl.float32)
    while start < end:
        place = start + tl.arange(0, tile)
        is_there = place < end
        index = tl.load(index_ptr + place, mask=is_there, other=0)
        weight = tl.load(weight_ptr + place, mask=is_there, other=0.0)
        mask = is_there[:, None] & is_column[None, :]
        row = tl.load(row_ptr + index[:, None] * width + column[None, :], mask=mask, other=0.0)
        total += weight[:, None] * row
        start += tile
    tl.store(sum_ptr + segment * width + column, tl.sum(total, axis=0), mask=is_column)


def multiply(user_TD: Tensor, table_JD: Tensor, item_TP: Tensor) -> Tensor:
    """Return product_TP (float32) of contiguous float32 rows; `item_TP` is int64."""
    (num_users, num_items), width = item_TP.shape, user_TD.shape[1]
    product_TP = torch.empty(num_users, num_items, device=user_TD.device)
    if product_TP.numel():
        multiply_kernel[(num_users,)](
            user_TD,
            table_JD,
            item_TP,
            product_TP,
            width,
            num_items=num_items,
            columns=triton.next_power_of_2(width),
            tile=ROWS_AT_ONCE,
        )
    return product_TP


def sum_rows(row_ND: Tensor, index_E: Tensor, weight_E: Tensor, *, first: Tensor) -> Tensor:
    """Return the sum of weighted rows of each segment, in their order.

    Args:
        row_ND: float32, contiguous.
        index_E: int64, which row an entry adds.
        weight_E: float32, what it is multiplied by.
        first: int64, where the segments begin, ascending, and at last where the last one ends.
    """
    num_segments, width = len(first) - 1, row_ND.shape[1]
    total = torch.empty(num_segments, width, device=row_ND.device)
    if num_segments:
        sum_rows_kernel[(num_segments,)](
            row_ND,
            index_E,
            weight_E,
            first,
            total,
            width,
            columns=triton.next_power_of_2(width),
            tile=ROWS_AT_ONCE,
        )
    return total
