"""The training loss on Mixture of Logits: the softmax of its scores, and the two losses of its own.

Shape suffixes: T supervised positions in row order, K negatives per position, J item ids from 0 (padding) to the
largest, D model width, L products of a pair.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor

from hstu_preserve.model.interactions.mol import MIXTURE_EPS, MixtureOfLogits
from hstu_preserve.model.losses import softmax_of_logits
from hstu_preserve.model.shares import Share


@dataclass(frozen=True, kw_only=True)
class MixtureTerms:
    """What the losses of the mixture itself are made of, of the positives' scores alone.

    Attributes:
        weight_TL: Of each product in a positive's score.
        uid_norm_T: Of the users' own vectors; None without any.
    """

    weight_TL: Tensor
    uid_norm_T: Tensor | None


def sampled_softmax(
    mixture: MixtureOfLogits,
    user_TD: Tensor,
    *,
    user_T: Tensor,
    item_table: Tensor,
    positive_T: Tensor,
    negative_TK: Tensor,
    temperature: float,
    adjustment_J: Tensor | None = None,
) -> tuple[Tensor, MixtureTerms]:
    """Return the loss of each position, and what the mixture's own losses are made of.

    As rails has it, the users' side is computed for the positives and once more for the negatives, each time with
    dropout of its own.

    Args:
        mixture: Scores users and items.
        user_TD: Encoder outputs, already normalised.
        user_T: int64 ids of the users.
        item_table: (J, D) item embeddings, already normalised; row 0 is padding.
        positive_T: int64 ids of the true next items.
        negative_TK: int64 ids of the negatives; one equal to the positive is taken out of the sum.
        temperature: Divides the scores.
        adjustment_J: Joins every item's logit after the temperature.
    """
    mixed, queries = mixture(user_TD, user_T, F.embedding(positive_T, item_table)[:, None])
    negative, _ = mixture(user_TD, user_T, F.embedding(negative_TK, item_table))
    loss_T = softmax_of_logits(
        mixed.score_TX / temperature,
        negative.score_TX / temperature,
        positive_T=positive_T,
        negative_TK=negative_TK,
        adjustment_J=adjustment_J,
    )
    return loss_T, MixtureTerms(weight_TL=mixed.weight_TXL[:, 0], uid_norm_T=queries.uid_norm_T)


def measure_usage(terms: MixtureTerms, *, share: Share) -> Tensor:
    """Return rails' `mi_loss`, less mutual information of position and product: it evens the products' use out."""
    entropy_T = -weigh_logarithm(terms.weight_TL).sum(-1)
    return share.sum_of_means(terms.weight_TL, weigh_logarithm) + share.contribute(entropy_T)


def measure_uid_norm(terms: MixtureTerms, *, share: Share) -> Tensor:
    """Return rails' `uid_embedding_l2_norm`, the mean over positions of the squared norms of the users' vectors."""
    assert terms.uid_norm_T is not None  # a recipe without tables does not weigh it
    return share.contribute(terms.uid_norm_T)


def weigh_logarithm(p: Tensor) -> Tensor:
    """Return p·log p, with logarithms kept finite."""
    return p * (p + MIXTURE_EPS).log()


OWN_LOSSES: Mapping[str, Callable[..., Tensor]] = {
    "mi_loss": measure_usage,
    "uid_embedding_l2_norm": measure_uid_norm,
}
"""By the names that a recipe weighs them by."""
