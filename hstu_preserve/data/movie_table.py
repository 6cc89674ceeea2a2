"""The items that can be recommended, with what is known of them."""

from dataclasses import dataclass

import numpy as np

from hstu_preserve.data.arrays import Int16Array, Int32Array, Int64Array


@dataclass(frozen=True, kw_only=True)
class MovieTable:
    """The catalogue: the items that can be recommended, with their side information."""

    item_ids: Int32Array
    genres: tuple[tuple[str, ...], ...]
    years: Int16Array
    """The year of release; 0 if the title has none."""


def make_plain_table(item_ids: Int64Array) -> MovieTable:
    """Return a table of items of which nothing but the id is known."""
    return MovieTable(
        item_ids=item_ids.astype(np.int32),
        genres=((),) * len(item_ids),
        years=np.zeros(len(item_ids), dtype=np.int16),
    )
