"""Which of a user's events belong to training, validation and test."""

from enum import StrEnum

import numpy as np

from hstu_preserve.data.arrays import BoolArray, Int64Array
from hstu_preserve.data.sequences import Sequences, leave_out_last_events
from hstu_preserve.records.recipe import DatasetSettings, Protocol

MIN_EVENTS = 2
"""One event of history and one target."""


class Part(StrEnum):
    """The use of a batch."""

    TRAINING = "training"
    VALIDATION = "validation"
    TEST = "test"


HELD_OUT_EVENTS = {
    (Protocol.UPSTREAM, Part.TRAINING): 1,
    (Protocol.UPSTREAM, Part.TEST): 0,
    (Protocol.VALIDATED, Part.TRAINING): 2,
    (Protocol.VALIDATED, Part.VALIDATION): 1,
    (Protocol.VALIDATED, Part.TEST): 0,
}


def count_held_out_events(protocol: Protocol, *, part: Part) -> int:
    """Return how many of each user's last events the part does not see; its target is the last of the rest.

    Raises:
        ValueError: The protocol has no such part (upstream has no validation).
    """
    if (protocol, part) not in HELD_OUT_EVENTS:
        raise ValueError(f"protocol {protocol} has no {part} part")
    return HELD_OUT_EVENTS[protocol, part]


def find_eligible_users(sequences: Sequences, *, held_out_events: int) -> Int64Array:
    """Return the indices of the users with a history and a target once their last events are held out."""
    return np.flatnonzero(sequences.lengths - held_out_events >= MIN_EVENTS)


def find_evaluated_users(sequences: Sequences, dataset: DatasetSettings, *, part: Part) -> Int64Array:
    """Return the indices of the users who are evaluated on a part.

    Args:
        sequences: Their events.
        dataset: Its protocol holds events out, and says whether users with too few of them are trained on instead.
        part: Validation or test.
    """
    held_out = count_held_out_events(dataset.protocol, part=part)
    eligible = find_eligible_users(sequences, held_out_events=held_out)
    return eligible[~find_short(sequences, dataset)[eligible]]


def bound_training(sequences: Sequences, dataset: DatasetSettings) -> Int64Array:
    """Return the event after each user's last one that training may see, [U]."""
    held_out = count_held_out_events(dataset.protocol, part=Part.TRAINING)
    bounds = leave_out_last_events(sequences, held_out_events=held_out).bounds
    return np.where(find_short(sequences, dataset), sequences.ends, bounds)


def find_short(sequences: Sequences, dataset: DatasetSettings) -> BoolArray:
    """Return which users have so few events that all of them are trained on, [U]; nobody unless the recipe says so."""
    if dataset.short_histories is None:
        return np.zeros(sequences.num_users, dtype=np.bool_)
    return sequences.lengths <= count_held_out_events(dataset.protocol, part=Part.TRAINING)
