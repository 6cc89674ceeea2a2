"""SASRec sequence encoder (Kang and McAuley, ICDM 2018, arXiv:1808.09781), as upstream's research code computes it.

Shape suffixes: B batch, N padded position, D model width.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hstu_preserve.records.settings.encoders import SasrecSettings

LAYER_NORM_EPS = 1e-8


class FeedForward(nn.Module):
    """Two position-wise projections with dropout after each, and a residual."""

    def __init__(self, settings: SasrecSettings) -> None:
        super().__init__()
        self.dropout_rate = settings.ffn_dropout_rate
        self.activate = F.gelu if settings.ffn_activation_fn == "gelu" else F.relu
        self.expand = nn.Linear(settings.item_embedding_dim, settings.ffn_hidden_dim)
        self.contract = nn.Linear(settings.ffn_hidden_dim, settings.item_embedding_dim)

    def forward(self, x_BND: Tensor) -> Tensor:
        """Return x_BND plus its transformation."""
        hidden = F.dropout(self.activate(self.expand(x_BND)), self.dropout_rate, self.training)
        return F.dropout(self.contract(hidden), self.dropout_rate, self.training) + x_BND


class SasrecLayer(nn.Module):
    """Causal softmax attention of the normalised input over the raw one, then the feed-forward network."""

    def __init__(self, settings: SasrecSettings) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(
            settings.item_embedding_dim, settings.num_heads, dropout=settings.ffn_dropout_rate, batch_first=True
        )
        self.feed_forward = FeedForward(settings)

    def forward(self, x_BND: Tensor, hidden_NM: Tensor) -> Tensor:
        """Return x_BND after one layer; `hidden_NM` (bool) marks the keys a query may not see."""
        # Upstream normalises the query alone, and adds the normalised one as the residual.
        query_BND = normalize(x_BND)
        attended_BND, _ = self.attention(query_BND, x_BND, x_BND, attn_mask=hidden_NM, need_weights=False)
        output: Tensor = self.feed_forward(normalize(query_BND + attended_BND))
        return output


class SasrecEncoder(nn.Module):
    """A stack of `SasrecLayer`; positions without a token are zeroed after each layer."""

    hidden_NM: Tensor

    def __init__(self, settings: SasrecSettings, *, padded_length: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(SasrecLayer(settings) for _ in range(settings.num_blocks))
        hidden_NM = torch.ones(padded_length, padded_length, dtype=torch.bool).triu(diagonal=1)
        self.register_buffer("hidden_NM", hidden_NM, persistent=False)

    def forward(self, x_BND: Tensor, is_filled_BN: Tensor) -> Tensor:
        """Return encoded_BND for inputs x_BND, zero where `is_filled_BN` (bool) is False."""
        for layer in self.layers:
            x_BND = layer(x_BND, self.hidden_NM) * is_filled_BN[..., None]
        return x_BND


def normalize(x: Tensor) -> Tensor:
    """Layer norm over the last dimension, without learned scale or shift."""
    return F.layer_norm(x, x.shape[-1:], eps=LAYER_NORM_EPS)
