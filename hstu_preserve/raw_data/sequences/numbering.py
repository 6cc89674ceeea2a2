"""Filter events by how often their users and items occur, and number what is left from 1."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np

from hstu_preserve.data.event_filter import EventFilter
from hstu_preserve.data.ratings import Ratings
from hstu_preserve.raw_data.number_fields import MAX_DIGITS
from hstu_preserve.raw_data.sequences.events import Event

EVENTS_PER_PART = 2**16


@dataclass(kw_only=True)
class NameCounts:
    """How often each user and item occurs in a file, in the order in which they appear."""

    users: Counter[str] = field(default_factory=Counter)
    items: Counter[str] = field(default_factory=Counter)
    has_times: bool = True

    def add(self, event: Event) -> None:
        """Count one event."""
        self.users[event.user] += 1
        self.items[event.item] += 1
        self.has_times = event.timestamp is not None


class Numbers:
    """Numbers of names: those that they are, if these are 1 to n already, else from 1 by first appearance.

    Args:
        counts: Of all names of a kind in the source.
        keeps_all: Whether no event is left out; else the names that stay may have gaps between them.
    """

    def __init__(self, counts: Counter[str], *, keeps_all: bool) -> None:
        self.by_name: dict[str, int] = {}
        if keeps_all and are_dense(counts):
            self.by_name = {name: int(name) for name in counts}

    def find(self, name: str) -> int:
        """Return the number of a name, the next free one if it has none yet."""
        return self.by_name.setdefault(name, len(self.by_name) + 1)


def are_dense(names: Iterable[str]) -> bool:
    """Whether names are the numbers from 1 to n, written as numbers are."""
    texts = list(names)
    if not all(name.isascii() and name.isdigit() and name[0] != "0" and len(name) <= MAX_DIGITS for name in texts):
        return False
    return max(map(int, texts), default=0) == len(texts)


class Numbering:
    """Turns events of names into ratings of numbers.

    Args:
        counts: Of the whole source.
        event_filter: Which users and items stay.
    """

    def __init__(self, counts: NameCounts, *, event_filter: EventFilter) -> None:
        self.frequent_users = find_frequent(counts.users, event_filter.min_user_events)
        self.frequent_items = find_frequent(counts.items, event_filter.min_item_events)
        is_whole = len(self.frequent_users) == len(counts.users) and len(self.frequent_items) == len(counts.items)
        self.users = Numbers(counts.users, keeps_all=is_whole)
        self.items = Numbers(counts.items, keeps_all=is_whole)
        self.places: Counter[int] = Counter()
        """By user: how many events were numbered, which is the next one's time if there are none."""

    @property
    def num_items(self) -> int:
        """Items of the events that were numbered."""
        return len(self.items.by_name)

    def number(self, events: Iterable[Event]) -> Iterator[Ratings]:
        """Yield the events that stay, in parts, in their order."""
        rows: list[list[int]] = []
        for event in events:
            if event.user in self.frequent_users and event.item in self.frequent_items:
                rows.append(self.number_one(event))
            if len(rows) == EVENTS_PER_PART:
                yield make_ratings(rows)
                rows = []
        if rows:
            yield make_ratings(rows)

    def number_one(self, event: Event) -> list[int]:
        """Return user, item, half stars and time of an event."""
        user = self.users.find(event.user)
        time = event.timestamp
        if time is None:
            time = self.places[user]
            self.places[user] += 1
        return [user, self.items.find(event.item), event.half_stars, time]


def find_frequent(counts: Counter[str], least: int) -> set[str]:
    """Return the names that occur so often at the least."""
    return {name for name, number in counts.items() if number >= least}


def make_ratings(rows: list[list[int]]) -> Ratings:
    """Return rows of user, item, half stars and time as arrays."""
    columns = np.array(rows, dtype=np.int64).T
    return Ratings(
        user_ids=columns[0].astype(np.int32),
        item_ids=columns[1].astype(np.int32),
        half_stars=columns[2].astype(np.int8),
        timestamps=np.ascontiguousarray(columns[3]),
    )
