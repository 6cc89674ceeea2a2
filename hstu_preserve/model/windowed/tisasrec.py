"""TiSASRec (Li, Wang and McAuley, WSDM 2020): the encoder of JiachengLi1995/TiSASRec at 0e831e1, its TensorFlow code.

SASRec as published, but that a query sees each key with its position and with the time between both, in tables of their
own for keys and values. Positions do not join the input. Times are the user's own (`data.own_times`).

Shape suffixes: B batch, N left-aligned position, T position in the left-padded window and as a key S, D model width.
"""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hstu_preserve.model.windowed.attention import LAYER_NORM_EPS, attend_to_filled
from hstu_preserve.model.windowed.block import Block
from hstu_preserve.model.windowed.window import move_to_window, rotate
from hstu_preserve.records.settings.encoders import TisasrecSettings


@dataclass(frozen=True, kw_only=True)
class Relations:
    """What keys and values are beside their items; dropout fell on it once, for all blocks.

    Attributes:
        time_key_BTSD: Of the time between query and key; it joins the key.
        time_value_BTSD: Of the same time; it joins the value.
        position_key_BSD: Of the key's position, of each user for its dropout.
        position_value_BSD: Of the same position.
    """

    time_key_BTSD: Tensor
    time_value_BTSD: Tensor
    position_key_BSD: Tensor
    position_value_BSD: Tensor


def measure_intervals(time_BT: Tensor, *, time_span: int) -> Tensor:
    """Return interval_BTS (int64, 0 to `time_span`) between two positions; the time of padding is 0.

    Args:
        time_BT: int64, in the user's own unit, which begins with 1: the interval to padding is the event's time.
        time_span: Longer intervals count as this one.
    """
    return (time_BT[:, :, None] - time_BT[:, None, :]).abs().clamp(0, time_span)


class TisasrecLayer(Block):
    """Attention of the normalised input over the raw one, to items, positions and intervals; then feed-forward."""

    def forward(self, x_BTD: Tensor, is_event_BT: Tensor, relations: Relations) -> Tensor:
        """Return x_BTD after one layer, zero where `is_event_BT` (bool) is False."""
        query_BTD = self.input_norm(x_BTD)
        q_BTD, k_BSD, v_BSD = self.query(query_BTD), self.key(x_BTD), self.value(x_BTD)
        score_BTS = (
            torch.einsum("btd,bsd->bts", q_BTD, k_BSD)
            + torch.einsum("btd,btsd->bts", q_BTD, relations.time_key_BTSD)
            + torch.einsum("btd,bsd->bts", q_BTD, relations.position_key_BSD)
        ) / math.sqrt(q_BTD.shape[-1])
        attention_BTS = self.drop(attend_to_filled(score_BTS[:, None], x_BTD, query_BTD)).squeeze(1)
        attended_BTD = (
            torch.einsum("bts,bsd->btd", attention_BTS, v_BSD)
            + torch.einsum("bts,btsd->btd", attention_BTS, relations.time_value_BTSD)
            + torch.einsum("bts,bsd->btd", attention_BTS, relations.position_value_BSD)
        )
        return self.finish(attended_BTD + query_BTD, is_event_BT)


class TisasrecEncoder(nn.Module):
    """Input dropout, tables of positions and intervals, a stack of `TisasrecLayer` and a last norm.

    Args:
        settings: Decides every layer.
        max_sequence_length: T.
    """

    def __init__(self, settings: TisasrecSettings, *, max_sequence_length: int) -> None:
        super().__init__()
        width = settings.item_embedding_dim
        self.length = max_sequence_length
        self.time_span = settings.time_span
        self.scale = math.sqrt(width)
        self.dropout_rate = settings.dropout_rate
        self.position_key, self.position_value = (
            nn.Parameter(torch.empty(max_sequence_length, width)) for _ in range(2)
        )
        self.time_key, self.time_value = (nn.Parameter(torch.empty(settings.time_span + 1, width)) for _ in range(2))
        self.layers = nn.ModuleList(
            TisasrecLayer(width, dropout_rate=settings.dropout_rate) for _ in range(settings.num_blocks)
        )
        self.output_norm = nn.LayerNorm(width, eps=LAYER_NORM_EPS)

    def forward(self, embedding_BND: Tensor, length_B: Tensor, item_BN: Tensor, time_BN: Tensor) -> Tensor:
        """Return encoded_BND, left-aligned as the input: the state after each event, zero elsewhere.

        Args:
            embedding_BND: Item embeddings, unscaled; N is more than T.
            length_B: int64, events of history, at most T.
            item_BN: int64, 0 is padding; nothing from position `length` on is read.
            time_BN: int64, in the user's own unit; the target's is not read.
        """
        window = move_to_window(embedding_BND, length_B, item_BN, length=self.length)
        time_BT = rotate(time_BN, window.shift_B)[:, : self.length] * window.is_event_BT
        x_BTD = self.drop(window.embedding_BTD * self.scale) * window.is_event_BT[..., None]
        relations = self.relate(measure_intervals(time_BT, time_span=self.time_span))
        for layer in self.layers:
            x_BTD = layer(x_BTD, window.is_event_BT, relations)
        return window.restore(self.output_norm(x_BTD))

    def relate(self, interval_BTS: Tensor) -> Relations:
        """Return what keys and values are beside their items, with dropout in the reference's order."""
        shape = (len(interval_BTS), *self.position_key.shape)
        return Relations(
            time_key_BTSD=self.drop(F.embedding(interval_BTS, self.time_key)),
            time_value_BTSD=self.drop(F.embedding(interval_BTS, self.time_value)),
            position_key_BSD=self.drop(self.position_key.expand(shape)),
            position_value_BSD=self.drop(self.position_value.expand(shape)),
        )

    def drop(self, x: Tensor) -> Tensor:
        """Return x with dropout."""
        return F.dropout(x, self.dropout_rate, self.training)
