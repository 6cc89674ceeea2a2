"""Numbers read from many text fields at once: digits in, integers out, `MALFORMED` for every other field.

NumPy's own text readers are either slow or forgiving; here each byte of a field is looked at, and none is guessed.
"""

import numpy as np

from hstu_preserve.data.arrays import Int64Array, Uint8Array

MALFORMED = -1
"""Stands for a field that is not the number it should be; no valid field is negative."""
MAX_ID = 2**31 - 1
MAX_DIGITS = 15
"""More digits than any identifier or unix time has, and few enough for 64 bits."""
ID_RULE = f"whole numbers from 1 to {MAX_ID}"
STARS_RULE = "0.5 to 5 in halves"
TIME_RULE = "whole seconds since 1970"


def parse_whole_numbers(text: Uint8Array, *, starts: Int64Array, ends: Int64Array) -> Int64Array:
    """Return the value of each field `text[start:end]` of 1 to 15 ASCII digits, else `MALFORMED`.

    Args:
        text: The bytes that the fields lie in; not empty where there are fields.
        starts: First byte of each field.
        ends: The byte after the last one of each field.
    """
    lengths = ends - starts
    values = np.zeros(len(starts), dtype=np.int64)
    well_formed = (lengths >= 1) & (lengths <= MAX_DIGITS)
    longest = min(int(lengths.max(initial=0)), MAX_DIGITS)
    shortest = int(lengths.min(initial=0))
    for place in range(longest):
        digits = text.take(starts + place, mode="clip") - np.uint8(ord("0"))
        if place < shortest:
            well_formed &= digits <= 9
            values = values * 10 + digits
        else:
            is_inside = place < lengths
            well_formed &= (digits <= 9) | ~is_inside
            values = np.where(is_inside, values * 10 + digits, values)
    return np.where(well_formed, values, MALFORMED)


def parse_ids(text: Uint8Array, *, starts: Int64Array, ends: Int64Array) -> Int64Array:
    """Return the identifier (1 to 2**31 - 1; 0 is padding) in each field, else `MALFORMED`."""
    values = parse_whole_numbers(text, starts=starts, ends=ends)
    return np.where((values >= 1) & (values <= MAX_ID), values, MALFORMED)


def parse_ids_from_zero(text: Uint8Array, *, starts: Int64Array, ends: Int64Array) -> Int64Array:
    """Return the identifier (0 to 2**31 - 1) in each field of data that may count from 0, else `MALFORMED`."""
    values = parse_whole_numbers(text, starts=starts, ends=ends)
    return np.where(values <= MAX_ID, values, MALFORMED)


def parse_half_stars(text: Uint8Array, *, starts: Int64Array, ends: Int64Array) -> Int64Array:
    """Return twice the rating in each field (`4`, `4.0` or `3.5`; from 0.5 to 5), else `MALFORMED`."""
    lengths = ends - starts
    stars, point, tenths = (text.take(starts + place, mode="clip") for place in range(3))
    has_half = (lengths == 3) & (tenths == ord("5"))
    has_fraction = (lengths == 3) & (point == ord(".")) & ((tenths == ord("5")) | (tenths == ord("0")))
    values = 2 * (stars.astype(np.int64) - ord("0")) + has_half
    well_formed = ((lengths == 1) | has_fraction) & (values >= 1) & (values <= 10)
    return np.where(well_formed, values, MALFORMED)
