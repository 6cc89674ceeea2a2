"""FPARec and PARec (Luo et al., arXiv:2407.02793): the encoder of NetEase-Media/FPARec at bf59e7f, its TensorFlow code.

Attention to positions alone: the scores are parameters, the same for all users. The reference has maps for queries and
keys, too, which it never reads; there are none here.

Shape suffixes: B batch, T position in the left-padded window and as a key S, D model width, H heads, A width per head,
K factors.
"""

import math
from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hstu_preserve.model.windowed.attention import LAYER_NORM_EPS, attend_to_filled
from hstu_preserve.model.windowed.block import Map, PositionedEncoder, feed_forward
from hstu_preserve.records.settings.encoders import FparecSettings

ACTIVATIONS: Mapping[str, Map] = {"relu": F.relu, "gelu": F.gelu}


class FactorizedScores(nn.Module):
    """FPARec's: a score is the product of a vector of the query's position and one of the key's."""

    def __init__(self, settings: FparecSettings, *, length: int) -> None:
        super().__init__()
        shape = (settings.num_heads, length, settings.factors)
        self.query_factor, self.key_factor = (nn.Parameter(torch.empty(shape)) for _ in range(2))

    def forward(self) -> Tensor:
        """Return score_HTS."""
        return torch.einsum("htk,hsk->hts", self.query_factor, self.key_factor)


class FullScores(nn.Module):
    """PARec's: each score is a parameter."""

    def __init__(self, settings: FparecSettings, *, length: int) -> None:
        super().__init__()
        self.score = nn.Parameter(torch.empty(settings.num_heads, length, length))

    def forward(self) -> Tensor:
        """Return score_HTS."""
        return self.score


class FeedForward(nn.Module):
    """A norm and a feed-forward net, whose residual is the norm; padding is zero after it."""

    def __init__(self, settings: FparecSettings) -> None:
        super().__init__()
        width = settings.item_embedding_dim
        self.dropout_rate = settings.dropout_rate
        self.activate = ACTIVATIONS[settings.ffn_activation_fn]
        self.norm = nn.LayerNorm(width, eps=LAYER_NORM_EPS)
        self.expand = nn.Linear(width, settings.ffn_hidden_dim)
        self.contract = nn.Linear(settings.ffn_hidden_dim, width)

    def forward(self, x_BTD: Tensor, is_event_BT: Tensor) -> Tensor:
        """Return x_BTD, zero where `is_event_BT` (bool) is False."""
        x_BTD = feed_forward(
            self.norm(x_BTD), expand=self.expand, contract=self.contract, activate=self.activate, drop=self.drop
        )
        return x_BTD * is_event_BT[..., None]

    def drop(self, x: Tensor) -> Tensor:
        """Return x with dropout."""
        return F.dropout(x, self.dropout_rate, self.training)


class FparecLayer(nn.Module):
    """Attention by position over the raw input, with the normalised one as residual.

    What it gives for padding is not zero once its norm has a shift. The next layer of this kind, if no net stands
    between them, takes it for events and attends to it, though it holds the mean of all keys of the window, later ones
    included. That is how the code was released.
    """

    def __init__(self, settings: FparecSettings, *, length: int) -> None:
        super().__init__()
        width = settings.item_embedding_dim
        self.heads = settings.num_heads
        self.scale = math.sqrt(width // settings.num_heads)
        self.dropout_rate = settings.dropout_rate
        self.input_norm = nn.LayerNorm(width, eps=LAYER_NORM_EPS)
        self.value = nn.Linear(width, width)
        is_factorized = settings.attention == "factorized"
        self.scores = (FactorizedScores if is_factorized else FullScores)(settings, length=length)

    def forward(self, x_BTD: Tensor, is_event_BT: Tensor) -> Tensor:
        """Return x_BTD after one layer; `is_event_BT` is not read, since the input says by itself what is padding."""
        query_BTD = self.input_norm(x_BTD)
        v_BSHA = self.value(x_BTD).unflatten(-1, (self.heads, -1))
        attention_BHTS = attend_to_filled(self.scores()[None] / self.scale, x_BTD, query_BTD)
        attention_BHTS = F.dropout(attention_BHTS, self.dropout_rate, self.training)
        attended_BTD: Tensor = torch.einsum("bhts,bsha->btha", attention_BHTS, v_BSHA).flatten(2) + query_BTD
        return attended_BTD


class FparecEncoder(PositionedEncoder):
    """`FparecLayer`s with one feed-forward net behind all of them, or one behind each.

    Args:
        settings: Decides every layer.
        max_sequence_length: T.
    """

    def __init__(self, settings: FparecSettings, *, max_sequence_length: int) -> None:
        super().__init__(
            list_layers(settings, length=max_sequence_length),
            length=max_sequence_length,
            width=settings.item_embedding_dim,
            dropout_rate=settings.dropout_rate,
        )


def list_layers(settings: FparecSettings, *, length: int) -> list[nn.Module]:
    """Return the layers in their order, the feed-forward nets among them."""
    layers: list[nn.Module] = []
    for _ in range(settings.num_blocks):
        layers.append(FparecLayer(settings, length=length))
        if settings.feed_forward == "per_block":
            layers.append(FeedForward(settings))
    return layers if settings.feed_forward == "per_block" else [*layers, FeedForward(settings)]
