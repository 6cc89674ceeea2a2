"""Sampled softmax on a CPU: dot products of the pairs alone, and the gradients beside the loss.

The reference form (`model.losses.sampled_softmax`) gathers the vector of every negative, 2 GB for the 15,000 positions
and 128 negatives of one step of ml-20m, and adds as many gradients up again. Here no vector is copied: a position and
its item are one entry of a sparse matrix, whose dot products are computed where they lie, and the table's gradient is
one weighted sum for each item, in the order of the positions: the same bits for any number of threads.

Shape suffixes: T supervised positions, K negatives per position, P columns of pairs (1 + K, the positive first), J item
ids from 0 (padding) to the largest, D model width, C positions at once.
"""

import warnings
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from hstu_preserve.model.losses import ACCIDENTAL_HIT_LOGIT

VECTOR_WIDTH = 8
"""Floats of one instruction: a width that it does not divide costs a quarter more."""
DENSE_ITEMS_PER_PAIR = 8
"""A product with all items is faster than one with the pairs alone up to so many items for each pair of a position."""
DENSE_LOGITS_AT_ONCE = 2**18
"""1 MiB, which stays in the cache until it is read."""
PAIRS_AT_ONCE = 2**19
"""Pairs that are sorted by item at once; more if the items are many, since each time the whole table is added to."""
PAIRS_PER_ITEM = 20
CACHE_BYTES = 2**21
"""Rows that are read in any order are fast up to so many bytes."""


def sampled_softmax(
    user_TD: Tensor,
    *,
    item_table: Tensor,
    positive_T: Tensor,
    negative_TK: Tensor,
    temperature: float,
    adjustment_J: Tensor | None = None,
) -> Tensor:
    """Return the loss of each position; arguments and result are those of `model.losses.sampled_softmax`."""
    item_TP = torch.cat([positive_T[:, None].int(), negative_TK.int()], dim=1)
    loss_T: Tensor = SampledSoftmax.apply(  # type: ignore[no-untyped-call]
        user_TD, item_table, item_TP, temperature, adjustment_J
    )
    return loss_T


class SampledSoftmax(torch.autograd.Function):
    """The loss of each position, with the gradients of users and item table."""

    @staticmethod
    def forward(
        ctx: Any, user_TD: Tensor, table_JD: Tensor, item_TP: Tensor, temperature: float, adjustment_J: Tensor | None
    ) -> Tensor:
        """Return loss_T; `item_TP` (int32) has the positive in its first column."""
        logit_TP = compute_logits(user_TD, table_JD, item_TP).div_(temperature)
        if adjustment_J is not None:
            logit_TP += adjustment_J.index_select(0, item_TP.flatten()).view_as(logit_TP)
        logit_TP[:, 1:].masked_fill_(item_TP[:, 1:] == item_TP[:, :1], ACCIDENTAL_HIT_LOGIT)
        logit_TP -= logit_TP.amax(1, keepdim=True)
        positive_logit_T = logit_TP[:, 0].clone()
        weight_TP = logit_TP.exp_()
        total_T = weight_TP.sum(1)
        loss_T = total_T.log() - positive_logit_T
        # The logits' gradient times the total: the softmax, less one for the positive.
        weight_TP[:, 0] -= total_T
        ctx.save_for_backward(user_TD, table_JD, item_TP, weight_TP, total_T)
        ctx.temperature = temperature
        return loss_T

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient_T: Tensor) -> tuple[Tensor | None, ...]:
        """Return the gradients of users and table."""
        user_TD, table_JD, item_TP, weight_TP, total_T = ctx.saved_tensors
        scale_T1 = (gradient_T / (total_T * ctx.temperature))[:, None]
        user_gradient = table_gradient = None
        if ctx.needs_input_grad[0]:
            user_gradient = sum_rows(table_JD, item_TP, weight_TP).mul_(scale_T1)
        if ctx.needs_input_grad[1]:
            table_gradient = sum_by_item(user_TD * scale_T1, item_TP, weight_TP, num_items=len(table_JD))
        return user_gradient, table_gradient, None, None, None


def compute_logits(user_TD: Tensor, table_JD: Tensor, item_TP: Tensor) -> Tensor:
    """Return the dot products of each position's user with its items (int32)."""
    if len(table_JD) <= DENSE_ITEMS_PER_PAIR * item_TP.shape[1] or not has_sampled_product():
        return multiply_all(user_TD, table_JD, item_TP)
    padding = -user_TD.shape[1] % VECTOR_WIDTH
    if padding:
        user_TD, table_JD = F.pad(user_TD, (0, padding)), F.pad(table_JD, (0, padding))
    if table_JD.nbytes <= CACHE_BYTES:
        return multiply_pairs(user_TD, table_JD, item_TP)
    return multiply_by_item(user_TD, table_JD, item_TP)


def multiply_all(user_TD: Tensor, table_JD: Tensor, item_TP: Tensor) -> Tensor:
    """Return the same by products with all items, of which those of the pairs are read."""
    logit_TP = user_TD.new_empty(item_TP.shape)
    chunk = max(1, DENSE_LOGITS_AT_ONCE // len(table_JD))
    for start in range(0, len(user_TD), chunk):
        part = slice(start, start + chunk)
        torch.gather(user_TD[part] @ table_JD.t(), 1, item_TP[part].long(), out=logit_TP[part])
    return logit_TP


def multiply_pairs(user_TD: Tensor, table_JD: Tensor, item_TP: Tensor) -> Tensor:
    """Return the same by products with the pairs' items alone, position by position."""
    first = torch.arange(0, item_TP.numel() + 1, item_TP.shape[1], dtype=torch.int32)
    return multiply_entries(user_TD, table_JD, first=first, column=item_TP.flatten()).view(item_TP.shape)


def multiply_by_item(user_TD: Tensor, table_JD: Tensor, item_TP: Tensor) -> Tensor:
    """Return the same item by item, for some positions at once: the table is read in its order then."""
    logit_TP = user_TD.new_empty(item_TP.shape)
    chunk = max(1, CACHE_BYTES // (user_TD.shape[1] * user_TD.element_size()))
    for start in range(0, len(user_TD), chunk):
        part = slice(start, start + chunk)
        logit_CP = logit_TP[part]
        place = np.arange(logit_CP.numel(), dtype=np.int32)
        pairs = sort_by_item(item_TP[part], place, num_items=len(table_JD))
        product = multiply_entries(
            table_JD, user_TD[part], first=torch.from_numpy(pairs.indptr), column=torch.from_numpy(pairs.indices)
        )
        logit_CP.view(-1).numpy()[pairs.data] = product.numpy()
    return logit_TP


def multiply_entries(row: Tensor, other: Tensor, *, first: Tensor, column: Tensor) -> Tensor:
    """Return the dot product of each entry's two vectors.

    Args:
        row: Vectors by row.
        other: Vectors by column.
        first: int32, where each row's entries begin; also where the last one's end.
        column: int32, of each entry; a row may have a column twice.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PyTorch calls its sparse matrices a beta, once
        # Not empty: it is multiplied by zero, which leaves NaN as it is.
        value = torch.zeros(len(column))
        entries = torch.sparse_csr_tensor(first, column, value, size=(len(row), len(other)), check_invariants=False)
    product: Tensor = torch.sparse.sampled_addmm(entries, row, other.t(), beta=0.0)
    return product.values()


@cache
def has_sampled_product() -> bool:
    """Whether this PyTorch computes the products of a sparse matrix's entries on a CPU; some are built without."""
    ones = torch.ones(1, VECTOR_WIDTH)
    try:
        multiply_pairs(ones, ones, torch.zeros(1, 1, dtype=torch.int32))
    except RuntimeError:
        return False
    return True


def sum_rows(table_JD: Tensor, item_TP: Tensor, weight_TP: Tensor) -> Tensor:
    """Return sum_TD: for each position, the weighted sum of its items' rows."""
    first = torch.arange(0, item_TP.numel(), item_TP.shape[1], dtype=torch.int32)
    return sum_bags(table_JD, item_TP.flatten(), first, weight_TP.flatten())


def sum_bags(row: Tensor, index: Tensor, first: Tensor, weight: Tensor) -> Tensor:
    """Return for each bag the weighted sum of rows, in their order; `first` (int32) is where a bag's entries begin."""
    summed: Tensor = torch.embedding_bag(row, index, first, False, 0, False, weight, False)[0]
    return summed


def sum_by_item(user_TD: Tensor, item_TP: Tensor, weight_TP: Tensor, *, num_items: int) -> Tensor:
    """Return sum_JD: for each item, the weighted sum of the users at the positions that have it."""
    columns = item_TP.shape[1]
    chunk = max(1, max(PAIRS_AT_ONCE, PAIRS_PER_ITEM * num_items) // columns)
    total_JD = user_TD.new_zeros(num_items, user_TD.shape[1])
    for start in range(0, len(user_TD), chunk):
        part = slice(start, start + chunk)
        total_JD += sum_part_by_item(user_TD[part], item_TP[part], weight_TP[part], num_items=num_items)
    return total_JD


def sum_part_by_item(user_CD: Tensor, item_CP: Tensor, weight_CP: Tensor, *, num_items: int) -> Tensor:
    """Return the same for some positions."""
    pairs = sort_by_item(item_CP, weight_CP.flatten().numpy(), num_items=num_items)
    first_J = torch.from_numpy(pairs.indptr[:-1])
    return sum_bags(user_CD, torch.from_numpy(pairs.indices), first_J, torch.from_numpy(pairs.data))


def sort_by_item(item_CP: Tensor, value: npt.NDArray[Any], *, num_items: int) -> Any:
    """Return SciPy's matrix by columns of the pairs: `indices` are positions, `data` the pairs' values.

    Args:
        item_CP: int32.
        value: One for each pair, in row order.
        num_items: J.
    """
    from scipy.sparse import csr_matrix  # a quarter of a second, which only training has to wait for

    rows, columns = item_CP.shape
    first = np.arange(0, rows * columns + 1, columns, dtype=np.int32)
    return csr_matrix((value, item_CP.flatten().numpy(), first), shape=(rows, num_items)).tocsc()
