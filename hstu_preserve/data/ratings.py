"""Rating events as arrays, before they are sorted into a store."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from hstu_preserve.data.arrays import Int8Array, Int32Array, Int64Array


@dataclass(frozen=True, kw_only=True)
class Ratings:
    """Rating events of any users, in the order they were read."""

    user_ids: Int32Array
    item_ids: Int32Array
    half_stars: Int8Array
    """Rating × 2."""
    timestamps: Int64Array
    """In seconds since 1970."""


def join_ratings(parts: Iterable[Ratings]) -> Ratings:
    """Return all events in one, in the order of the parts, of which there is at least one."""
    held = list(parts)
    return Ratings(
        user_ids=np.concatenate([part.user_ids for part in held]),
        item_ids=np.concatenate([part.item_ids for part in held]),
        half_stars=np.concatenate([part.half_stars for part in held]),
        timestamps=np.concatenate([part.timestamps for part in held]),
    )
