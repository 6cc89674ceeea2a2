"""The recommender: item table, input embedding, encoder and loss, composed as the recipe says.

Shape suffixes: B batch, N padded position, T supervised positions, K negatives, D model width, I candidates.
"""

import torch
from torch import Generator, Tensor, nn
from torch.utils.checkpoint import checkpoint

from hstu_preserve.model.embeddings import InputEmbedding, l2_normalize, normalize_user
from hstu_preserve.model.histories import Histories
from hstu_preserve.model.hstu import HstuEncoder
from hstu_preserve.model.jagged import JaggedOperators, load_operators, plain_to_jagged
from hstu_preserve.model.losses import sampled_softmax
from hstu_preserve.model.negatives import draw_in_batch, draw_local
from hstu_preserve.model.sasrec import SasrecEncoder
from hstu_preserve.records.recipe import HstuSettings, Recipe


class Recommender(nn.Module):
    """A sequential recommender that scores items by the dot product of user and item embedding.

    Args:
        recipe: Decides every layer.
        max_item_id: Largest item id; the table has a row for each id from 0 (padding) to it.
        operators: Jagged operators; fbgemm's where they load, by default.
    """

    def __init__(self, recipe: Recipe, *, max_item_id: int, operators: JaggedOperators | None = None) -> None:
        super().__init__()
        self.recipe = recipe
        self.operators = operators or load_operators()
        settings, length = recipe.model, recipe.padded_length
        self.item_embedding = nn.Embedding(max_item_id + 1, settings.item_embedding_dim, padding_idx=0)
        self.input_embedding = InputEmbedding(
            padded_length=length, width=settings.item_embedding_dim, dropout_rate=settings.dropout_rate
        )
        self.encoder: HstuEncoder | SasrecEncoder = (
            HstuEncoder(settings, padded_length=length, operators=self.operators)
            if isinstance(settings, HstuSettings)
            else SasrecEncoder(settings, padded_length=length)
        )
        if settings.main_module_bf16:
            self.to(torch.bfloat16)

    def forward(self, histories: Histories) -> Tensor:
        """Return normalised user_BND: what the model expects next after each position."""
        x_BND = self.input_embedding(histories.item_BN, self.item_embedding(histories.item_BN))
        encoded_BND = (
            self.encoder(x_BND, histories.length_B, histories.time_BN)
            if isinstance(self.encoder, HstuEncoder)
            else self.encoder(x_BND, histories.item_BN)
        )
        return normalize_user(encoded_BND, self.recipe.model.user_embedding_norm)

    def encode_users(self, histories: Histories) -> Tensor:
        """Return user_BD, the state after each user's last event; every length must be at least 1."""
        user_BND: Tensor = self(histories)
        row_B = torch.arange(len(histories.length_B), device=user_BND.device) * user_BND.shape[1]
        return user_BND.flatten(0, 1).index_select(0, row_B + histories.length_B - 1)

    def item_table(self) -> Tensor:
        """Return the (max_item_id + 1, D) item embeddings that scores are made with."""
        weight = self.item_embedding.weight
        return l2_normalize(weight, eps=self.recipe.loss.l2_norm_eps) if self.recipe.loss.item_l2_norm else weight

    def draw_negatives(self, histories: Histories, candidate_I: Tensor, generator: Generator) -> Tensor:
        """Draw negative_TK (int64) for every supervised position of the batch."""
        positions, k = int(histories.length_B.sum()), self.recipe.loss.num_negatives
        if self.recipe.loss.sampling_strategy == "in-batch":
            return draw_in_batch(histories.item_BN, positions=positions, num_negatives=k, generator=generator)
        return draw_local(candidate_I, positions=positions, num_negatives=k, generator=generator)

    def position_losses(self, histories: Histories, negative_TK: Tensor) -> Tensor:
        """Return loss_T: position t of a history is asked for the item at t + 1, the last one for the target."""
        offsets = self.operators.complete_cumsum(histories.length_B)
        user_TD = self.operators.to_jagged(self(histories)[:, :-1], offsets)
        positive_T = plain_to_jagged(histories.item_BN[:, 1:, None], offsets).squeeze(1)  # fbgemm's takes floats only

        def loss_of(user_TD: Tensor, item_table: Tensor) -> Tensor:
            return sampled_softmax(
                user_TD,
                item_table=item_table,
                positive_T=positive_T,
                negative_TK=negative_TK,
                temperature=self.recipe.loss.temperature,
            )

        if self.recipe.loss.activation_checkpoint:
            loss_T: Tensor = checkpoint(loss_of, user_TD, self.item_table(), use_reentrant=False)
            return loss_T
        return loss_of(user_TD, self.item_table())
