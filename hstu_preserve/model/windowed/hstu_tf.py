"""HSTU sequence encoder as NetEase-Media/HSTU-Tensorflow at 617b270 computes it (`scripts/train.sh`).

It differs from upstream's in its left padding, norms with learned gain and shift, the residual from the normalised
input, biases over 2T distances, attention divided by the number of keys a query sees, and times without absolute value.

Shape suffixes: B batch, N left-aligned position, T position in the left-padded window and as a key S, D model width,
H heads, A width per head.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hstu_preserve.kernels.small_table import look_up
from hstu_preserve.model.time_buckets import NUM_TIME_BUCKETS, TIME_BUCKET_WIDTH
from hstu_preserve.model.windowed.window import rotate
from hstu_preserve.records.encoders import HstuTfSettings

LAYER_NORM_EPS = 1e-8
KEY_COUNT_EPS = 1e-9


def bucket_next_gaps(time_BT: Tensor, request_time_B: Tensor) -> Tensor:
    """Return bucket_BTS (int64, 0…128) of the time from the event at S to the one after T.

    A gap that is not positive falls into bucket 0; the logarithm is float64, as numpy's.

    Args:
        time_BT: int64 seconds, 0 where padded.
        request_time_B: int64 seconds, the time of the event after the last.
    """
    next_time_BT = torch.cat([time_BT[:, 1:], request_time_B[:, None]], dim=1)
    gap_BTS = (next_time_BT[:, :, None] - time_BT[:, None, :]).clamp(min=1)
    return (gap_BTS.double().log() / TIME_BUCKET_WIDTH).clamp(0, NUM_TIME_BUCKETS).long()


def share_attention(is_seen_BT: Tensor, causal_TS: Tensor) -> Tensor:
    """Return share_BTS: one by the number of keys that a query sees, zero for every other pair.

    Args:
        is_seen_BT: bool, the positions that count, both as queries and as keys.
        causal_TS: Ones up to the diagonal, zeros above it.
    """
    visible_BTS = causal_TS * is_seen_BT[:, None, :]
    return visible_BTS / (visible_BTS.sum(-1, keepdim=True) + KEY_COUNT_EPS) * is_seen_BT[:, :, None]


class WindowBias(nn.Module):
    """Learned attention bias from the gap in position and the gap in time, shared by the heads of a layer."""

    def __init__(self, length: int) -> None:
        super().__init__()
        self.length = length
        # The entry of distance d stands at d + T, so that the first is never read.
        self.position_weight = nn.Parameter(torch.empty(2 * length))
        self.time_weight = nn.Parameter(torch.empty(NUM_TIME_BUCKETS + 1))

    def forward(self, bucket_BTS: Tensor) -> Tensor:
        """Return bias_BTS for `bucket_BTS` (int64, 0…128)."""
        position_bias_TS = self.position_weight[1:].unfold(0, self.length, 1).flip(1)
        time_bias_BTS = look_up(self.time_weight, bucket_BTS)
        return position_bias_TS + time_bias_BTS


class HstuTfLayer(nn.Module):
    """Pointwise-gated attention over the normalised input, which is also the residual."""

    def __init__(self, settings: HstuTfSettings, *, length: int) -> None:
        super().__init__()
        self.heads = settings.num_heads
        self.dropout_rate = settings.dropout_rate
        self.sees_by_query = settings.padding_from == "normalized_query"
        width = settings.item_embedding_dim
        self.input_norm = nn.LayerNorm(width, eps=LAYER_NORM_EPS)
        self.qkvu = nn.Parameter(torch.empty(width, 4 * width))
        self.bias = WindowBias(length)
        self.attended_norm = nn.LayerNorm(width, eps=LAYER_NORM_EPS)
        self.output = nn.Linear(width, width)

    def forward(self, x_BTD: Tensor, is_event_BT: Tensor, bucket_BTS: Tensor, causal_TS: Tensor) -> Tensor:
        """Return x_BTD after one layer, zero where `is_event_BT` (bool) is False."""
        query_BTD = self.input_norm(x_BTD)
        # With a learned shift the norm of a padded row is that shift: once it is not zero, padding is attended to and
        # counted. HSTU-Tensorflow does so after its first step; the ids say what its authors meant.
        is_seen_BT = query_BTD.abs().sum(-1) > 0 if self.sees_by_query else is_event_BT
        q, k, v, u = F.silu(query_BTD @ self.qkvu).chunk(4, dim=-1)
        q_BTHA, k_BSHA, v_BSHA = (torch.unflatten(part, -1, (self.heads, -1)) for part in (q, k, v))

        score_BHTS = torch.einsum("btha,bsha->bhts", q_BTHA, k_BSHA) + self.bias(bucket_BTS)[:, None]
        attention_BHTS = F.silu(score_BHTS) * share_attention(is_seen_BT, causal_TS)[:, None]
        attended_BTD = torch.einsum("bhts,bsha->btha", attention_BHTS, v_BSHA).flatten(2)

        gated_BTD = F.dropout(u * self.attended_norm(attended_BTD), self.dropout_rate, self.training)
        masked_BTD: Tensor = (self.output(gated_BTD) + query_BTD) * is_event_BT[..., None]
        return masked_BTD


class HstuTfEncoder(nn.Module):
    """Positions, input dropout and a stack of `HstuTfLayer`, in a window of T positions whose last is the last event.

    Args:
        settings: Decides every layer.
        max_sequence_length: T.
    """

    causal_TS: Tensor

    def __init__(self, settings: HstuTfSettings, *, max_sequence_length: int) -> None:
        super().__init__()
        self.length = max_sequence_length
        self.scale = math.sqrt(settings.item_embedding_dim)
        self.dropout_rate = settings.dropout_rate
        self.position_weight = nn.Parameter(torch.empty(max_sequence_length, settings.item_embedding_dim))
        self.layers = nn.ModuleList(
            HstuTfLayer(settings, length=max_sequence_length) for _ in range(settings.num_blocks)
        )
        causal_TS = torch.ones(max_sequence_length, max_sequence_length).tril()
        self.register_buffer("causal_TS", causal_TS, persistent=False)

    def forward(self, embedding_BND: Tensor, length_B: Tensor, item_BN: Tensor, time_BN: Tensor) -> Tensor:
        """Return encoded_BND, left-aligned as the input: the state after each event, zero elsewhere.

        Args:
            embedding_BND: Item embeddings, unscaled; N is more than T.
            length_B: int64, events of history, at most T.
            item_BN: int64, 0 is padding; nothing from position `length` on is read.
            time_BN: int64 seconds; the target's stands at position `length`.
        """
        positions = item_BN.shape[1]
        is_event_BN = (torch.arange(positions, device=item_BN.device) < length_B[:, None]) & (item_BN != 0)
        shift_B = self.length - length_B
        is_event_BT, time_BT, embedding_BTD = (
            rotate(x, shift_B)[:, : self.length] for x in (is_event_BN, time_BN * is_event_BN, embedding_BND)
        )
        bucket_BTS = bucket_next_gaps(time_BT, time_BN.gather(1, length_B[:, None]).squeeze(1))

        x_BTD = embedding_BTD * self.scale + self.position_weight
        x_BTD = F.dropout(x_BTD, self.dropout_rate, self.training) * is_event_BT[..., None]
        for layer in self.layers:
            x_BTD = layer(x_BTD, is_event_BT, bucket_BTS, self.causal_TS)
        return rotate(F.pad(x_BTD, (0, 0, 0, positions - self.length)), -shift_B)
