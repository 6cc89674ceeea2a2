"""What the foundations' training adds: binary cross-entropy, negatives that are new to a user, the norm of the tables.

Shape suffixes: B batch, T supervised positions in row order, H items of a user's training sequence, I candidates, J
item ids from 0 (padding) to the largest, D model width.
"""

import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn

from hstu_preserve.errors import ContentError

TABLES = frozenset(
    {
        "item_embedding.weight",
        "encoder.position_weight",
        *(f"encoder.{kind}_{role}" for kind in ("position", "time") for role in ("key", "value")),  # TiSASRec's
    }
)
"""The parameters whose norm is penalised, the items' padding row included: the reference's variable has one."""


def binary_cross_entropy(
    user_TD: Tensor, *, item_table: Tensor, positive_T: Tensor, negative_T1: Tensor, temperature: float
) -> Tensor:
    """Return the loss of each position: -log σ of the positive's score and -log(1 - σ) of one negative's.

    The reference adds 1e-24 inside the logarithms, which float32 rounds away from a score of 17 on: the loss is then
    infinite or without gradient, as TensorFlow's optimiser of graphs has it. This is the stable form, equal to rounding
    for scores up to 14.

    Args:
        user_TD: Encoder outputs.
        item_table: (J, D) item embeddings.
        positive_T: int64 ids of the true next items.
        negative_T1: int64 ids of the negatives.
        temperature: Divides the dot products; 1 in the reference.
    """
    positive_score_T = (user_TD * F.embedding(positive_T, item_table)).sum(-1) / temperature
    negative_score_T = (user_TD * F.embedding(negative_T1.squeeze(1), item_table)).sum(-1) / temperature
    return F.softplus(-positive_score_T) + F.softplus(negative_score_T)


def draw_unseen(candidate_I: Tensor, *, length_B: Tensor, own_BH: Tensor, generator: Generator) -> Tensor:
    """Draw negative_T1 (int64), one for each position: uniform, and drawn again while it is the user's own.

    Own are the items of the training sequence; those that are held out may be negatives, as in the reference.

    Args:
        candidate_I: int64 ids, ascending.
        length_B: int64, supervised positions of each user.
        own_BH: int64 ids of each user's training sequence, 0 is padding.
        generator: Decides the draw; may live on another device than the items.

    Raises:
        ContentError: A user has every candidate.
    """
    candidates, own = candidate_I.to(generator.device), own_BH.to(generator.device)
    is_own_BI = find_own(candidates, own)
    if bool(is_own_BI.all(1).any()):
        raise ContentError(
            f"train_fn.sampling_strategy 'unseen': a user's training items are all {len(candidates)} candidates, so "
            "that no negative is left; leave the user out of the data, or take another loss"
        )
    row_T = torch.arange(len(length_B), device=own.device).repeat_interleave(length_B.to(own.device))
    column_T = torch.randint(len(candidates), row_T.shape, generator=generator, device=own.device)
    place_R = is_own_BI[row_T, column_T].nonzero().squeeze(1)
    while len(place_R):
        column_T[place_R] = torch.randint(len(candidates), place_R.shape, generator=generator, device=own.device)
        place_R = place_R[is_own_BI[row_T[place_R], column_T[place_R]]]
    return candidates[column_T, None].to(candidate_I.device)


def find_own(candidate_I: Tensor, own_BH: Tensor) -> Tensor:
    """Return is_own_BI (bool): which candidates (ascending) are among each user's items (0 is padding)."""
    column_BH = torch.searchsorted(candidate_I, own_BH.contiguous()).clamp(max=len(candidate_I) - 1)
    # One more column takes what is no candidate, and is cut off again.
    column_BH = torch.where(candidate_I[column_BH] == own_BH, column_BH, len(candidate_I))
    found = torch.zeros(len(own_BH), len(candidate_I) + 1, dtype=torch.bool, device=own_BH.device)
    return found.scatter(1, column_BH, value=True)[:, :-1]


def sum_squares(model: nn.Module) -> Tensor:
    """Return Σw² over the tables of items, positions and intervals that the model has."""
    tables = [parameter for name, parameter in model.named_parameters() if name in TABLES]
    return torch.stack([table.square().sum() for table in tables]).sum()
