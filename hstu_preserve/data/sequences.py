"""Users' events in flat arrays: the part of a store that batches are made of."""

from dataclasses import dataclass

import numpy as np

from hstu_preserve.data.arrays import BoolArray, Int8Array, Int32Array, Int64Array


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
    def lengths(self) -> Int64Array:
        """Events of each user, [U]."""
        return np.diff(self.offsets)


def mask_remaining_events(sequences: Sequences, *, held_out_events: int) -> BoolArray:
    """Return True for each event but every user's last `held_out_events`, shape [E]."""
    remaining = np.ones(sequences.num_events, dtype=np.bool_)
    starts, ends = sequences.offsets[:-1], sequences.offsets[1:]
    for place in range(1, held_out_events + 1):
        remaining[(ends - place)[ends - place >= starts]] = False
    return remaining


def select_events(sequences: Sequences, *, mask: BoolArray) -> Sequences:
    """Return all users with those of their events where `mask` [E] is True, in the same order.

    Training on a share of the events is `select_events` with a drawn mask that is False wherever
    `mask_remaining_events` is; the batches are then assembled with `held_out_events=0`.
    """
    if mask.shape != (sequences.num_events,):
        raise ValueError(f"mask has shape {mask.shape}, there are {sequences.num_events} events")
    kept_before = np.concatenate(([0], np.cumsum(mask, dtype=np.int64)))
    return Sequences(
        user_ids=sequences.user_ids,
        offsets=kept_before[sequences.offsets],
        item_ids=sequences.item_ids[mask],
        half_stars=sequences.half_stars[mask],
        timestamps=sequences.timestamps[mask],
    )


def count_items(sequences: Sequences, *, held_out_events: int, max_item_id: int) -> Int64Array:
    """Return how often each item occurs outside the held-out events, shape [max_item_id + 1]."""
    remaining = mask_remaining_events(sequences, held_out_events=held_out_events)
    return np.bincount(sequences.item_ids[remaining], minlength=max_item_id + 1)
