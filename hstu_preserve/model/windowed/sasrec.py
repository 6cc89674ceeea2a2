"""SASRec as published (Kang and McAuley, ICDM 2018): the encoder of kang205/SASRec at e373896, its TensorFlow code.

It differs from upstream's SASRec in its left padding, norms with learned gain and shift, the residuals from normalised
inputs, the attention without an output projection, padding that is no key, and the norm at its end.

Shape suffixes: B batch, N left-aligned position, T position in the left-padded window and as a key S, D model width,
H heads, A width per head.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hstu_preserve.model.windowed.attention import LAYER_NORM_EPS, attend_to_filled
from hstu_preserve.model.windowed.window import move_to_window
from hstu_preserve.records.settings.encoders import SasrecTfSettings


class SasrecTfLayer(nn.Module):
    """Attention of the normalised input over the raw one, then a feed-forward net of the model's width."""

    def __init__(self, settings: SasrecTfSettings) -> None:
        super().__init__()
        width = settings.item_embedding_dim
        self.heads = settings.num_heads
        self.dropout_rate = settings.dropout_rate
        self.input_norm = nn.LayerNorm(width, eps=LAYER_NORM_EPS)
        self.query, self.key, self.value = (nn.Linear(width, width) for _ in range(3))
        self.attended_norm = nn.LayerNorm(width, eps=LAYER_NORM_EPS)
        self.expand, self.contract = (nn.Linear(width, width) for _ in range(2))

    def forward(self, x_BTD: Tensor, is_event_BT: Tensor) -> Tensor:
        """Return x_BTD after one layer, zero where `is_event_BT` (bool) is False."""
        query_BTD = self.input_norm(x_BTD)
        q_BTHA, k_BSHA, v_BSHA = (
            part.unflatten(-1, (self.heads, -1)) for part in (self.query(query_BTD), self.key(x_BTD), self.value(x_BTD))
        )
        score_BHTS = torch.einsum("btha,bsha->bhts", q_BTHA, k_BSHA) / math.sqrt(q_BTHA.shape[-1])
        attention_BHTS = self.drop(attend_to_filled(score_BHTS, x_BTD, query_BTD))
        attended_BTD = torch.einsum("bhts,bsha->btha", attention_BHTS, v_BSHA).flatten(2) + query_BTD

        normed_BTD = self.attended_norm(attended_BTD)
        hidden_BTD = self.drop(F.relu(self.expand(normed_BTD)))
        masked_BTD: Tensor = (self.drop(self.contract(hidden_BTD)) + normed_BTD) * is_event_BT[..., None]
        return masked_BTD

    def drop(self, x: Tensor) -> Tensor:
        """Return x with dropout."""
        return F.dropout(x, self.dropout_rate, self.training)


class SasrecTfEncoder(nn.Module):
    """Positions, input dropout, a stack of `SasrecTfLayer` and a last norm, in a window of T positions.

    Args:
        settings: Decides every layer.
        max_sequence_length: T.
    """

    def __init__(self, settings: SasrecTfSettings, *, max_sequence_length: int) -> None:
        super().__init__()
        self.length = max_sequence_length
        self.scale = math.sqrt(settings.item_embedding_dim)
        self.dropout_rate = settings.dropout_rate
        self.position_weight = nn.Parameter(torch.empty(max_sequence_length, settings.item_embedding_dim))
        self.layers = nn.ModuleList(SasrecTfLayer(settings) for _ in range(settings.num_blocks))
        self.output_norm = nn.LayerNorm(settings.item_embedding_dim, eps=LAYER_NORM_EPS)

    def forward(self, embedding_BND: Tensor, length_B: Tensor, item_BN: Tensor, time_BN: Tensor) -> Tensor:
        """Return encoded_BND, left-aligned as the input: the state after each event, zero elsewhere.

        Args:
            embedding_BND: Item embeddings, unscaled; N is more than T.
            length_B: int64, events of history, at most T.
            item_BN: int64, 0 is padding; nothing from position `length` on is read.
            time_BN: Not read: SASRec knows the order of events alone.
        """
        window = move_to_window(embedding_BND, length_B, item_BN, length=self.length)
        x_BTD = F.dropout(window.embedding_BTD * self.scale + self.position_weight, self.dropout_rate, self.training)
        x_BTD = x_BTD * window.is_event_BT[..., None]
        for layer in self.layers:
            x_BTD = layer(x_BTD, window.is_event_BT)
        return window.restore(self.output_norm(x_BTD))
