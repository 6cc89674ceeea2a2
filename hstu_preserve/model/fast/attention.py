"""HSTU's attention on a CPU: tile by tile over users of similar length, and computed again for the gradient.

It equals `model.hstu.HstuLayer`'s: SiLU of the scores and their biases, divided by the padded length, keys weighed by
their age if time decays. Nothing of the size of the scores is kept between tiles, so that memory grows with the valid
positions alone.

Shape suffixes: T all valid positions in row order, G users of a group, L padded position within the group, N query
position of a tile, M key position of a tile, C all heads' channels, H heads, A channels per head, K time buckets,
Z users times heads; X position of the encoder, and Y as a key.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from hstu_preserve.model.fast.layout import Group, Tile
from hstu_preserve.model.time_decay import fade

HIDDEN = -1e30
"""The bias of a hidden key: SiLU and its slope are exactly 0 there."""


@dataclass(frozen=True, kw_only=True)
class Shape:
    """What does not change within an encoder.

    Attributes:
        heads: H.
        divisor: Divides attention: the padded length.
        groups: The batch.
    """

    heads: int
    divisor: int
    groups: Sequence[Group]


def attend(
    query_TC: Tensor,
    key_TC: Tensor,
    value_TC: Tensor,
    *,
    position_bias_XY: Tensor,
    time_bias_K: Tensor,
    rate_H: Tensor | None,
    shape: Shape,
) -> Tensor:
    """Return attended_TC.

    Args:
        query_TC: Of every valid position.
        key_TC: Of every valid position.
        value_TC: Of every valid position; its width may be another one.
        position_bias_XY: Joins the scores, for a query at X and a key at Y.
        time_bias_K: Joins the scores, by bucket of the gap in time.
        rate_H: Of the decay of each head, or one for all; None if nothing decays.
        shape: Heads, divisor and groups.
    """
    attended: Tensor = Attention.apply(  # type: ignore[no-untyped-call]
        query_TC, key_TC, value_TC, position_bias_XY, time_bias_K, rate_H, shape
    )
    return attended


class Attention(torch.autograd.Function):
    """`attend`, with gradients by computing the scores again."""

    @staticmethod
    def forward(
        ctx: Any,
        query_TC: Tensor,
        key_TC: Tensor,
        value_TC: Tensor,
        position_bias_XY: Tensor,
        time_bias_K: Tensor,
        rate_H: Tensor | None,
        shape: Shape,
    ) -> Tensor:
        """Return attended_TC."""
        ctx.save_for_backward(query_TC, key_TC, value_TC, position_bias_XY, time_bias_K, rate_H)
        ctx.shape = shape
        attended_TC = value_TC.new_empty(value_TC.shape)
        terms = Terms(position_bias_XY, time_bias_K, rate_H)
        for group in shape.groups:
            q_ZLA, k_ZLA, v_ZLA = (take(x, group, heads=shape.heads) for x in (query_TC, key_TC, value_TC))
            out_ZLA = torch.empty_like(v_ZLA)
            for tile in group.tiles:
                attention_ZNM = F.silu(score(q_ZLA, k_ZLA, tile, terms=terms, heads=shape.heads), inplace=True)
                terms.weigh(attention_ZNM, tile)
                out_ZLA[:, tile.start : tile.stop] = torch.bmm(attention_ZNM, v_ZLA[:, : tile.stop])
            put(out_ZLA, group, into=attended_TC, heads=shape.heads)
        return attended_TC.div_(shape.divisor)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient_TC: Tensor) -> tuple[Tensor | None, ...]:
        """Return the gradients of queries, keys, values, biases and rates."""
        query_TC, key_TC, value_TC, position_bias_XY, time_bias_K, rate_H = ctx.saved_tensors
        shape: Shape = ctx.shape
        inputs = (query_TC, key_TC, value_TC)
        gradients = [x.new_empty(x.shape) for x in inputs]
        terms = Terms(position_bias_XY, time_bias_K, rate_H)
        gradient_TC = gradient_TC / shape.divisor
        for group in shape.groups:
            q_ZLA, k_ZLA, v_ZLA = (take(x, group, heads=shape.heads) for x in inputs)
            d_ZLA = take(gradient_TC, group, heads=shape.heads)
            if group.is_padding_GL is not None:
                torch.unflatten(d_ZLA, 0, (group.size, -1)).masked_fill_(group.is_padding_GL[:, None, :, None], 0.0)
            found = differentiate(q_ZLA, k_ZLA, v_ZLA, d_ZLA, group, terms=terms, heads=shape.heads)
            for gradient, part_ZLA in zip(gradients, found, strict=True):
                put(part_ZLA, group, into=gradient, heads=shape.heads)
        return *gradients, terms.position_gradient_XY, terms.time_gradient_K, terms.rate_gradient_H, None


class Terms:
    """What a layer knows of pairs of positions beside queries and keys, and the gradients of it.

    Args:
        position_bias_XY: By the positions of query and key.
        time_bias_K: By the gap in time.
        rate_H: Of the decay of each head, or one for all; None if nothing decays.
    """

    def __init__(self, position_bias_XY: Tensor, time_bias_K: Tensor, rate_H: Tensor | None) -> None:
        is_hidden_XY = torch.ones_like(position_bias_XY, dtype=torch.bool).triu(1)
        self.position_bias_XY = position_bias_XY.masked_fill(is_hidden_XY, HIDDEN)
        self.time_bias_K = time_bias_K
        self.position_gradient_XY = torch.zeros_like(position_bias_XY)
        self.time_gradient_K = torch.zeros_like(time_bias_K)
        self.rate_H = rate_H
        self.rate_gradient_H = None if rate_H is None or not rate_H.requires_grad else torch.zeros_like(rate_H)

    def look_up(self, tile: Tile) -> Tensor:
        """Return bias_GNM of a tile; a hidden key's is `HIDDEN`."""
        bias_GNM = self.time_bias_K.index_select(0, tile.bucket_GNM.flatten()).view(tile.bucket_GNM.shape)
        return bias_GNM.add_(self.position_bias_XY[tile.start : tile.stop, : tile.stop])

    def weigh(self, value_ZNM: Tensor, tile: Tile) -> None:
        """Multiply values of a tile, in place, by the weights of its keys."""
        if self.rate_H is not None and tile.age_GNM is not None:
            value_GHNM = torch.unflatten(value_ZNM, 0, (len(tile.age_GNM), -1))
            value_GHNM.mul_(fade(tile.age_GNM[:, None], self.rate_H[:, None, None]))

    def add_rate_gradient(self, product_ZNM: Tensor, tile: Tile) -> None:
        """Add the gradient of a tile's rates, from attention times its gradient: a weight's slope is -age · weight."""
        if self.rate_gradient_H is not None and tile.age_GNM is not None:
            slope_GHNM = torch.unflatten(product_ZNM, 0, (len(tile.age_GNM), -1)) * tile.age_GNM[:, None]
            self.rate_gradient_H -= slope_GHNM.sum((0, 2, 3)).sum_to_size(self.rate_gradient_H.shape)

    def add_gradient(self, gradient_GNM: Tensor, tile: Tile) -> None:
        """Add the gradient of a tile's bias to those of the two."""
        self.position_gradient_XY[tile.start : tile.stop, : tile.stop] += gradient_GNM.sum(0)
        self.time_gradient_K.index_add_(0, tile.bucket_GNM.flatten(), gradient_GNM.flatten())


def score(q_ZLA: Tensor, k_ZLA: Tensor, tile: Tile, *, terms: Terms, heads: int) -> Tensor:
    """Return the scores of a tile, with their biases."""
    bias_GNM = terms.look_up(tile)
    q_ZNA, k_ZAM = q_ZLA[:, tile.start : tile.stop], k_ZLA[:, : tile.stop].transpose(1, 2)
    if heads == 1:
        return bias_GNM.baddbmm_(q_ZNA, k_ZAM)
    score_ZNM = torch.bmm(q_ZNA, k_ZAM)
    torch.unflatten(score_ZNM, 0, (-1, heads)).add_(bias_GNM[:, None])
    return score_ZNM


def differentiate(
    q_ZLA: Tensor, k_ZLA: Tensor, v_ZLA: Tensor, d_ZLA: Tensor, group: Group, *, terms: Terms, heads: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the gradients of a group's queries, keys and values, and add the others to `terms`.

    Args:
        q_ZLA: Queries.
        k_ZLA: Keys.
        v_ZLA: Values.
        d_ZLA: Gradient of what they attended to, before the division; zero where padded.
        group: The users.
        terms: Of the layer.
        heads: H.
    """
    dq_ZLA, dk_ZLA, dv_ZLA = torch.empty_like(q_ZLA), torch.zeros_like(k_ZLA), torch.zeros_like(v_ZLA)
    for tile in group.tiles:
        queries, keys = slice(tile.start, tile.stop), slice(tile.stop)
        score_ZNM = score(q_ZLA, k_ZLA, tile, terms=terms, heads=heads)
        d_attention_ZNM = torch.bmm(d_ZLA[:, queries], v_ZLA[:, keys].transpose(1, 2))
        terms.weigh(d_attention_ZNM, tile)
        d_score_ZNM = torch.ops.aten.silu_backward(d_attention_ZNM, score_ZNM)
        attention_ZNM = F.silu(score_ZNM, inplace=True)
        if terms.rate_gradient_H is not None:
            terms.add_rate_gradient(d_attention_ZNM.mul_(attention_ZNM), tile)
        terms.weigh(attention_ZNM, tile)
        dv_ZLA[:, keys].baddbmm_(attention_ZNM.transpose(1, 2), d_ZLA[:, queries])
        dq_ZLA[:, queries] = torch.bmm(d_score_ZNM, k_ZLA[:, keys])
        dk_ZLA[:, keys].baddbmm_(d_score_ZNM.transpose(1, 2), q_ZLA[:, queries])
        d_bias_GNM = d_score_ZNM if heads == 1 else torch.unflatten(d_score_ZNM, 0, (-1, heads)).sum(1)
        terms.add_gradient(d_bias_GNM, tile)
    return dq_ZLA, dk_ZLA, dv_ZLA


def take(x_TC: Tensor, group: Group, *, heads: int) -> Tensor:
    """Return a group's rows by user and head; those of padding are another position's."""
    x_GLHA = x_TC.index_select(0, group.row_GL.flatten()).view(group.size, group.length, heads, -1)
    return x_GLHA.transpose(1, 2).reshape(group.size * heads, group.length, -1)


def put(x_ZLA: Tensor, group: Group, *, into: Tensor, heads: int) -> None:
    """Write a group's rows to their places among all."""
    x_GLC = torch.unflatten(x_ZLA, 0, (group.size, heads)).transpose(1, 2).flatten(2)
    if group.is_padding_GL is None:
        into.index_copy_(0, group.row_GL.flatten(), x_GLC.flatten(0, 1))
    else:
        into.index_copy_(0, group.row_GL[~group.is_padding_GL], x_GLC[~group.is_padding_GL])
