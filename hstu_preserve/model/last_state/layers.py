"""HSTU's layers for a group of users of almost one length: dense, in tiles of queries, the last one for a single query.

The sums are those of `hstu.HstuLayer`, in another order and without padding, so that results differ from its by
rounding. No query sees a key behind it: what stands behind a user's last token is of no account.

Shape suffixes: B users of the group, N tokens of the longest of them, Q queries, K keys, D model width, H heads,
A width of a head, C all heads' values.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from hstu_preserve.model.hstu import HstuEncoder, HstuLayer, normalize
from hstu_preserve.model.last_state.pairs import Pairs, Terms, list_tiles, pair_last

Rate = Tensor | float | None
"""Of time decay in a layer, for each head or for all; None without decay."""


def encode_last(encoder: HstuEncoder, x_BND: Tensor, *, time_BN: Tensor, length_B: Tensor) -> Tensor:
    """Return encoded_BD, the encoder's output after each user's last token.

    Args:
        encoder: In evaluation mode.
        x_BND: Inputs of the tokens; N is the longest user's number of them.
        time_BN: Of N + 1 positions; see `pairs.tell_time`.
        length_B: int64, tokens per user, at least 1.
    """
    *earlier, last = [layer for layer in encoder.layers if isinstance(layer, HstuLayer)]
    *earlier_rates, last_rate = list_rates(encoder)
    terms = Terms(
        padded_length=encoder.padded_length,
        is_divided_by_length=encoder.normalization != "padded_length",
        decay=None if encoder.decay is None else encoder.decay.settings,
    )
    tiles = list(list_tiles(terms, time_BN)) if earlier else []
    for layer, rate in zip(earlier, earlier_rates, strict=True):
        x_BND = run_layer(layer, x_BND, tiles=tiles, rate=rate)
    pairs = pair_last(terms, time_BN, length_B - 1)
    return run_last_layer(last, x_BND, pairs=pairs, last_B=length_B - 1, rate=last_rate)


def list_rates(encoder: HstuEncoder) -> list[Rate]:
    """Return the rate of decay of each layer."""
    num_layers, decay = len(encoder.layers), encoder.decay
    if decay is None:
        return [None] * num_layers
    rates: list[Rate] = [decay.settings.rate] if decay.rate is None else list(decay.rate.float().unbind())
    return rates if len(rates) == num_layers else rates * num_layers


def run_layer(layer: HstuLayer, x_BND: Tensor, *, tiles: Sequence[Pairs], rate: Rate) -> Tensor:
    """Return x_BND after one layer, each of whose queries is in one of the tiles."""
    u, v, q, k = torch.split(activate(layer, normalize(x_BND) @ layer.uvqk), layer.split_sizes, dim=-1)
    q_BHNA, k_BHNA, v_BHNA = (to_heads(t, layer.heads) for t in (q, k, v))
    attended, first = [], 0
    for pairs in tiles:
        _, queries, keys = pairs.shape
        attended.append(
            attend(
                layer,
                pairs,
                q_BHQA=q_BHNA[:, :, first : first + queries],
                k_BHKA=k_BHNA[:, :, :keys],
                v_BHKA=v_BHNA[:, :, :keys],
                rate=rate,
            )
        )
        first += queries
    return finish(layer, x_BND, u=u, attended=torch.cat(attended, dim=1))


def run_last_layer(layer: HstuLayer, x_BND: Tensor, *, pairs: Pairs, last_B: Tensor, rate: Rate) -> Tensor:
    """Return x_BD after one layer, at each user's position `last_B` (int64): all keys, and a single query."""
    normalized_BND = normalize(x_BND)
    u_weight, v_weight, q_weight, k_weight = torch.split(layer.uvqk, layer.split_sizes, dim=1)
    user_B = torch.arange(len(last_B))
    last_B1D = normalized_BND[user_B, last_B][:, None]
    u, q = activate(layer, last_B1D @ u_weight), activate(layer, last_B1D @ q_weight)
    v, k = activate(layer, normalized_BND @ v_weight), activate(layer, normalized_BND @ k_weight)
    q_BH1A, k_BHNA, v_BHNA = (to_heads(t, layer.heads) for t in (q, k, v))
    attended = attend(layer, pairs, q_BHQA=q_BH1A, k_BHKA=k_BHNA, v_BHKA=v_BHNA, rate=rate)
    return finish(layer, x_BND[user_B, last_B][:, None], u=u, attended=attended).squeeze(1)


def activate(layer: HstuLayer, projected: Tensor) -> Tensor:
    """Return the projections after the layer's activation."""
    activated: Tensor = layer.activate(projected)
    return activated


def to_heads(x_BNC: Tensor, heads: int) -> Tensor:
    """Return x_BHNA, contiguous: its products need no further copy."""
    return torch.unflatten(x_BNC, -1, (heads, -1)).transpose(1, 2).contiguous()


def attend(layer: HstuLayer, pairs: Pairs, *, q_BHQA: Tensor, k_BHKA: Tensor, v_BHKA: Tensor, rate: Rate) -> Tensor:
    """Return attended_BQC of the queries of a tile."""
    bias_B1QK = pairs.look_up(position_weight=layer.bias.position_weight, time_weight=layer.bias.time_weight)
    score_BHQK = (q_BHQA @ k_BHKA.transpose(2, 3)).add_(bias_B1QK)
    weight_BHQK = F.silu(score_BHQK, inplace=True).mul_(pairs.weigh(rate))
    return (weight_BHQK @ v_BHKA).div_(pairs.divisor).transpose(1, 2).flatten(2)


def finish(layer: HstuLayer, x: Tensor, *, u: Tensor, attended: Tensor) -> Tensor:
    """Return `x` plus the layer's gated output, for attention that is summed up."""
    attended = normalize(attended)
    gated = torch.cat([u, attended, u * attended], dim=-1) if layer.concat_ua else u * attended
    projected: Tensor = layer.output(gated)
    return projected.add_(x)
