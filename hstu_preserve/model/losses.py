"""The training loss: sampled softmax over one positive and K negatives per supervised position.

Shape suffixes: T supervised positions, K negatives per position, D model width, I + 1 rows of the item table.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

# Upstream's logit for a negative that is the positive itself; exp of it is 0 in float32.
ACCIDENTAL_HIT_LOGIT = -5e4


def sampled_softmax(
    user_TD: Tensor, *, item_table: Tensor, positive_T: Tensor, negative_TK: Tensor, temperature: float
) -> Tensor:
    """Return the loss of each position, -log softmax of the positive's logit among its negatives'.

    Args:
        user_TD: Encoder outputs, already normalised.
        item_table: (I + 1, D) item embeddings, already normalised; row 0 is padding.
        positive_T: int64 ids of the true next items.
        negative_TK: int64 ids of the negatives; one equal to the positive is taken out of the sum.
        temperature: Divides the logits.
    """
    positive_logit_T1 = (user_TD * F.embedding(positive_T, item_table)).sum(-1, keepdim=True) / temperature
    negative_TKD = F.embedding(negative_TK, item_table)
    negative_logit_TK = torch.bmm(negative_TKD, user_TD[:, :, None]).squeeze(2) / temperature
    is_hit_TK = negative_TK == positive_T[:, None]
    negative_logit_TK = negative_logit_TK.masked_fill(is_hit_TK, ACCIDENTAL_HIT_LOGIT)
    logits = torch.cat([positive_logit_T1, negative_logit_TK], dim=1)
    return -F.log_softmax(logits, dim=1)[:, 0]
