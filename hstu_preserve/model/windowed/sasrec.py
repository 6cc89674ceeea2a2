"""SASRec as published (Kang and McAuley, ICDM 2018): the encoder of kang205/SASRec at e373896, its TensorFlow code.

It differs from upstream's SASRec in its left padding, norms with learned gain and shift, the residuals from normalised
inputs, the attention without an output projection, padding that is no key, and the norm at its end.

Shape suffixes: B batch, T position in the left-padded window and as a key S, D model width, H heads, A width per head.
"""

import math

import torch
from torch import Tensor

from hstu_preserve.model.windowed.attention import attend_to_filled
from hstu_preserve.model.windowed.block import Block, PositionedEncoder
from hstu_preserve.records.settings.encoders import SasrecTfSettings


class SasrecTfLayer(Block):
    """Attention of the normalised input over the raw one, then a feed-forward net of the model's width."""

    def __init__(self, settings: SasrecTfSettings) -> None:
        super().__init__(settings.item_embedding_dim, dropout_rate=settings.dropout_rate)
        self.heads = settings.num_heads

    def forward(self, x_BTD: Tensor, is_event_BT: Tensor) -> Tensor:
        """Return x_BTD after one layer, zero where `is_event_BT` (bool) is False."""
        query_BTD = self.input_norm(x_BTD)
        q_BTHA, k_BSHA, v_BSHA = (
            part.unflatten(-1, (self.heads, -1)) for part in (self.query(query_BTD), self.key(x_BTD), self.value(x_BTD))
        )
        score_BHTS = torch.einsum("btha,bsha->bhts", q_BTHA, k_BSHA) / math.sqrt(q_BTHA.shape[-1])
        attention_BHTS = self.drop(attend_to_filled(score_BHTS, x_BTD, query_BTD))
        attended_BTD = torch.einsum("bhts,bsha->btha", attention_BHTS, v_BSHA).flatten(2) + query_BTD
        return self.finish(attended_BTD, is_event_BT)


class SasrecTfEncoder(PositionedEncoder):
    """A stack of `SasrecTfLayer`.

    Args:
        settings: Decides every layer.
        max_sequence_length: T.
    """

    def __init__(self, settings: SasrecTfSettings, *, max_sequence_length: int) -> None:
        layers = (SasrecTfLayer(settings) for _ in range(settings.num_blocks))
        super().__init__(
            layers,
            length=max_sequence_length,
            width=settings.item_embedding_dim,
            dropout_rate=settings.dropout_rate,
        )
