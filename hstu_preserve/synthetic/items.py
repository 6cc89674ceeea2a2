"""Made-up items: groups on a ring, each with popular and rare ones, and genres and years that mostly follow from it."""

from dataclasses import dataclass
from math import isqrt

import numpy as np

from hstu_preserve.data.arrays import Int64Array
from hstu_preserve.data.movie_table import MovieTable
from hstu_preserve.synthetic.draws import Purpose, draw, scale_below, take_bits

WEIGHT_SCALE = 2**16
"""The weight of the first rank; rank r has `WEIGHT_SCALE // (r + 1)`, an integer form of Zipf's law."""
FLATTENED_GROUPS = 4
"""Added to a group's rank, so that the most popular groups do not swallow the rest."""

NO_GENRES = "(no genres listed)"
GENRES = (
    "Action",
    "Adventure",
    "Animation",
    "Children",
    "Comedy",
    "Crime",
    "Documentary",
    "Drama",
    "Fantasy",
    "Film-Noir",
    "Horror",
    "Musical",
    "Mystery",
    "Romance",
    "Sci-Fi",
    "Thriller",
    "War",
    "Western",
)
FIRST_YEAR = 1950


@dataclass(frozen=True, kw_only=True)
class Catalogue:
    """The made-up items, and how users choose among them; places 0 to I-1 are sorted by group, then popularity."""

    item_ids: Int64Array
    """[I], of each place."""
    qualities: Int64Array
    """[I], half stars that users tend to give, of each place."""
    cumulative_weights: Int64Array
    """[I], running sum of the places' weights."""
    group_bounds: Int64Array
    """[G + 1], running sum of weights before each group."""
    cumulative_group_weights: Int64Array
    """[G], of the groups a user jumps to."""


def make_catalogue(seed: int, *, num_items: int) -> tuple[MovieTable, Catalogue]:
    """Return the movie table and the same items as users see them."""
    index = np.arange(num_items)
    has_gap = take_bits(draw(seed, Purpose.ITEM_GAP, counters=index), shift=0, count=3) == 0
    ids = np.cumsum(1 + has_gap)
    num_groups = max(2, isqrt(num_items))
    item_at = np.argsort(draw(seed, Purpose.POPULARITY, counters=index), kind="stable")
    group_starts = -(-np.arange(num_groups + 1) * num_items // num_groups)
    group_at = np.searchsorted(group_starts, index, side="right") - 1
    cumulative = np.cumsum(weigh_ranks(index - group_starts[group_at]))
    catalogue = Catalogue(
        item_ids=ids[item_at],
        qualities=4 + scale_below(draw(seed, Purpose.QUALITY, counters=index), 5),
        cumulative_weights=cumulative,
        group_bounds=np.concatenate(([0], cumulative))[group_starts],
        cumulative_group_weights=np.cumsum(weigh_ranks(np.arange(num_groups) + FLATTENED_GROUPS)),
    )
    group_of = np.empty(num_items, dtype=np.int64)
    group_of[item_at] = group_at
    return make_movies(seed, ids=ids, groups=group_of), catalogue


def weigh_ranks(ranks: Int64Array) -> Int64Array:
    """Return Zipf's weights in integers, never 0."""
    return np.maximum(1, WEIGHT_SCALE // (ranks + 1))


def make_movies(seed: int, *, ids: Int64Array, groups: Int64Array) -> MovieTable:
    """Return genres and years that mostly follow from an item's group."""
    bits = draw(seed, Purpose.SIDE_INFORMATION, counters=np.arange(len(ids)))
    first = groups % len(GENRES)
    second = np.where(take_bits(bits, shift=0, count=1) == 0, first, scale_below(bits, len(GENRES)))
    is_bare = take_bits(bits, shift=1, count=6) == 0
    is_undated = take_bits(bits, shift=7, count=6) == 0
    years = FIRST_YEAR + groups * 7 % 60 + take_bits(bits, shift=13, count=3)
    genres = tuple(
        (NO_GENRES,) if bare else tuple(GENRES[genre] for genre in sorted({one, other}))
        for bare, one, other in zip(is_bare.tolist(), first.tolist(), second.tolist(), strict=True)
    )
    return MovieTable(
        item_ids=ids.astype(np.int32), genres=genres, years=np.where(is_undated, 0, years).astype(np.int16)
    )
