"""Which negatives each supervised position is compared with.

Shape suffixes: B batch, N padded position, T supervised positions, K negatives per position, I candidates.
"""

import torch
from torch import Generator, Tensor


def draw_local(candidate_I: Tensor, *, positions: int, num_negatives: int, generator: Generator) -> Tensor:
    """Draw negative_TK uniformly, with replacement, from all candidates (int64 item ids)."""
    return draw_from(candidate_I, positions=positions, num_negatives=num_negatives, generator=generator)


def draw_in_batch(item_BN: Tensor, *, positions: int, num_negatives: int, generator: Generator) -> Tensor:
    """Draw negative_TK uniformly, with replacement, from the distinct items of the batch, targets included.

    Args:
        item_BN: int64, 0 is padding.
        positions: T.
        num_negatives: K.
        generator: Decides the draw; may live on another device than the items.
    """
    distinct = torch.unique(item_BN)
    return draw_from(distinct[distinct != 0], positions=positions, num_negatives=num_negatives, generator=generator)


def draw_from(pool: Tensor, *, positions: int, num_negatives: int, generator: Generator) -> Tensor:
    """Draw (positions, num_negatives) entries of the 1-d `pool`, uniformly with replacement."""
    index_TK = torch.randint(pool.numel(), (positions, num_negatives), generator=generator, device=generator.device)
    return pool.index_select(0, index_TK.flatten().to(pool.device)).view(positions, num_negatives)
