"""Dot products of pairs of rows of two tables, and their gradients, without a copy of any row; fast on a GPU.

A sampled softmax multiplies each of T positions with P items of its own. Gathered, the items' vectors are T·P·D floats,
1.7 GB for a step of ml-20m, written and read again for each of three products. Here rows are read where they lie, which
is the cache: the table of ml-20m's candidates has 27 MB. An item's gradient is the sum over the pairs that it is in,
ordered by item and then by position: the same bits in every run.

Shape suffixes: T users, P items for each, J rows of the table, D width, E pairs.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from hstu_preserve.kernels.small_table import has_triton


def multiply_pairs(user_TD: Tensor, table_JD: Tensor, item_TP: Tensor) -> Tensor:
    """Return product_TP: the dot product of each user with each of its items.

    Args:
        user_TD: float32 for the kernel to be taken, as the table.
        table_JD: Rows that items name.
        item_TP: int64, below J.
    """
    is_float32 = user_TD.dtype == table_JD.dtype == torch.float32
    if user_TD.is_cuda and is_float32 and has_triton():
        product_TP: Tensor = PairProducts.apply(user_TD, table_JD, item_TP)  # type: ignore[no-untyped-call]
        return product_TP
    return torch.bmm(F.embedding(item_TP, table_JD), user_TD[:, :, None]).squeeze(2)


class PairProducts(torch.autograd.Function):
    """The products, and the gradients of both factors, by Triton's kernels."""

    @staticmethod
    def forward(ctx: Any, user_TD: Tensor, table_JD: Tensor, item_TP: Tensor) -> Tensor:
        """Return product_TP."""
        from hstu_preserve.kernels.pair_products_triton import multiply

        user_TD, table_JD, item_TP = user_TD.contiguous(), table_JD.contiguous(), item_TP.contiguous()
        ctx.save_for_backward(user_TD, table_JD, item_TP)
        return multiply(user_TD, table_JD, item_TP)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, None]:
        """Return the gradients of users and table."""
        from hstu_preserve.kernels.pair_products_triton import sum_rows

        user_TD, table_JD, item_TP = ctx.saved_tensors
        weight_TP = gradients[0].contiguous()
        num_users, pairs_each = item_TP.shape
        first_T = torch.arange(num_users + 1, device=item_TP.device) * pairs_each
        by_user = sum_rows(table_JD, item_TP.flatten(), weight_TP.flatten(), first=first_T)
        item_E, order_E = item_TP.flatten().sort(stable=True)
        first_J = torch.searchsorted(item_E, torch.arange(len(table_JD) + 1, device=item_E.device))
        weight_E = weight_TP.flatten().index_select(0, order_E)
        return by_user, sum_rows(user_TD, order_E // pairs_each, weight_E, first=first_J), None
