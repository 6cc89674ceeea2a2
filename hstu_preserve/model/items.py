"""The items as a model knows them, beside the users' histories.

Shape suffixes: J item ids from 0 (padding) to the largest, I candidates, G genres.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

# Decades of release, oldest to newest; 0 stands for an unknown year. The first film of MovieLens is of 1874.
FIRST_DECADE = 1870
LAST_DECADE = 2030
NUM_DECADES = (LAST_DECADE - FIRST_DECADE) // 10 + 2
NUM_POPULARITY_LEVELS = 33
"""⌊log2(1 + events)⌋ of fewer than 2^32 events."""


@dataclass(frozen=True, kw_only=True)
class Items:
    """The items of a store.

    Attributes:
        candidate_I: int64 ids of the items that are sampled and ranked, ascending.
        genre_JG: float, 1 where the item has the genre, over the store's fixed sorted vocabulary.
        decade_J: int64, 0…NUM_DECADES - 1: decade of release, 0 if unknown.
        count_J: int64, events of the training part.
    """

    candidate_I: Tensor
    genre_JG: Tensor
    decade_J: Tensor
    count_J: Tensor

    @property
    def max_item_id(self) -> int:
        """The largest item id."""
        return len(self.decade_J) - 1

    @property
    def num_genres(self) -> int:
        """Entries of the genre vocabulary."""
        return self.genre_JG.shape[1]


def items_of_shape(*, max_item_id: int, num_genres: int) -> Items:
    """Return items of which only the number is known, for a model that is built to hold weights.

    Args:
        max_item_id: The largest item id.
        num_genres: Entries of the genre vocabulary.
    """
    rows = max_item_id + 1
    return Items(
        candidate_I=torch.arange(1, rows),
        genre_JG=torch.zeros(rows, num_genres),
        decade_J=torch.zeros(rows, dtype=torch.int64),
        count_J=torch.zeros(rows, dtype=torch.int64),
    )
