"""Users' events in flat arrays: the part of a store that batches are made of."""

from dataclasses import dataclass

import numpy as np

from hstu_preserve.data.arrays import BoolArray, Int8Array, Int32Array, Int64Array

IDS_PER_BLOCK = 2**20


@dataclass(frozen=True, kw_only=True)
class Sequences:
    """U users and their E events; user `u` has the events `offsets[u]` to `offsets[u + 1]`, oldest first."""

    user_ids: Int32Array
    """[U], ascending."""
    offsets: Int64Array
    """[U + 1], from 0 to E."""
    item_ids: Int32Array
    """[E], as the source numbers them, never 0."""
    half_stars: Int8Array
    """[E], rating × 2."""
    timestamps: Int64Array
    """[E], in seconds since 1970."""

    @property
    def num_users(self) -> int:
        """U."""
        return len(self.user_ids)

    @property
    def num_events(self) -> int:
        """E."""
        return len(self.item_ids)

    @property
    def starts(self) -> Int64Array:
        """The first event of each user, [U]."""
        return self.offsets[:-1]

    @property
    def ends(self) -> Int64Array:
        """The event after each user's last, [U]."""
        return self.offsets[1:]

    @property
    def lengths(self) -> Int64Array:
        """Events of each user, [U]."""
        return self.ends - self.starts


@dataclass(frozen=True, kw_only=True)
class Beginnings(Sequences):
    """The first events of every user, seen in place: nothing is copied, and nothing after them is read.

    The arrays of events are those of all events; only what lies between `starts` and `ends` belongs to this. Batches
    are made of it; masks, selections and counts are made of the whole.
    """

    bounds: Int64Array
    """[U], the event after each user's last one that belongs to this."""

    @property
    def num_events(self) -> int:
        """Of all users, without the events that are left out."""
        return int(self.lengths.sum())

    @property
    def ends(self) -> Int64Array:
        """The event after each user's last that belongs to this, [U]."""
        return self.bounds


def mask_remaining_events(sequences: Sequences, *, held_out_events: int) -> BoolArray:
    """Return True for each event but every user's last `held_out_events`, shape [E]."""
    remaining = np.ones(sequences.num_events, dtype=np.bool_)
    remaining[locate_last_events(sequences, count=held_out_events)] = False
    return remaining


def locate_last_events(sequences: Sequences, *, count: int) -> Int64Array:
    """Return the indices of every user's last `count` events, or of all if a user has fewer; in no order."""
    assert not isinstance(sequences, Beginnings)
    places = [sequences.ends - place for place in range(1, count + 1)]
    return np.concatenate([place[place >= sequences.starts] for place in places] or [np.empty(0, dtype=np.int64)])


def select_events(sequences: Sequences, *, mask: BoolArray) -> Sequences:
    """Return all users with those of their events where `mask` [E] is True, in the same order.

    If only last events are left out, the result looks at the same arrays (`Beginnings`); else events are copied.

    Training on a share of the events is `select_events` with a drawn mask that is False wherever
    `mask_remaining_events` is; the batches are then assembled with `held_out_events=0`.
    """
    assert not isinstance(sequences, Beginnings)
    if mask.shape != (sequences.num_events,):
        raise ValueError(f"mask has shape {mask.shape}, there are {sequences.num_events} events")
    removed = np.flatnonzero(~mask)
    bounds = bound_beginnings(sequences.offsets, removed=removed)
    if bounds is not None:
        return look_until(sequences, bounds=bounds)
    return Sequences(
        user_ids=sequences.user_ids,
        offsets=sequences.offsets - np.searchsorted(removed, sequences.offsets),
        item_ids=sequences.item_ids[mask],
        half_stars=sequences.half_stars[mask],
        timestamps=sequences.timestamps[mask],
    )


def leave_out_last_events(sequences: Sequences, *, held_out_events: int) -> Beginnings:
    """Return all users without their last `held_out_events`, as `select_events` would with the mask of these."""
    assert not isinstance(sequences, Beginnings)
    return look_until(sequences, bounds=np.maximum(sequences.ends - held_out_events, sequences.starts))


def look_until(sequences: Sequences, *, bounds: Int64Array) -> Beginnings:
    """Return every user's events before `bounds` [U]."""
    return Beginnings(
        user_ids=sequences.user_ids,
        offsets=sequences.offsets,
        item_ids=sequences.item_ids,
        half_stars=sequences.half_stars,
        timestamps=sequences.timestamps,
        bounds=bounds,
    )


def bound_beginnings(offsets: Int64Array, *, removed: Int64Array) -> Int64Array | None:
    """Return where each user's events end without the removed ones (ascending), None unless those are all last ones."""
    removed_before = np.searchsorted(removed, offsets)
    bounds = offsets[1:] - np.diff(removed_before)
    owners = np.repeat(np.arange(len(bounds)), np.diff(removed_before))
    return bounds if (removed >= bounds[owners]).all() else None


def count_items(sequences: Sequences, *, held_out_events: int, max_item_id: int) -> Int64Array:
    """Return how often each item occurs outside the held-out events, shape [max_item_id + 1]."""
    held_out = sequences.item_ids[locate_last_events(sequences, count=held_out_events)]
    return count_ids(sequences.item_ids, max_id=max_item_id) - count_ids(held_out, max_id=max_item_id)


def count_ids(ids: Int32Array, *, max_id: int) -> Int64Array:
    """Return how often each id from 0 to `max_id` occurs, [max_id + 1]; in blocks, because `bincount` makes copies."""
    counts = np.zeros(max_id + 1, dtype=np.int64)
    for start in range(0, len(ids), IDS_PER_BLOCK):
        counts += np.bincount(ids[start : start + IDS_PER_BLOCK], minlength=max_id + 1)
    return counts
