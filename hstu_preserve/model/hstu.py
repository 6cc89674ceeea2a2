"""HSTU sequence encoder (Zhai et al., ICML 2024, arXiv:2402.17152, section 3), as upstream's research code computes it.

Shape suffixes: B batch, N query position, M key position, T all valid positions in row order, D model width,
C all heads' values, H heads, A query/key width per head, V value width per head. Histories are left-aligned, so the
causal mask also hides the padding.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hstu_preserve.model.jagged import JaggedOperators
from hstu_preserve.records.recipe import HstuSettings

LAYER_NORM_EPS = 1e-6
NUM_TIME_BUCKETS = 128
# Published checkpoints bucket time gaps by ln(seconds) / 0.301; 0.301 is log10(2).
TIME_BUCKET_WIDTH = 0.301


def bucket_time_gaps(time_BN: Tensor) -> Tensor:
    """Return bucket_BNM (int64, 0…128) of the gap between the next event of position N and the event at M.

    The next event's time is used on purpose: in retrieval the time of the request is known. The logarithm is float32 of
    an int64 gap, as upstream's.

    Args:
        time_BN: int64 seconds.
    """
    next_time_BN = torch.cat([time_BN[:, 1:], time_BN[:, -1:]], dim=1)
    gap_BNM = (next_time_BN[:, :, None] - time_BN[:, None, :]).abs().clamp(min=1)
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
        position_bias_NM = self.position_weight.unfold(0, self.padded_length, 1).flip(0)
        time_bias_BNM = self.time_weight.index_select(0, bucket_BNM.flatten()).view(bucket_BNM.shape)
        return position_bias_NM + time_bias_BNM


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
        self.split_sizes = [value, value, query, query]
        self.bias = RelativeBias(padded_length)
        self.uvqk = nn.Parameter(torch.empty(width, sum(self.split_sizes)))
        self.output = nn.Linear(value * (3 if settings.concat_ua else 1), width)

    def forward(self, x_TD: Tensor, offsets: Tensor, bucket_BNM: Tensor, causal_NM: Tensor) -> Tensor:
        """Return x_TD after one layer; `bucket_BNM` as `bucket_time_gaps` gives it, `causal_NM` of zeros and ones."""
        uvqk = self.activate(normalize(x_TD) @ self.uvqk)
        u, v, q, k = uvqk.split(self.split_sizes, dim=-1)
        padded = (self.operators.to_padded(t, offsets, self.padded_length) for t in (q, k, v))
        q_BNHA, k_BMHA, v_BMHV = (split_heads(t, self.heads) for t in padded)

        score_BHNM = torch.einsum("bnha,bmha->bhnm", q_BNHA, k_BMHA) + self.bias(bucket_BNM)[:, None]
        # Divided by the padded length, not by the user's: 211 for a history of 200, in every published checkpoint.
        attention_BHNM = F.silu(score_BHNM) / self.padded_length * causal_NM
        attended_BNC = torch.einsum("bhnm,bmhv->bnhv", attention_BHNM, v_BMHV).flatten(2)
        attended = normalize(self.operators.to_jagged(attended_BNC, offsets))

        gated = torch.cat([u, attended, u * attended], dim=-1) if self.concat_ua else u * attended
        projected: Tensor = self.output(F.dropout(gated, self.dropout_rate, self.training))
        return projected + x_TD


class HstuEncoder(nn.Module):
    """A stack of `HstuLayer`; padded positions come out as zeros."""

    causal_NM: Tensor

    def __init__(self, settings: HstuSettings, *, padded_length: int, operators: JaggedOperators) -> None:
        super().__init__()
        self.padded_length = padded_length
        self.operators = operators
        self.layers = nn.ModuleList(
            HstuLayer(settings, padded_length=padded_length, operators=operators) for _ in range(settings.num_blocks)
        )
        self.register_buffer("causal_NM", torch.ones(padded_length, padded_length).tril(), persistent=False)

    def forward(self, x_BND: Tensor, length_B: Tensor, time_BN: Tensor) -> Tensor:
        """Return encoded_BND for inputs x_BND, lengths (int64) and times (int64 seconds)."""
        offsets = self.operators.complete_cumsum(length_B)
        bucket_BNM = bucket_time_gaps(time_BN)
        x_TD = self.operators.to_jagged(x_BND, offsets)
        for layer in self.layers:
            x_TD = layer(x_TD, offsets, bucket_BNM, self.causal_NM)
        return self.operators.to_padded(x_TD, offsets, self.padded_length)


def split_heads(x: Tensor, heads: int) -> Tensor:
    """Return x with its last dimension split in (heads, width per head)."""
    return x.reshape(*x.shape[:-1], heads, -1)


def normalize(x: Tensor) -> Tensor:
    """Layer norm over the last dimension, without learned scale or shift."""
    return F.layer_norm(x, x.shape[-1:], eps=LAYER_NORM_EPS)
