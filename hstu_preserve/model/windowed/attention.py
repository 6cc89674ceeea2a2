"""Softmax attention over a left-padded window, with the masks of kang205/SASRec and of what was made from it.

Shape suffixes: B batch, H heads, T position in the window and as a key S, D model width.
"""

import torch
from torch import Tensor

LAYER_NORM_EPS = 1e-8
MASKED_SCORE = -(2.0**32) + 1.0
"""Of a key that is not seen. A query that sees none so attends to all keys alike, those after it included."""


def attend_to_filled(score_BHTS: Tensor, x_BTD: Tensor, query_BTD: Tensor) -> Tensor:
    """Return attention_BHTS: softmax over the filled keys up to the query, zero of an empty query.

    The reference takes a position for padding if all of its channels are zero, of keys in the layer's input and of
    queries in its norm. The norm of a padded row is its learned shift, so that it is empty before the first step only.

    Args:
        score_BHTS: Of queries and keys, already divided; of one row if the scores are the same for all users.
        x_BTD: The layer's input, zero where padded.
        query_BTD: Its norm.
    """
    positions = x_BTD.shape[1]
    causal_TS = torch.ones(positions, positions, dtype=torch.bool, device=x_BTD.device).tril()
    is_seen_BTS = causal_TS & (x_BTD.abs().sum(-1) > 0)[:, None, :]
    attention_BHTS = score_BHTS.masked_fill(~is_seen_BTS[:, None], MASKED_SCORE).softmax(-1)
    is_asking_BT = query_BTD.abs().sum(-1) > 0
    return attention_BHTS * is_asking_BT[:, None, :, None]
