"""Arrange, check and describe ratings and a movie table as the arrays of a store."""

from dataclasses import dataclass
from typing import Literal, NoReturn

import numpy as np

from hstu_preserve.data.arrays import AnyArray, Int32Array, Int64Array, Uint8Array
from hstu_preserve.data.event_filter import KEEP_ALL, EventFilter, tell_least
from hstu_preserve.data.movie_table import MovieTable
from hstu_preserve.data.ratings import Ratings
from hstu_preserve.errors import ContentError
from hstu_preserve.records.record import SCHEMA_VERSION
from hstu_preserve.records.store import (
    ArrayRecord,
    StoreCounts,
    StoreProvenance,
    StoreRecord,
    TiePolicy,
    fingerprint_of,
)


@dataclass(frozen=True, kw_only=True)
class Origin:
    """The origin of ratings and movies, which cannot be seen in them."""

    source: str
    """E.g. `ml-1m.zip` or `synthetic, seed 7`."""
    source_md5: str | None
    """Of the zip, if there was one."""
    redistributable: bool
    notice: str
    """Terms of use, in one sentence."""
    event_filter: EventFilter = KEEP_ALL
    """Which users and items were left out for want of events."""
    times: Literal["order"] | None = None
    """`order` if there are no times, and places stand for them."""


def refuse_no_ratings(name: str) -> NoReturn:
    """Raise ContentError: there is nothing to make a store of."""
    raise ContentError(f"{name}: there are no ratings")


def describe_store(
    described: tuple[ArrayRecord, ...],
    movies: MovieTable,
    *,
    name: str,
    num_rated_items: int,
    tied_events: int,
    tie_policy: TiePolicy,
    origin: Origin,
) -> StoreRecord:
    """Return the record of a store's arrays, its fingerprint among it."""
    sizes = {array.name: array.shape[0] for array in described}
    genres = list_genres(movies)
    return StoreRecord(
        schema_version=SCHEMA_VERSION,
        name=name,
        fingerprint=fingerprint_of(described, genres),
        arrays=described,
        genres=genres,
        counts=StoreCounts(
            num_users=sizes["user_ids"],
            num_rated_items=num_rated_items,
            num_candidates=sizes["candidate_ids"],
            max_item_id=int(movies.item_ids.max()),
            num_ratings=sizes["item_ids"],
        ),
        provenance=StoreProvenance(
            source=origin.source,
            source_md5=origin.source_md5,
            tie_policy=tie_policy,
            tied_events=tied_events,
            redistributable=origin.redistributable,
            notice=origin.notice,
            min_user_events=tell_least(origin.event_filter.min_user_events),
            min_item_events=tell_least(origin.event_filter.min_item_events),
            times=origin.times,
        ),
    )


def arrange_events(ratings: Ratings, *, order: Int64Array) -> dict[str, AnyArray]:
    """Return the arrays of users and events."""
    user_ids, first_events = np.unique(ratings.user_ids[order], return_index=True)
    return {
        "user_ids": user_ids,
        "offsets": np.append(first_events, len(order)),
        "item_ids": ratings.item_ids[order],
        "half_stars": ratings.half_stars[order],
        "timestamps": ratings.timestamps[order],
    }


def list_genres(movies: MovieTable) -> tuple[str, ...]:
    """Return the vocabulary of genres, sorted."""
    return tuple(sorted({genre for names in movies.genres for genre in names}))


def arrange_movies(movies: MovieTable) -> dict[str, AnyArray]:
    """Return the arrays of candidates."""
    by_id = np.argsort(movies.item_ids)
    return {
        "candidate_ids": movies.item_ids[by_id],
        "candidate_genres": encode_genres(movies.genres, vocabulary=list_genres(movies))[by_id],
        "candidate_years": movies.years[by_id],
    }


def count_tied_events(timestamps: AnyArray, *, offsets: AnyArray) -> int:
    """Return how many events share user and time with the event before them."""
    is_tied = timestamps[1:] == timestamps[:-1]
    is_tied[offsets[1:-1].astype(np.int64) - 1] = False
    return int(is_tied.sum())


def require_known_items(rated_ids: Int32Array, *, movies: MovieTable, name: str) -> None:
    """Raise ContentError for the first rated item that the movie table lacks."""
    unknown = np.setdiff1d(rated_ids, movies.item_ids)
    if len(unknown):
        raise ContentError(f"{name}: item {unknown[0]} is rated but not in the movie table ({len(unknown)} such items)")


def order_events(ratings: Ratings, *, tie_policy: TiePolicy) -> Int64Array:
    """Return the order that groups the events by user and sorts them as the policy says (stable sorts only).

    For `imported` and NumPy's orders the events come in that order already, and are only grouped.
    """
    match tie_policy:
        case TiePolicy.STABLE:
            return np.lexsort((ratings.timestamps, ratings.user_ids))
        case TiePolicy.ITEM_ID:
            # A repeated rating of one item in one second is ordered by its value, so that file order never matters.
            return np.lexsort((ratings.half_stars, ratings.item_ids, ratings.timestamps, ratings.user_ids))
        case _:
            return np.argsort(ratings.user_ids, kind="stable")


def encode_genres(genres: tuple[tuple[str, ...], ...], *, vocabulary: tuple[str, ...]) -> Uint8Array:
    """Return [I, G] with 1 where item i has genre g."""
    column_of = {genre: column for column, genre in enumerate(vocabulary)}
    encoded = np.zeros((len(genres), len(vocabulary)), dtype=np.uint8)
    for row, names in enumerate(genres):
        encoded[row, [column_of[name] for name in names]] = 1
    return encoded
