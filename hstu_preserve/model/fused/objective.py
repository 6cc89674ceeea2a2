"""The training loss on the fused path, equal to `model.objective.training_losses` but for the rounding of float32.

Shape suffixes: T supervised positions, K negatives per position, P columns of pairs (1 + K, the positive first), J item
ids from 0 (padding) to the largest, D model width.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from hstu_preserve.kernels.pair_products import multiply_pairs
from hstu_preserve.model.losses import ACCIDENTAL_HIT_LOGIT
from hstu_preserve.model.objective import (
    Draws,
    Losses,
    add_own_terms,
    balance_experts,
    mix_in_hard,
    select_supervised,
    weigh,
)
from hstu_preserve.model.recommender import Recommender
from hstu_preserve.model.shares import WHOLE, Share


def training_losses(model: Recommender, draws: Draws, *, share: Share = WHOLE) -> Losses:
    """Return the weighted mean of the positions' losses, and its sum with the components' own losses.

    Args:
        model: Whose recipe has a sampled softmax.
        draws: The batch, or a part of it.
        share: How means over the whole batch are made of it.
    """
    encoded = model.encode(draws.histories)
    supervised = select_supervised(model, encoded.tokens, encoded.user_BND)
    loss_T = sampled_softmax(
        supervised.user_TD,
        item_table=encoded.table_JD,
        positive_T=supervised.positive_T,
        negative_TK=mix_in_hard(model, encoded, supervised, draws),
        temperature=model.recipe.loss.temperature,
        adjustment_J=model.popularity.adjustment_J if model.popularity else None,
    )
    weight_T = weigh(model, encoded.tokens, supervised, share=share)
    main = share.contribute(loss_T if weight_T is None else loss_T * weight_T)
    return add_own_terms(model, main, balance_experts(model, encoded, draws.histories, share=share))


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
    item_TP = torch.cat([positive_T[:, None], negative_TK], dim=1)
    logit_TP = multiply_pairs(user_TD, item_table, item_TP) / temperature
    if adjustment_J is not None:
        logit_TP = logit_TP + F.embedding(item_TP, adjustment_J[:, None]).squeeze(2)
    is_hit_TK = negative_TK == positive_T[:, None]
    logit_TP = logit_TP.masked_fill(F.pad(is_hit_TK, (1, 0)), ACCIDENTAL_HIT_LOGIT)
    return -F.log_softmax(logit_TP, dim=1)[:, 0]
