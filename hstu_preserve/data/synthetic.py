"""Made-up MovieLens-like data, the same from the same seed for ever.

Every draw is a SplitMix64 hash (Steele, Lea and Flood, OOPSLA 2014) of seed, purpose and counter, and everything after
it is integer arithmetic: no library distribution that may change, no logarithm that another libm rounds otherwise.
A test pins the resulting fingerprint.

Items fall into groups on a ring; a user watches within a group, moves on to the next one or jumps to another, and
prefers what is popular there: so the next item follows from the last ones, and a model can learn it.
"""

from dataclasses import dataclass
from enum import IntEnum
from math import isqrt

import numpy as np

from hstu_preserve.data.arrays import BoolArray, Int64Array, Uint64Array
from hstu_preserve.data.movielens import MovieTable, Ratings
from hstu_preserve.data.store import Store
from hstu_preserve.data.store_building import Origin, build_store
from hstu_preserve.errors import UsageError
from hstu_preserve.records.store import TiePolicy

DEFAULT_NAME = "synthetic"
DEFAULT_NUM_USERS = 610
DEFAULT_NUM_ITEMS = 9_742
DEFAULT_NUM_RATINGS = 100_836
"""The shape of ml-latest-small."""
MIN_EVENTS_PER_USER = 5
MAX_SIZE = 2**31 - 1

WEIGHT_SCALE = 2**16
"""The weight of the first rank; rank r has `WEIGHT_SCALE // (r + 1)`, an integer form of Zipf's law."""
NUM_ACTIVITY_LEVELS = 64
"""The most active users have about this many times the events of the least active."""
FLATTENED_GROUPS = 4
"""Added to a group's rank, so that the most popular groups do not swallow the rest."""
EVENTS_PER_BLOCK = 2**18
MAX_SEEN_FLAGS = 2**28
"""Of one block: one byte for each of its users and each item."""

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
FIRST_TIMESTAMP = 946_684_800
"""2000-01-01 UTC."""
TEN_YEARS_SECONDS = 315_360_000

SPLITMIX_GAMMA = 0x9E3779B97F4A7C15
MASK_64 = 2**64 - 1


class Purpose(IntEnum):
    """What a draw is for; the numbers are part of the frozen stream."""

    ACTIVITY = 1
    ITEM_GAP = 2
    POPULARITY = 3
    SIDE_INFORMATION = 4
    QUALITY = 5
    TRANSITION = 6
    ITEM = 7
    TIME = 8
    RATING = 9


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


def synthesize(
    *,
    seed: int,
    num_users: int = DEFAULT_NUM_USERS,
    num_items: int = DEFAULT_NUM_ITEMS,
    num_ratings: int = DEFAULT_NUM_RATINGS,
    name: str = DEFAULT_NAME,
) -> Store:
    """Return a made-up store with sessions, tied timestamps, popularity skew and a learnable order of items.

    Every user has at least 5 events and rates no item twice. The data may travel: nobody's ratings are in it.

    Raises:
        UsageError: No such data can exist (too few ratings or items for the users, a negative seed).
    """
    require_possible(seed, num_users=num_users, num_items=num_items, num_ratings=num_ratings)
    movies, catalogue = make_catalogue(seed, num_items=num_items)
    lengths = share_out_events(seed, num_users=num_users, num_items=num_items, num_ratings=num_ratings)
    ratings = make_ratings(seed, lengths=lengths, catalogue=catalogue)
    origin = Origin(
        source=f"synthetic, seed {seed}",
        source_md5=None,
        redistributable=True,
        notice="Synthetic data made by hstu-preserve; no person's ratings; free to use and share (MIT).",
    )
    return build_store(ratings, movies, name=name, tie_policy=TiePolicy.STABLE, origin=origin)


def require_possible(seed: int, *, num_users: int, num_items: int, num_ratings: int) -> None:
    """Raise UsageError where no such data can exist."""
    if not 0 <= seed <= MASK_64:
        raise UsageError(f"seed must be from 0 to 2**64 - 1, found {seed}")
    if num_users < 1 or not MIN_EVENTS_PER_USER <= num_items <= MAX_SIZE // 2:
        raise UsageError(f"at least 1 user and {MIN_EVENTS_PER_USER} items are needed")
    fewest, most = MIN_EVENTS_PER_USER * num_users, num_users * num_items
    if not fewest <= num_ratings <= min(most, MAX_SIZE):
        raise UsageError(
            f"{num_users} users and {num_items} items allow {fewest} to {most} ratings "
            f"({MIN_EVENTS_PER_USER} per user, no item twice), found {num_ratings}"
        )


def draw(seed: int, purpose: Purpose, *, counters: Int64Array) -> Uint64Array:
    """Return 64 random bits for each counter: SplitMix64's output at that position of the purpose's own stream."""
    key = mix(np.array([seed], dtype=np.uint64))
    key = mix(key + np.uint64(purpose * SPLITMIX_GAMMA & MASK_64))
    return mix(key + (counters.astype(np.uint64) + np.uint64(1)) * np.uint64(SPLITMIX_GAMMA))


def mix(values: Uint64Array) -> Uint64Array:
    """Return SplitMix64's finalizer of each value (arithmetic modulo 2**64)."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


def scale_below(bits: Uint64Array, bound: int | Int64Array) -> Int64Array:
    """Return integers from 0 to `bound - 1` (bound at most 2**31) made from the upper 32 bits."""
    factor = np.asarray(bound).astype(np.uint64)
    return (((bits >> np.uint64(32)) * factor) >> np.uint64(32)).astype(np.int64)


def take_bits(bits: Uint64Array, *, shift: int, count: int) -> Int64Array:
    """Return `count` of the lower 32 bits, independent of what `scale_below` makes."""
    return ((bits >> np.uint64(shift)) & np.uint64(2**count - 1)).astype(np.int64)


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


def share_out_events(seed: int, *, num_users: int, num_items: int, num_ratings: int) -> Int64Array:
    """Return each user's number of events: a few users have many, each between 5 and `num_items`, in sum exact."""
    levels = scale_below(draw(seed, Purpose.ACTIVITY, counters=np.arange(num_users)), NUM_ACTIVITY_LEVELS)
    weights = weigh_ranks(levels)
    lengths = np.full(num_users, MIN_EVENTS_PER_USER)
    while remaining := num_ratings - int(lengths.sum()):
        room = num_items - lengths
        open_weights = np.where(room > 0, weights, 0)
        shares = np.minimum(room, remaining * open_weights // open_weights.sum())
        if not shares.any():
            shares[np.flatnonzero(room)[:remaining]] = 1
        lengths += shares
    return lengths


def make_ratings(seed: int, *, lengths: Int64Array, catalogue: Catalogue) -> Ratings:
    """Return all users' events, made in blocks of users so that memory stays bounded."""
    ends = np.cumsum(lengths)
    users_per_block = max(1, MAX_SEEN_FLAGS // len(catalogue.item_ids))
    parts = []
    first_user = 0
    while first_user < len(lengths):
        first_event = int(ends[first_user] - lengths[first_user])
        users_below = int(np.searchsorted(ends, first_event + EVENTS_PER_BLOCK, side="right"))
        next_user = min(max(first_user + 1, users_below), first_user + users_per_block)
        block = lengths[first_user:next_user]
        parts.append(
            make_block(seed, first_user=first_user, first_event=first_event, lengths=block, catalogue=catalogue)
        )
        first_user = next_user
    return Ratings(
        user_ids=np.concatenate([part.user_ids for part in parts]),
        item_ids=np.concatenate([part.item_ids for part in parts]),
        half_stars=np.concatenate([part.half_stars for part in parts]),
        timestamps=np.concatenate([part.timestamps for part in parts]),
    )


def make_block(seed: int, *, first_user: int, first_event: int, lengths: Int64Array, catalogue: Catalogue) -> Ratings:
    """Return the events of consecutive users; a draw's counter is the event's index, whatever the blocks are."""
    users = np.repeat(np.arange(len(lengths)), lengths)
    counters = first_event + np.arange(len(users))
    is_first = np.concatenate(([True], users[1:] != users[:-1]))
    groups = walk_groups(draw(seed, Purpose.TRANSITION, counters=counters), is_first=is_first, catalogue=catalogue)
    bits = draw(seed, Purpose.ITEM, counters=counters)
    places = choose_unseen(choose_places(bits, groups=groups, catalogue=catalogue), users=users, catalogue=catalogue)
    noise = scale_below(draw(seed, Purpose.RATING, counters=counters), 5) - 2
    return Ratings(
        user_ids=(1 + first_user + users).astype(np.int32),
        item_ids=catalogue.item_ids[places].astype(np.int32),
        half_stars=np.clip(catalogue.qualities[places] + noise, 1, 10).astype(np.int8),
        timestamps=walk_clock(draw(seed, Purpose.TIME, counters=counters), is_first=is_first, lengths=lengths),
    )


def walk_groups(bits: Uint64Array, *, is_first: BoolArray, catalogue: Catalogue) -> Int64Array:
    """Return each event's group: of 16 steps 1 jumps, 5 move to the next group, 10 stay."""
    kinds = take_bits(bits, shift=0, count=4)
    jumps = is_first | (kinds == 0)
    total = int(catalogue.cumulative_group_weights[-1])
    targets = np.searchsorted(catalogue.cumulative_group_weights, scale_below(bits, total), side="right")
    moved = np.cumsum((kinds >= 1) & (kinds <= 5) & ~jumps)
    last_jumps = np.maximum.accumulate(np.where(jumps, np.arange(len(bits)), 0))
    num_groups = len(catalogue.cumulative_group_weights)
    groups: Int64Array = (targets[last_jumps] + moved - moved[last_jumps]) % num_groups
    return groups


def choose_places(bits: Uint64Array, *, groups: Int64Array, catalogue: Catalogue) -> Int64Array:
    """Return a place in each event's group, by popularity."""
    lower, upper = catalogue.group_bounds[groups], catalogue.group_bounds[groups + 1]
    return np.searchsorted(catalogue.cumulative_weights, lower + scale_below(bits, upper - lower), side="right")


def choose_unseen(places: Int64Array, *, users: Int64Array, catalogue: Catalogue) -> Int64Array:
    """Return the places with every repetition moved on to the user's next unseen one (the next popular there)."""
    num_items = len(catalogue.item_ids)
    is_seen = np.zeros((int(users[-1]) + 1) * num_items, dtype=np.bool_)
    chosen = places.copy()
    pending = np.arange(len(places))
    while len(pending):
        keys = users[pending] * num_items + chosen[pending]
        free = np.flatnonzero(~is_seen[keys])
        _, first_of_key = np.unique(keys[free], return_index=True)
        accepted = free[first_of_key]
        is_seen[keys[accepted]] = True
        pending = np.delete(pending, accepted)
        chosen[pending] = (chosen[pending] + 1) % num_items
    return chosen


def walk_clock(bits: Uint64Array, *, is_first: BoolArray, lengths: Int64Array) -> Int64Array:
    """Return timestamps in sessions: within one, a quarter of the events share their second with the one before."""
    starts_session = take_bits(bits, shift=0, count=4) == 0
    is_tied = take_bits(bits, shift=4, count=2) == 0
    within = np.where(is_tied, 0, 1 + scale_below(bits, 60))
    between = (3600 << take_bits(bits, shift=6, count=3)) + scale_below(bits, 3600)
    gaps = np.where(starts_session, between, within)
    gaps[is_first] = FIRST_TIMESTAMP + scale_below(bits[is_first], TEN_YEARS_SECONDS)
    elapsed = np.cumsum(gaps)
    before_user = (elapsed - gaps)[is_first]
    timestamps: Int64Array = elapsed - np.repeat(before_user, lengths)
    return timestamps
