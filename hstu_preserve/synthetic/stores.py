"""Made-up MovieLens-like data, the same from the same seed for ever.

Every draw is a hash of seed, purpose and counter (`draws`), and everything after it is integer arithmetic: no
library distribution that may change, no logarithm that another libm rounds otherwise. A test pins the resulting
fingerprint.

Items fall into groups on a ring; a user watches within a group, moves on to the next one or jumps to another, and
prefers popular items there. So the next item follows from the last ones, and a model can learn it.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hstu_preserve.data.arrays import BoolArray, Int64Array, Uint64Array
from hstu_preserve.data.event_runs import open_event_runs
from hstu_preserve.data.movie_table import MovieTable
from hstu_preserve.data.ratings import Ratings
from hstu_preserve.data.store import Store, new_store_folder, open_store, write_record
from hstu_preserve.data.store_building import Origin
from hstu_preserve.data.store_streaming import stream_arrays
from hstu_preserve.errors import UsageError
from hstu_preserve.records.store import TiePolicy
from hstu_preserve.synthetic.draws import MASK_64, Purpose, draw, scale_below, take_bits
from hstu_preserve.synthetic.items import Catalogue, make_catalogue, weigh_ranks

DEFAULT_NAME = "synthetic"
DEFAULT_NUM_USERS = 610
DEFAULT_NUM_ITEMS = 9_742
DEFAULT_NUM_RATINGS = 100_836
"""The shape of ml-latest-small."""
MIN_EVENTS_PER_USER = 5
MAX_SIZE = 2**31 - 1

NUM_ACTIVITY_LEVELS = 64
"""The most active users have about this many times the events of the least active."""
EVENTS_PER_BLOCK = 2**18
MAX_SEEN_FLAGS = 2**28
"""Of one block: one byte for each of its users and each item."""

FIRST_TIMESTAMP = 946_684_800
"""2000-01-01 UTC."""
TEN_YEARS_SECONDS = 315_360_000


@dataclass(frozen=True, kw_only=True)
class SyntheticData:
    """Made-up movies, and the ratings of all users, in parts of whole users."""

    movies: MovieTable
    parts: Iterator[Ratings]


def write_synthetic_store(output: Path, *, seed: int, num_users: int, num_items: int, num_ratings: int) -> Store:
    """Write a made-up store to the new directory `output`, in memory that does not grow with the ratings.

    It has sessions, tied timestamps, popularity skew and a learnable order of items. Every user has at least 5 events
    and rates no item twice. The data may travel: nobody's ratings are in it.

    Raises:
        UsageError: No such data can exist, or `output` exists and is not empty.
        UnavailableError: `output` cannot be written, or the disk is full.
    """
    data = make_data(seed, num_users=num_users, num_items=num_items, num_ratings=num_ratings)
    with new_store_folder(output) as folder, open_event_runs(folder, label=output) as runs:
        for part in data.parts:
            runs.add(part)
        record = stream_arrays(
            runs,
            data.movies,
            folder=folder,
            name=DEFAULT_NAME,
            tie_policy=TiePolicy.STABLE,
            origin=make_origin(seed),
        )
        write_record(record, folder)
    return open_store(output)


def make_data(seed: int, *, num_users: int, num_items: int, num_ratings: int) -> SyntheticData:
    """Return made-up data before it is a store; the events are made when they are asked for.

    Raises:
        UsageError: No such data can exist.
    """
    require_possible(seed, num_users=num_users, num_items=num_items, num_ratings=num_ratings)
    movies, catalogue = make_catalogue(seed, num_items=num_items)
    lengths = share_out_events(seed, num_users=num_users, num_items=num_items, num_ratings=num_ratings)
    return SyntheticData(movies=movies, parts=make_ratings(seed, lengths=lengths, catalogue=catalogue))


def make_origin(seed: int) -> Origin:
    """Return the origin that a store of made-up data records."""
    return Origin(
        source=f"synthetic, seed {seed}",
        source_md5=None,
        redistributable=True,
        notice="Synthetic data made by hstu-preserve; no person's ratings; free to use and share (MIT).",
    )


def require_possible(seed: int, *, num_users: int, num_items: int, num_ratings: int) -> None:
    """Raise UsageError if no such data can exist."""
    if not 0 <= seed <= MASK_64:
        raise UsageError(f"seed must be from 0 to 2**64 - 1, found {seed}")
    if num_users < 1 or not MIN_EVENTS_PER_USER <= num_items <= MAX_SIZE // 2:
        raise UsageError(
            f"1 user or more and {MIN_EVENTS_PER_USER} to {MAX_SIZE // 2} items are needed, "
            f"found {num_users} and {num_items}"
        )
    fewest, most = MIN_EVENTS_PER_USER * num_users, num_users * num_items
    if not fewest <= num_ratings <= min(most, MAX_SIZE):
        raise UsageError(
            f"{num_users} users and {num_items} items allow {fewest} to {most} ratings "
            f"({MIN_EVENTS_PER_USER} per user, no item twice), found {num_ratings}"
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


def make_ratings(seed: int, *, lengths: Int64Array, catalogue: Catalogue) -> Iterator[Ratings]:
    """Yield all users' events, made in blocks of users so that memory stays bounded."""
    ends = np.cumsum(lengths)
    users_per_block = max(1, MAX_SEEN_FLAGS // len(catalogue.item_ids))
    first_user = 0
    while first_user < len(lengths):
        first_event = int(ends[first_user] - lengths[first_user])
        users_below = int(np.searchsorted(ends, first_event + EVENTS_PER_BLOCK, side="right"))
        next_user = min(max(first_user + 1, users_below), first_user + users_per_block)
        block = lengths[first_user:next_user]
        yield make_block(seed, first_user=first_user, first_event=first_event, lengths=block, catalogue=catalogue)
        first_user = next_user


def make_block(seed: int, *, first_user: int, first_event: int, lengths: Int64Array, catalogue: Catalogue) -> Ratings:
    """Return the events of consecutive users; draws count by event, so the block size changes nothing."""
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
