"""Item and position embeddings, and the two output normalisations.

Shape suffixes: B batch, N padded position, D model width.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

OUTPUT_NORM_EPS = 1e-6  # upstream's postprocessors


class InputEmbedding(nn.Module):
    """x = dropout(√D · E[item] + P[position]), zero where padded (upstream's learnable positional preprocessor)."""

    def __init__(self, *, padded_length: int, width: int, dropout_rate: float) -> None:
        super().__init__()
        self.width = width
        self.dropout_rate = dropout_rate
        self.position = nn.Embedding(padded_length, width)

    def forward(self, is_filled_BN: Tensor, embedding_BND: Tensor) -> Tensor:
        """Return x_BND for tokens, where `is_filled_BN` (bool) says that one stands, and their embeddings."""
        position_N = torch.arange(is_filled_BN.shape[1], device=is_filled_BN.device)
        position_ND: Tensor = self.position(position_N)
        x_BND = embedding_BND * math.sqrt(self.width) + position_ND
        x_BND = F.dropout(x_BND, self.dropout_rate, self.training)
        masked_BND: Tensor = x_BND * is_filled_BN[..., None]
        return masked_BND


def l2_normalize(x: Tensor, *, eps: float) -> Tensor:
    """Divide by the Euclidean norm over the last dimension, which counts as at least `eps`."""
    norm: Tensor = torch.linalg.vector_norm(x, dim=-1, keepdim=True)
    return x / norm.clamp(min=eps)


def normalize_user(x: Tensor, norm: str) -> Tensor:
    """Apply the recipe's `user_embedding_norm` to encoder outputs (any shape, width last)."""
    if norm == "none":
        return x
    if norm == "l2_norm":
        return l2_normalize(x, eps=OUTPUT_NORM_EPS)
    return F.layer_norm(x, x.shape[-1:], eps=OUTPUT_NORM_EPS)
