"""Which of a user's events belong to training, validation and test."""

from enum import StrEnum

import numpy as np

from hstu_preserve.data.arrays import Int64Array
from hstu_preserve.data.sequences import Sequences
from hstu_preserve.records.recipe import Protocol

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
