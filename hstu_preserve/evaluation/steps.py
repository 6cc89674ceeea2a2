"""What the paths of an evaluation do each in its own way."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch

from hstu_preserve.evaluation.ranking import CandidateIndex
from hstu_preserve.evaluation.ranks import BatchRanks
from hstu_preserve.model.histories import Histories


class RankBatch(Protocol):
    """Ranks users whose embeddings are known, as `ranking.rank_batch` does."""

    def __call__(
        self,
        user_BD: torch.Tensor,
        *,
        index: CandidateIndex,
        seen_BS: torch.Tensor,
        target_B: torch.Tensor,
        score_chunk: int | None,
        tolerance: float | None = None,
    ) -> BatchRanks:
        """Return the ranks of one batch."""


@dataclass(frozen=True, kw_only=True)
class Steps:
    """What a path does in its own way.

    Attributes:
        encode: Histories to user_BD, as the catalogue scores it.
        rank: Embeddings to ranks.
        is_checked: Whether upstream's own evaluator is asked as well, for the batch of this number.
    """

    encode: Callable[[Histories], torch.Tensor]
    rank: RankBatch
    is_checked: Callable[[int], bool]
