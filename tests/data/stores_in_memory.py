"""Stores made in memory: what the program writes part by part must be the same, and small tests need no directory."""

import numpy as np

from hstu_preserve.data.movie_table import MovieTable
from hstu_preserve.data.ratings import Ratings, join_ratings
from hstu_preserve.data.store import ARRAY_DTYPES, Store, assemble_store, describe_array
from hstu_preserve.data.store_building import (
    Origin,
    arrange_events,
    arrange_movies,
    count_tied_events,
    describe_store,
    order_events,
    refuse_no_ratings,
    require_known_items,
)
from hstu_preserve.records.store import TiePolicy
from hstu_preserve.synthetic.stores import (
    DEFAULT_NAME,
    DEFAULT_NUM_ITEMS,
    DEFAULT_NUM_RATINGS,
    DEFAULT_NUM_USERS,
    make_data,
    make_origin,
)


def build_store(ratings: Ratings, movies: MovieTable, *, name: str, tie_policy: TiePolicy, origin: Origin) -> Store:
    """Return the store that `stream_arrays` writes, without its parts: all events are sorted at once."""
    if not len(ratings.user_ids):
        refuse_no_ratings(name)
    rated_ids = np.unique(ratings.item_ids)
    require_known_items(rated_ids, movies=movies, name=name)
    arrays = arrange_events(ratings, order=order_events(ratings, tie_policy=tie_policy)) | arrange_movies(movies)
    arrays = {key: np.ascontiguousarray(arrays[key], dtype=dtype) for key, dtype in ARRAY_DTYPES.items()}
    record = describe_store(
        tuple(describe_array(key, array) for key, array in arrays.items()),
        movies,
        name=name,
        num_rated_items=len(rated_ids),
        tied_events=count_tied_events(arrays["timestamps"], offsets=arrays["offsets"]),
        tie_policy=tie_policy,
        origin=origin,
    )
    return assemble_store(record, arrays)


def synthesize(
    *,
    seed: int,
    num_users: int = DEFAULT_NUM_USERS,
    num_items: int = DEFAULT_NUM_ITEMS,
    num_ratings: int = DEFAULT_NUM_RATINGS,
    name: str = DEFAULT_NAME,
) -> Store:
    """Return the store that `write_synthetic_store` writes."""
    data = make_data(seed, num_users=num_users, num_items=num_items, num_ratings=num_ratings)
    ratings = join_ratings(data.parts)
    return build_store(ratings, data.movies, name=name, tie_policy=TiePolicy.STABLE, origin=make_origin(seed))
