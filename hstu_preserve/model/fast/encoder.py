"""HSTU's encoder in row order: what `model.recommender` computes over padded histories, over valid positions alone.

Shape suffixes: B batch, N padded position, T all valid positions in row order, D model width, C all heads' channels.
"""

import math
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from hstu_preserve.model.embeddings import InputEmbedding
from hstu_preserve.model.fast.attention import Shape, attend
from hstu_preserve.model.fast.layout import make_groups
from hstu_preserve.model.histories import Tokens
from hstu_preserve.model.hstu import HstuEncoder, HstuLayer, normalize
from hstu_preserve.model.time_decay import TimeDecay, measure_age


def encode(encoder: HstuEncoder, embedding: InputEmbedding, tokens: Tokens, place_T: Tensor) -> Tensor:
    """Return encoded_TD of every valid position, not yet normalised.

    Args:
        encoder: Divides attention by the padded length.
        embedding: Below it.
        tokens: What it reads; causality is all that hides one.
        place_T: int64, where valid positions stand in the flattened (B × N) form.
    """
    x_TD = embed(embedding, tokens, place_T)
    decay = encoder.decay
    measure = None if decay is None else partial(measure_age, settings=decay.settings)
    groups = make_groups(tokens.length_B, tokens.time_BN, heads=encoder.heads, measure=measure)
    shape = Shape(heads=encoder.heads, divisor=encoder.padded_length, groups=groups)
    for layer, rate_H in zip(encoder.layers, list_rates(decay, layers=len(encoder.layers)), strict=True):
        assert isinstance(layer, HstuLayer)
        x_TD = run_layer(layer, x_TD, rate_H=rate_H, shape=shape)
    return x_TD


def list_rates(decay: TimeDecay | None, *, layers: int) -> list[Tensor] | list[None]:
    """Return the rates of each layer's heads, or one that they share; None if nothing decays."""
    if decay is None:
        return [None] * layers
    if decay.rate is None:
        return [torch.tensor([decay.settings.rate])] * layers
    rates = list(decay.rate.unbind())
    return rates if len(rates) == layers else rates * layers


def embed(embedding: InputEmbedding, tokens: Tokens, place_T: Tensor) -> Tensor:
    """Return x_TD = dropout(√D · E[item] + P[position]), with the masks that the padded form draws."""
    batch, positions = tokens.item_BN.shape
    x_TD = tokens.embedding_BND.flatten(0, 1).index_select(0, place_T) * math.sqrt(embedding.width)
    x_TD = x_TD + F.embedding(place_T % positions, embedding.position.weight)
    if not embedding.training or not embedding.dropout_rate:
        return x_TD
    ones_BND = torch.ones(batch, positions, embedding.width)
    mask_BND = F.dropout(ones_BND, embedding.dropout_rate, training=True)
    return x_TD * mask_BND.flatten(0, 1).index_select(0, place_T)


def run_layer(layer: HstuLayer, x_TD: Tensor, *, rate_H: Tensor | None, shape: Shape) -> Tensor:
    """Return x_TD after one layer."""
    u, v, q, k = layer.activate(normalize(x_TD) @ layer.uvqk).split(layer.split_sizes, dim=-1)
    attended = normalize(
        attend(
            q,
            k,
            v,
            position_bias_XY=layer.bias.position_bias(),
            time_bias_K=layer.bias.time_weight,
            rate_H=rate_H,
            shape=shape,
        )
    )
    gated = torch.cat([u, attended, u * attended], dim=-1) if layer.concat_ua else u * attended
    projected: Tensor = layer.output(F.dropout(gated, layer.dropout_rate, layer.training))
    return projected + x_TD
