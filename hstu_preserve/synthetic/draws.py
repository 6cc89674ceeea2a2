"""Random draws whose stream is frozen: a SplitMix64 hash (Steele, Lea and Flood, OOPSLA 2014) of each one's purpose."""

from enum import IntEnum

import numpy as np

from hstu_preserve.data.arrays import Int64Array, Uint64Array

SPLITMIX_GAMMA = 0x9E3779B97F4A7C15
MASK_64 = 2**64 - 1


class Purpose(IntEnum):
    """The purpose of a draw; the numbers are part of the frozen stream."""

    ACTIVITY = 1
    ITEM_GAP = 2
    POPULARITY = 3
    SIDE_INFORMATION = 4
    QUALITY = 5
    TRANSITION = 6
    ITEM = 7
    TIME = 8
    RATING = 9


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
    """Return `count` of the lower 32 bits, independent of the numbers that `scale_below` makes."""
    return ((bits >> np.uint64(shift)) & np.uint64(2**count - 1)).astype(np.int64)
