"""Split the channels of queries, keys and values into attention heads."""

from torch import Tensor


def split_heads(x: Tensor, heads: int) -> Tensor:
    """Return x with its last dimension split in (heads, width per head)."""
    return x.reshape(*x.shape[:-1], heads, -1)
