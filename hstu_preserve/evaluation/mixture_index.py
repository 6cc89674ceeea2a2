"""The catalogue under Mixture of Logits: every candidate is scored, in tiles, since a pair costs some 10,000 products.

A user's row holds its query vectors and its part of the gates, flat, so that whatever ranks takes rows of users as it
takes their embeddings for dot products.

Shape suffixes: B users, I candidates, K items of each user, E encoder's width, P query vectors, M item vectors, A width
of a vector, L = P·M products of a pair, W = P·A + L width of a user's row.
"""

import torch
from torch import Tensor

from hstu_preserve.evaluation.ranking import CandidateIndex
from hstu_preserve.model.histories import Histories
from hstu_preserve.model.interactions.mol import MixtureOfLogits, multiply_pairs
from hstu_preserve.model.recommender import Recommender

VALUES_PER_TILE = 2**22
"""Of the products or gates that are held at once, whichever are more: 16 MiB, of which mixing needs a few."""


class MixtureIndex(CandidateIndex):
    """The candidates' vectors and their part of the gates, computed once.

    Args:
        mixture: In evaluation mode; its weights may not change meanwhile.
        candidate_I: int64 item ids, each once.
        embedding_IE: Of the candidates, already normalised.
        max_item_id: Largest id that may occur in a history.
        kind: Of the factors of products; None is that of the weights.
    """

    def __init__(
        self,
        mixture: MixtureOfLogits,
        candidate_I: Tensor,
        embedding_IE: Tensor,
        *,
        max_item_id: int,
        kind: torch.dtype | None = None,
    ) -> None:
        candidates = mixture.make_candidates(embedding_IE)
        self.mixture = mixture
        self.vector_IMA = candidates.vector_MA.to(kind or embedding_IE.dtype)
        self.gate_IL = candidates.gate_L
        super().__init__(candidate_I, self.vector_IMA.flatten(1), max_item_id=max_item_id)
        settings = mixture.settings
        width = max(settings.num_logits, settings.gating_qi_hidden_dim, settings.dot_product_dimension)
        self.pairs_per_tile = max(1, VALUES_PER_TILE // width)

    def score(self, user_BD: Tensor) -> Tensor:
        """Return score_BI of the rows of users, [B, W]."""
        vector_BPA, gate_BL = self.take_apart(user_BD)
        size = max(1, self.pairs_per_tile // max(1, len(user_BD)))
        return torch.cat(
            [
                self.mix(torch.einsum("bpa,ima->bipm", vector_BPA, vector_XMA), gate_BL=gate_BL, gate_L=gate_XL)
                for vector_XMA, gate_XL in zip(
                    torch.split(self.vector_IMA, size), torch.split(self.gate_IL, size), strict=True
                )
            ],
            dim=1,
        )

    def score_some(self, user_BD: Tensor, column_BK: Tensor) -> Tensor:
        """Return score_BK of each user's own candidates, by their columns (int64).

        A pair's last bits depend on its place among the others; the first item, drawn once more, gets its own score.
        """
        vector_BPA, gate_BL = self.take_apart(user_BD)
        product_BKL = multiply_pairs(vector_BPA, self.vector_IMA[column_BK])
        score_BK = self.mix(product_BKL, gate_BL=gate_BL, gate_L=self.gate_IL[column_BK])
        return torch.where(column_BK == column_BK[:, :1], score_BK[:, :1], score_BK)

    def tolerate(self, user_BD: Tensor, tolerance: float) -> Tensor:
        """Return tolerance_B: norms and temperature bound a product, whose error counts once more in its weight.

        The gates pass the errors of their factors on. Measured: 16 units of float32's rounding at the most, of 1e-6.
        """
        vector_BPA, gate_BL = self.take_apart(user_BD)
        product_B = vector_BPA.float().norm(dim=2).amax(1) * self.vector_IMA.float().norm(dim=2).amax(1).median()
        gate_B = gate_BL.float().abs().amax(1) * self.gate_IL.float().abs().amax(1).median()
        tolerance_B: Tensor = 2 * tolerance * product_B / self.mixture.settings.temperature * (1 + gate_B)
        return tolerance_B

    def take_apart(self, user_BD: Tensor) -> tuple[Tensor, Tensor]:
        """Return vector_BPA and gate_BL of the rows of users."""
        settings = self.mixture.settings
        logits = settings.num_logits
        vector, gate_BL = user_BD[:, :-logits], user_BD[:, -logits:]
        return vector.reshape(len(vector), settings.query_dot_product_groups, settings.dot_product_dimension), gate_BL

    def mix(self, product: Tensor, *, gate_BL: Tensor, gate_L: Tensor) -> Tensor:
        """Return the scores of products, in the weights' number format whatever that of their factors is."""
        kind = self.gate_IL.dtype
        product_BXL = product.flatten(2).to(kind) / self.mixture.settings.temperature
        return self.mixture.mix(product_BXL, gate_TL=gate_BL.to(kind), gate_XL=gate_L).score_TX


def make_index(
    model: Recommender, candidate_I: Tensor, *, max_item_id: int, kind: torch.dtype | None = None
) -> CandidateIndex:
    """Return the catalogue that scores as the model does.

    Args:
        model: In evaluation mode.
        candidate_I: int64 item ids, where the model is.
        max_item_id: Largest id that may occur in a history.
        kind: In which users and candidates are multiplied; None is the weights' own.
    """
    embedding_ID = model.item_table().index_select(0, candidate_I)
    if model.mixture is not None:
        return MixtureIndex(model.mixture, candidate_I, embedding_ID, max_item_id=max_item_id, kind=kind)
    return CandidateIndex(candidate_I, embedding_ID.to(kind or embedding_ID.dtype), max_item_id=max_item_id)


def encode_users(model: Recommender, histories: Histories) -> Tensor:
    """Return the users as the model's catalogue scores them: their embeddings, or under a mixture their rows."""
    user_BE = model.encode_users(histories)
    if model.mixture is None:
        return user_BE
    assert histories.user_B is not None
    queries = model.mixture.make_queries(user_BE, histories.user_B)
    return torch.cat([queries.vector_TPA.flatten(1), queries.gate_TL], dim=1)
