"""The parts that the foundations share: a feed-forward net with dropout, a block's norms and maps, an encoder's frame.

Shape suffixes: B batch, N left-aligned position, T position in the left-padded window, D model width.
"""

import math
from collections.abc import Callable, Iterable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hstu_preserve.model.windowed.attention import LAYER_NORM_EPS
from hstu_preserve.model.windowed.window import move_to_window

Map = Callable[[Tensor], Tensor]


def feed_forward(normed_BTD: Tensor, *, expand: nn.Linear, contract: nn.Linear, activate: Map, drop: Map) -> Tensor:
    """Return the normalised input plus the net's output; `drop` falls on the hidden layer, then on the output."""
    hidden = drop(activate(expand(normed_BTD)))
    return drop(contract(hidden)) + normed_BTD


class Block(nn.Module):
    """The norms and maps of a block of SASRec and TiSASRec, each of which attends in its own way between them."""

    def __init__(self, width: int, *, dropout_rate: float) -> None:
        super().__init__()
        self.dropout_rate = dropout_rate
        self.input_norm = nn.LayerNorm(width, eps=LAYER_NORM_EPS)
        self.query, self.key, self.value = (nn.Linear(width, width) for _ in range(3))
        self.attended_norm = nn.LayerNorm(width, eps=LAYER_NORM_EPS)
        self.expand, self.contract = (nn.Linear(width, width) for _ in range(2))

    def finish(self, attended_BTD: Tensor, is_event_BT: Tensor) -> Tensor:
        """Return x_BTD after the feed-forward net, zero where `is_event_BT` (bool) is False."""
        x_BTD = feed_forward(
            self.attended_norm(attended_BTD),
            expand=self.expand,
            contract=self.contract,
            activate=F.relu,
            drop=self.drop,
        )
        return x_BTD * is_event_BT[..., None]

    def drop(self, x: Tensor) -> Tensor:
        """Return x with dropout."""
        return F.dropout(x, self.dropout_rate, self.training)


class PositionedEncoder(nn.Module):
    """Positions, input dropout, layers and a last norm, in a window of T positions.

    Args:
        layers: Each takes x_BTD and is_event_BT (bool), and gives x_BTD.
        length: T.
        width: D.
        dropout_rate: Of the input.
    """

    def __init__(self, layers: Iterable[nn.Module], *, length: int, width: int, dropout_rate: float) -> None:
        super().__init__()
        self.length = length
        self.scale = math.sqrt(width)
        self.dropout_rate = dropout_rate
        self.position_weight = nn.Parameter(torch.empty(length, width))
        self.layers = nn.ModuleList(layers)
        self.output_norm = nn.LayerNorm(width, eps=LAYER_NORM_EPS)

    def forward(self, embedding_BND: Tensor, length_B: Tensor, item_BN: Tensor, time_BN: Tensor) -> Tensor:
        """Return encoded_BND, left-aligned as the input: the state after each event, zero elsewhere.

        Args:
            embedding_BND: Item embeddings, unscaled; N is more than T.
            length_B: int64, events of history, at most T.
            item_BN: int64, 0 is padding; nothing from position `length` on is read.
            time_BN: Not read: the encoder knows the order of events alone.
        """
        window = move_to_window(embedding_BND, length_B, item_BN, length=self.length)
        x_BTD = F.dropout(window.embedding_BTD * self.scale + self.position_weight, self.dropout_rate, self.training)
        x_BTD = x_BTD * window.is_event_BT[..., None]
        for layer in self.layers:
            x_BTD = layer(x_BTD, window.is_event_BT)
        return window.restore(self.output_norm(x_BTD))
