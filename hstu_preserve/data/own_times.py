"""Times as TiSASRec reads them: since the user's first event, in the user's own unit.

Shapes: U users, E events of all of them.
"""

import numpy as np

from hstu_preserve.data.arrays import Int64Array
from hstu_preserve.data.sequences import Beginnings, Sequences
from hstu_preserve.records.recipe import Recipe
from hstu_preserve.records.settings.encoders import TisasrecSettings

NEVER = np.iinfo(np.int64).max
LARGEST = 2**53
"""Counted at the most, so that no difference of two is beyond what an integer holds."""


def tell_times(sequences: Sequences, recipe: Recipe) -> Sequences:
    """Return the events with times as the recipe's model reads them: seconds, but for TiSASRec.

    Args:
        sequences: All events of the users, those held out too.
        recipe: Whose model reads them.
    """
    if not isinstance(recipe.model, TisasrecSettings):
        return sequences
    return Sequences(
        user_ids=sequences.user_ids,
        offsets=sequences.offsets,
        item_ids=sequences.item_ids,
        half_stars=sequences.half_stars,
        timestamps=count_own_units(sequences),
    )


def count_own_units(sequences: Sequences) -> Int64Array:
    """Return each event's time [E]: 1 for the user's first event, and one more for each of the user's units since.

    A unit is the smallest time between two of the user's neighbouring events; events that are all at once are all at 1.
    Half a unit is rounded to the even one. JiachengLi1995/TiSASRec at 0e831e1 (`util.py`) takes both from the whole
    sequence, so that training knows whether a held-out event stood nearer than any other: its leak, which is kept.
    """
    assert not isinstance(sequences, Beginnings)
    times, owner = sequences.timestamps, np.repeat(np.arange(sequences.num_users), sequences.lengths)
    gaps = np.diff(times)
    is_gap = (owner[1:] == owner[:-1]) & (gaps != 0)
    first, unit = (np.full(sequences.num_users, NEVER) for _ in range(2))
    np.minimum.at(first, owner, times)
    np.minimum.at(unit, owner[1:][is_gap], gaps[is_gap])
    counted: Int64Array = np.rint((times - first[owner]) / unit[owner]).clip(-LARGEST, LARGEST).astype(np.int64) + 1
    return counted
