"""Small made-up ratings and movie tables for property tests."""

import numpy as np
from hypothesis import strategies as st

from hstu_preserve.data.movie_table import MovieTable
from hstu_preserve.data.ratings import Ratings
from hstu_preserve.data.store import Store
from hstu_preserve.data.store_building import Origin
from hstu_preserve.records.store import NUMPY_POLICIES, TiePolicy
from tests.data.stores_in_memory import build_store

Event = tuple[int, int, int, int]
"""User, item, half stars, time."""

MAX_ITEM = 12
ORIGIN = Origin(source="made up", source_md5=None, redistributable=True, notice="none")
MOVIES = MovieTable(
    item_ids=np.array([12, *range(1, 12)], dtype=np.int32),
    genres=(("Drama", "Crime"), *((("Comedy",), ("Drama",))[item % 2] for item in range(1, 12))),
    years=np.array([1999, *(1950 + item for item in range(1, 12))], dtype=np.int16),
)

events = st.lists(
    st.tuples(st.integers(1, 6), st.integers(1, MAX_ITEM), st.integers(1, 10), st.integers(0, 5)),
    min_size=1,
    max_size=60,
)
"""Few users, items and seconds, so that ties and repetitions abound."""


def make_ratings(rows: list[Event]) -> Ratings:
    users, items, stars, times = (np.array(column) for column in zip(*rows, strict=True))
    return Ratings(
        user_ids=users.astype(np.int32),
        item_ids=items.astype(np.int32),
        half_stars=stars.astype(np.int8),
        timestamps=times.astype(np.int64),
    )


def make_store(rows: list[Event], *, tie_policy: TiePolicy = TiePolicy.STABLE) -> Store:
    return build_store(make_ratings(rows), MOVIES, name="made-up", tie_policy=tie_policy, origin=ORIGIN)


def list_sequences(rows: list[Event], *, tie_policy: TiePolicy) -> dict[int, list[Event]]:
    """Each user's events in order, in plain Python."""
    keys = {
        TiePolicy.STABLE: lambda event: event[3],
        TiePolicy.ITEM_ID: lambda event: (event[3], event[1], event[2]),
        TiePolicy.IMPORTED: lambda _: 0,
        **dict.fromkeys(NUMPY_POLICIES, lambda _: 0),  # NumPy has sorted the events before
    }
    users = sorted({event[0] for event in rows})
    return {user: sorted((event for event in rows if event[0] == user), key=keys[tie_policy]) for user in users}
