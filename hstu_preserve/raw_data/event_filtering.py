"""Leave out users and items with few events: counted once over the whole source, as SASRec and TiSASRec have it."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from hstu_preserve.data.arrays import Int32Array, Int64Array
from hstu_preserve.data.event_filter import EventFilter
from hstu_preserve.data.movie_table import MovieTable
from hstu_preserve.data.ratings import Ratings
from hstu_preserve.errors import ContentError
from hstu_preserve.records.store import StoreCounts


class IdCounts:
    """How often each id occurs; memory grows with the ids only."""

    def __init__(self) -> None:
        self.ids: Int64Array = np.empty(0, dtype=np.int64)
        """Ascending."""
        self.counts: Int64Array = np.empty(0, dtype=np.int64)

    def add(self, ids: Int32Array) -> None:
        """Count some ids."""
        new, new_counts = np.unique(ids, return_counts=True)
        counted = np.concatenate([self.counts, new_counts])
        self.ids, places = np.unique(np.concatenate([self.ids, new]), return_inverse=True)
        self.counts = np.bincount(places, weights=counted, minlength=len(self.ids)).astype(np.int64)

    def list_frequent(self, least: int) -> Int64Array:
        """Return the ids that were counted at least so often."""
        return self.ids[self.counts >= least]


@dataclass(kw_only=True)
class Selection:
    """The users and items that stay, and which of the items have an event that stays."""

    users: Int64Array
    items: Int64Array
    before: StoreCounts
    """Of the source, without its table of items."""
    rated: Int64Array
    """Items of the events that were selected so far."""

    def select(self, parts: Iterable[Ratings]) -> Iterator[Ratings]:
        """Yield the events whose user and item both stay."""
        for part in parts:
            stays = np.isin(part.user_ids, self.users) & np.isin(part.item_ids, self.items)
            self.rated = np.union1d(self.rated, part.item_ids[stays])
            yield Ratings(
                user_ids=part.user_ids[stays],
                item_ids=part.item_ids[stays],
                half_stars=part.half_stars[stays],
                timestamps=part.timestamps[stays],
            )

    def cut(self, movies: MovieTable) -> MovieTable:
        """Return the table without the items of which no event stays: they are in the data no more."""
        stays = np.isin(movies.item_ids, self.rated)
        return MovieTable(
            item_ids=movies.item_ids[stays],
            genres=tuple(genres for genres, is_left in zip(movies.genres, stays, strict=True) if is_left),
            years=movies.years[stays],
        )

    def count_before(self, movies: MovieTable) -> StoreCounts:
        """Return the sizes of the source, to be held against the published ones."""
        return self.before.model_copy(update={"num_candidates": len(movies.item_ids)})


def choose_events(parts: Iterable[Ratings], *, event_filter: EventFilter, name: str) -> Selection:
    """Return which users and items have enough events, after reading all of them.

    Raises:
        ContentError: No user or no item has.
    """
    users, items = IdCounts(), IdCounts()
    for part in parts:
        users.add(part.user_ids)
        items.add(part.item_ids)
    frequent_users = users.list_frequent(event_filter.min_user_events)
    frequent_items = items.list_frequent(event_filter.min_item_events)
    if not len(frequent_users) or not len(frequent_items):
        raise ContentError(f"{name}: no rating is left with{event_filter.options}; ask for fewer")
    return Selection(
        users=frequent_users,
        items=frequent_items,
        before=StoreCounts(
            num_users=len(users.ids),
            num_rated_items=len(items.ids),
            num_candidates=0,
            max_item_id=0,
            num_ratings=int(users.counts.sum()),
        ),
        rated=np.empty(0, dtype=np.int64),
    )
