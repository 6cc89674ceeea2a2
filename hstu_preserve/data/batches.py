"""Padded batches of user histories with their targets.

Shapes: B users, N = max_sequence_length + output_length positions.
"""

from dataclasses import dataclass

import numpy as np

from hstu_preserve.data.arrays import AnyArray, BoolArray, Int64Array
from hstu_preserve.data.sequences import Sequences
from hstu_preserve.data.split import MIN_EVENTS


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Histories, left-aligned and padded with 0, and the event that follows each."""

    user_ids: Int64Array
    """[B]."""
    lengths: Int64Array
    """Events of history, [B]; at least 1."""
    item_ids: Int64Array
    """[B, N], 0 is padding."""
    half_stars: Int64Array
    """[B, N], rating × 2, 0 is padding."""
    timestamps: Int64Array
    """[B, N], in seconds; position `length` holds the target's, as upstream does: the time of the request is known."""
    target_ids: Int64Array
    """[B]."""
    target_half_stars: Int64Array
    """[B]."""
    target_timestamps: Int64Array
    """[B]."""


def assemble_batch(
    sequences: Sequences,
    user_indices: Int64Array,
    *,
    held_out_events: int,
    max_sequence_length: int,
    output_length: int,
) -> Batch:
    """Return the last `max_sequence_length` events before each user's target, and the target.

    Args:
        sequences: The users' events.
        user_indices: [B] int64, indices into `sequences.user_ids`.
        held_out_events: Last events of each user that are left out; the target is the last of the rest.
        max_sequence_length: Events of history that are kept.
        output_length: Positions after them, at least 1 (upstream: `gr_output_length + 1`).

    Raises:
        ValueError: A user has no history and target, or there is no room for the target's time.
    """
    if output_length < 1:
        raise ValueError(f"output_length must be at least 1, found {output_length}")
    targets = locate_targets(sequences, user_indices, held_out_events=held_out_events)
    lengths = np.minimum(targets - sequences.starts[user_indices], max_sequence_length)
    is_history = np.arange(max_sequence_length + output_length) < lengths[:, None]
    events = list_history_events(is_history, targets=targets, lengths=lengths)
    target_timestamps = sequences.timestamps[targets]
    timestamps = pad(sequences.timestamps[events], is_history)
    timestamps[np.arange(len(lengths)), lengths] = target_timestamps
    return Batch(
        user_ids=sequences.user_ids[user_indices].astype(np.int64),
        lengths=lengths,
        item_ids=pad(sequences.item_ids[events], is_history),
        half_stars=pad(sequences.half_stars[events], is_history),
        timestamps=timestamps,
        target_ids=sequences.item_ids[targets].astype(np.int64),
        target_half_stars=sequences.half_stars[targets].astype(np.int64),
        target_timestamps=target_timestamps,
    )


def list_history_item_ids(sequences: Sequences, user_indices: Int64Array, *, held_out_events: int) -> Int64Array:
    """Return every item before each user's target, untruncated: [B, longest history] int64, 0 is padding.

    Raises:
        ValueError: A user has no history and target.
    """
    targets = locate_targets(sequences, user_indices, held_out_events=held_out_events)
    lengths = targets - sequences.starts[user_indices]
    is_history = np.arange(lengths.max(initial=0)) < lengths[:, None]
    return pad(sequences.item_ids[list_history_events(is_history, targets=targets, lengths=lengths)], is_history)


def list_item_ids(sequences: Sequences, user_indices: Int64Array) -> Int64Array:
    """Return every item of each user, [B, longest sequence] int64, 0 is padding."""
    starts, ends = sequences.starts[user_indices], sequences.ends[user_indices]
    lengths = ends - starts
    is_event = np.arange(lengths.max(initial=0)) < lengths[:, None]
    return pad(sequences.item_ids[list_history_events(is_event, targets=ends, lengths=lengths)], is_event)


def locate_targets(sequences: Sequences, user_indices: Int64Array, *, held_out_events: int) -> Int64Array:
    """Return the index of each user's target event, [B].

    Raises:
        ValueError: A user has no history and target.
    """
    if held_out_events < 0:
        raise ValueError(f"held_out_events must not be negative, found {held_out_events}")
    remaining = sequences.ends[user_indices] - held_out_events
    too_short = remaining - sequences.starts[user_indices] < MIN_EVENTS
    if too_short.any():
        user = sequences.user_ids[user_indices[too_short.argmax()]]
        raise ValueError(f"user {user} has no history and target with {held_out_events} events held out")
    return remaining - 1


def list_history_events(is_history: BoolArray, *, targets: Int64Array, lengths: Int64Array) -> Int64Array:
    """Return the event behind each True of `is_history` [B, N], row by row."""
    first_events = targets - lengths
    return (first_events[:, None] + np.arange(is_history.shape[1]))[is_history]


def pad(values: AnyArray, is_history: BoolArray) -> Int64Array:
    """Return [B, N] int64 with the values where `is_history` is True and 0 elsewhere."""
    padded = np.zeros(is_history.shape, dtype=np.int64)
    padded[is_history] = values
    return padded
