"""HSTU sequence encoder (Zhai et al., ICML 2024, arXiv:2402.17152, section 3), as upstream's research code computes it.

Shape suffixes: B batch, N query position, M key position, T all valid positions in row order, D model width,
C all heads' values, H heads, A query/key width per head, V value width per head. Histories are left-aligned, so the
causal mask also hides the padding.

Kept for the backward pass, in tensors of B·H·N·M values: score and attention of each layer (1 GB each for 128 users, 4
heads and 711 positions). A learned time decay adds the undecayed attention of each layer, and two for each set of
rates; a constant one adds a single tensor of B·N·M.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hstu_preserve.kernels.small_table import look_up
from hstu_preserve.model.jagged import JaggedOperators
from hstu_preserve.model.time_buckets import NUM_TIME_BUCKETS, TIME_BUCKET_WIDTH
from hstu_preserve.model.time_decay import TimeDecay
from hstu_preserve.records.encoders import HstuSettings

LAYER_NORM_EPS = 1e-6


def measure_time_gaps(time_BN: Tensor) -> Tensor:
    """Return gap_BNM (int64 seconds) from the event at M to the next event of position N.

    The next event's time is used on purpose: in retrieval the time of the request is known.

    Args:
        time_BN: int64 seconds.
    """
    next_time_BN = torch.cat([time_BN[:, 1:], time_BN[:, -1:]], dim=1)
    return next_time_BN[:, :, None] - time_BN[:, None, :]


def bucket_time_gaps(time_BN: Tensor) -> Tensor:
    """Return bucket_BNM (int64, 0…128) of the gaps in time; the logarithm is float32 of an int64 gap, as upstream's.

    Args:
        time_BN: int64 seconds.
    """
    # Events of one second have no gap, of which there is no logarithm: upstream counts it as one second.
    gap_BNM = measure_time_gaps(time_BN).abs().clamp(min=1)
    return (gap_BNM.log() / TIME_BUCKET_WIDTH).long().clamp(min=0, max=NUM_TIME_BUCKETS)


class RelativeBias(nn.Module):
    """Learned attention bias from the gap in position and the gap in time, shared by the heads of a layer."""

    def __init__(self, padded_length: int) -> None:
        super().__init__()
        self.padded_length = padded_length
        self.position_weight = nn.Parameter(torch.empty(2 * padded_length - 1))
        self.time_weight = nn.Parameter(torch.empty(NUM_TIME_BUCKETS + 1))

    def forward(self, bucket_BNM: Tensor) -> Tensor:
        """Return bias_BNM for `bucket_BNM` (int64, 0…128)."""
        return self.position_bias() + look_up(self.time_weight, bucket_BNM)

    def position_bias(self) -> Tensor:
        """Return bias_NM, which depends on the gap in position alone."""
        return self.position_weight.unfold(0, self.padded_length, 1).flip(0)


class HstuLayer(nn.Module):
    """Pointwise-gated attention: SiLU instead of softmax, the gate `u` instead of a feed-forward network."""

    def __init__(self, settings: HstuSettings, *, padded_length: int, operators: JaggedOperators) -> None:
        super().__init__()
        self.heads = settings.num_heads
        self.dropout_rate = settings.linear_dropout_rate
        self.activate = F.silu if settings.linear_activation == "silu" else torch.nn.Identity()
        self.concat_ua = settings.concat_ua
        self.padded_length = padded_length
        self.operators = operators
        width = settings.item_embedding_dim
        value, query = settings.num_heads * settings.dv, settings.num_heads * settings.dqk
        # One matrix for all four, in the order u, v, q, k of upstream's, whose checkpoints load here.
        self.split_sizes = [value, value, query, query]
        self.bias = RelativeBias(padded_length)
        self.uvqk = nn.Parameter(torch.empty(width, sum(self.split_sizes)))
        self.output = nn.Linear(value * (3 if settings.concat_ua else 1), width)

    def forward(
        self, x_TD: Tensor, offsets: Tensor, bucket_BNM: Tensor, *, key_weight: Tensor, divisor: Tensor | int
    ) -> Tensor:
        """Return x_TD after one layer.

        Args:
            x_TD: The layer's input.
            offsets: int64, where each user's rows begin.
            bucket_BNM: As `bucket_time_gaps` gives it.
            key_weight: How much each key counts for each query, 0 if it is hidden; NM, B1NM or BHNM.
            divisor: Divides attention; a number, N1 or B1N1.
        """
        uvqk = self.activate(normalize(x_TD) @ self.uvqk)
        u, v, q, k = uvqk.split(self.split_sizes, dim=-1)
        padded = (self.operators.to_padded(t, offsets, self.padded_length) for t in (q, k, v))
        q_BNHA, k_BMHA, v_BMHV = (torch.unflatten(t, -1, (self.heads, -1)) for t in padded)

        score_BHNM = torch.einsum("bnha,bmha->bhnm", q_BNHA, k_BMHA) + self.bias(bucket_BNM)[:, None]
        # Keys are weighed after SiLU: before it, a bias that grows would turn a weight negative before it fades.
        attention_BHNM = F.silu(score_BHNM) / divisor * key_weight
        attended_BNC = torch.einsum("bhnm,bmhv->bnhv", attention_BHNM, v_BMHV).flatten(2)
        attended = normalize(self.operators.to_jagged(attended_BNC, offsets))

        gated = torch.cat([u, attended, u * attended], dim=-1) if self.concat_ua else u * attended
        projected: Tensor = self.output(F.dropout(gated, self.dropout_rate, self.training))
        return projected + x_TD


class HstuEncoder(nn.Module):
    """A stack of `HstuLayer`; padded positions come out as zeros.

    Args:
        settings: Of the encoder.
        padded_length: N.
        operators: Jagged operators.
        decay: Weighs keys by their age; None weighs all the same.
    """

    causal_NM: Tensor

    def __init__(
        self,
        settings: HstuSettings,
        *,
        padded_length: int,
        operators: JaggedOperators,
        decay: TimeDecay | None = None,
    ) -> None:
        super().__init__()
        self.heads = settings.num_heads
        self.normalization = settings.attention_normalization
        self.padded_length = padded_length
        self.operators = operators
        self.decay = decay
        self.layers = nn.ModuleList(
            HstuLayer(settings, padded_length=padded_length, operators=operators) for _ in range(settings.num_blocks)
        )
        # No weight, as it is in upstream's checkpoints: the mask follows from the recipe.
        self.register_buffer("causal_NM", torch.ones(padded_length, padded_length).tril(), persistent=False)

    def forward(self, x_BND: Tensor, length_B: Tensor, time_BN: Tensor, visible_BNM: Tensor | None = None) -> Tensor:
        """Return encoded_BND.

        Args:
            x_BND: Inputs.
            length_B: int64, filled positions per user.
            time_BN: int64 seconds.
            visible_BNM: bool, which keys M a query N may see beside causality; None if causality is all.
        """
        offsets = self.operators.complete_cumsum(length_B)
        bucket_BNM = bucket_time_gaps(time_BN)
        visible = self.causal_NM if visible_BNM is None else self.causal_NM * visible_BNM[:, None]
        divisor = self.find_divisor(visible)
        x_TD = self.operators.to_jagged(x_BND, offsets)
        for layer, key_weight in zip(self.layers, self.weigh_keys(visible, time_BN), strict=True):
            x_TD = layer(x_TD, offsets, bucket_BNM, key_weight=key_weight, divisor=divisor)
        return self.operators.to_padded(x_TD, offsets, self.padded_length)

    def find_divisor(self, visible: Tensor) -> Tensor | int:
        """Return the number that attention is divided by, for `visible` (zeros and ones, NM or B1NM).

        It is the padded length in every published checkpoint, 211 for a history of 200, or how many keys a query sees,
        as HSTU-Tensorflow states it.
        """
        if self.normalization == "padded_length":
            return self.padded_length
        num_keys = visible.sum(-1, keepdim=True, dtype=torch.float32).clamp(min=1)
        return num_keys.to(visible.dtype)

    def weigh_keys(self, visible: Tensor, time_BN: Tensor) -> list[Tensor]:
        """Return how much each key counts for each query, in each layer."""
        if self.decay is None:
            return [visible] * len(self.layers)
        decays = self.decay(measure_time_gaps(time_BN))
        weights = [decay_BHNM.to(visible.dtype) * visible for decay_BHNM in decays]
        return weights if len(weights) == len(self.layers) else weights * len(self.layers)


def normalize(x: Tensor) -> Tensor:
    """Layer norm over the last dimension, without learned scale or shift."""
    return F.layer_norm(x, x.shape[-1:], eps=LAYER_NORM_EPS)
