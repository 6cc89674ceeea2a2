"""Turn a store's items into the tensors that models read."""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor

from hstu_preserve.data.arrays import AnyArray, Int64Array
from hstu_preserve.data.oddities import describe_item_rows
from hstu_preserve.data.sequences import count_ids, count_items
from hstu_preserve.data.split import Part, count_held_out_events
from hstu_preserve.data.store import Store
from hstu_preserve.model.items import FIRST_DECADE, LAST_DECADE, Items
from hstu_preserve.records.recipe import Recipe


@contextmanager
def naming_item_rows(store: Store) -> Iterator[None]:
    """Note the rows of the item table on an error inside the block: they decide whether a model fits into memory."""
    try:
        yield
    except (MemoryError, RuntimeError, ValueError) as error:
        error.add_note(describe_item_rows(store))
        raise


def describe_items(store: Store, recipe: Recipe) -> Items:
    """Return the store's items.

    Popularity is counted in the events that the recipe's protocol trains on, before any positional sampling.
    """
    rows = store.max_item_id + 1
    held_out = count_held_out_events(recipe.dataset.protocol, part=Part.TRAINING)
    counts = count_items(store, held_out_events=held_out, max_item_id=store.max_item_id)
    return Items(
        candidate_I=torch.from_numpy(list_candidates(store, recipe)),
        genre_JG=spread(store.candidate_genres.astype(np.float32), store=store, rows=rows),
        decade_J=spread(find_decades(store.candidate_years), store=store, rows=rows),
        count_J=torch.from_numpy(counts.astype(np.int64)),
    )


def list_candidates(store: Store, recipe: Recipe) -> Int64Array:
    """Return the ids, ascending, of the items that are sampled and ranked: the whole movie table, or the rated ones."""
    if recipe.dataset.candidates == "all":
        return store.candidate_ids.astype(np.int64)
    return np.flatnonzero(count_ids(store.item_ids, max_id=store.max_item_id))


def spread(values: AnyArray, *, store: Store, rows: int) -> Tensor:
    """Return the candidates' values [I, …] at their ids, zero elsewhere."""
    table = np.zeros((rows, *values.shape[1:]), dtype=values.dtype)
    table[store.candidate_ids] = values
    return torch.from_numpy(table)


def find_decades(years: AnyArray) -> Int64Array:
    """Return each year's place among the decades, 0 if the year is unknown (0)."""
    decades: Int64Array = (np.clip(years.astype(np.int64), FIRST_DECADE, LAST_DECADE) - FIRST_DECADE) // 10 + 1
    return np.where(years == 0, 0, decades)
