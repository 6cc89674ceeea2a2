"""The training losses: softmax over one positive and K negatives per supervised position, or over all candidates.

Shape suffixes: T supervised positions, K negatives per position, C supervised positions scored at once, I candidates,
J item ids from 0 (padding) to the largest, D model width.
"""

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.checkpoint import checkpoint

# Upstream's logit for a negative that is the positive itself; exp of it is 0 in float32.
ACCIDENTAL_HIT_LOGIT = -5e4

LOGITS_AT_ONCE = 2**27
"""Logits that `full_softmax` keeps for its gradient, 512 MiB; of more, it computes them a second time."""


def sampled_softmax(
    user_TD: Tensor,
    *,
    item_table: Tensor,
    positive_T: Tensor,
    negative_TK: Tensor,
    temperature: float,
    adjustment_J: Tensor | None = None,
) -> Tensor:
    """Return the loss of each position, -log softmax of the positive's logit among its negatives'.

    Args:
        user_TD: Encoder outputs, already normalised.
        item_table: (J, D) item embeddings, already normalised; row 0 is padding.
        positive_T: int64 ids of the true next items.
        negative_TK: int64 ids of the negatives; one equal to the positive is taken out of the sum.
        temperature: Divides the dot products.
        adjustment_J: Joins every item's logit, the positive's too, after the temperature; it has no gradient.
    """
    positive_logit_T1 = (user_TD * F.embedding(positive_T, item_table)).sum(-1, keepdim=True) / temperature
    negative_TKD = F.embedding(negative_TK, item_table)
    negative_logit_TK = torch.bmm(negative_TKD, user_TD[:, :, None]).squeeze(2) / temperature
    return softmax_of_logits(
        positive_logit_T1,
        negative_logit_TK,
        positive_T=positive_T,
        negative_TK=negative_TK,
        adjustment_J=adjustment_J,
    )


def softmax_of_logits(
    positive_logit_T1: Tensor,
    negative_logit_TK: Tensor,
    *,
    positive_T: Tensor,
    negative_TK: Tensor,
    adjustment_J: Tensor | None,
) -> Tensor:
    """Return the loss of each position, whatever made the logits; for the ids see `sampled_softmax`."""
    if adjustment_J is not None:
        positive_logit_T1 = positive_logit_T1 + adjustment_J[positive_T, None]
        negative_logit_TK = negative_logit_TK + adjustment_J[negative_TK]
    is_hit_TK = negative_TK == positive_T[:, None]
    negative_logit_TK = negative_logit_TK.masked_fill(is_hit_TK, ACCIDENTAL_HIT_LOGIT)
    logits = torch.cat([positive_logit_T1, negative_logit_TK], dim=1)
    return -F.log_softmax(logits, dim=1)[:, 0]


def full_softmax(
    user_TD: Tensor,
    *,
    item_table: Tensor,
    candidate_I: Tensor,
    positive_T: Tensor,
    temperature: float,
    padding_row: bool,
    adjustment_J: Tensor | None = None,
) -> Tensor:
    """Return the loss of each position, -log softmax of the positive's logit among all candidates'.

    As in NetEase-Media/HSTU-Tensorflow, whose table has a row of zeros for padding that joins the sum.

    Args:
        user_TD: Encoder outputs, already normalised.
        item_table: (J, D) item embeddings, already normalised.
        candidate_I: int64 ids, ascending.
        positive_T: int64 ids of the true next items; each is a candidate.
        temperature: Divides the dot products.
        padding_row: Whether one more logit, exactly 0, joins the sum.
        adjustment_J: Joins every candidate's logit after the temperature.
    """
    candidate_ID = item_table.index_select(0, candidate_I)
    column_T = torch.searchsorted(candidate_I, positive_T)

    def loss_of(user_CD: Tensor, candidate_ID: Tensor, column_C: Tensor) -> Tensor:
        logit_CI = user_CD @ candidate_ID.t() / temperature
        if adjustment_J is not None:
            logit_CI = logit_CI + adjustment_J[candidate_I]
        if padding_row:
            logit_CI = F.pad(logit_CI, (0, 1))
        return F.cross_entropy(logit_CI, column_C, reduction="none")

    chunk = max(1, LOGITS_AT_ONCE // len(candidate_I))
    if len(user_TD) <= chunk:
        return loss_of(user_TD, candidate_ID, column_T)
    losses: list[Tensor] = [
        checkpoint(loss_of, user_CD, candidate_ID, column_C, use_reentrant=False)
        for user_CD, column_C in zip(torch.split(user_TD, chunk), torch.split(column_T, chunk), strict=True)
    ]
    return torch.cat(losses)
