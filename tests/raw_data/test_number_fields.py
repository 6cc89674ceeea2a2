"""Numbers read from many text fields at once."""

import re

import numpy as np
from hypothesis import example, given
from hypothesis import strategies as st

from hstu_preserve.data.arrays import Int64Array, Uint8Array
from hstu_preserve.raw_data.number_fields import MALFORMED, parse_half_stars, parse_ids, parse_whole_numbers

fields = st.lists(
    st.one_of(st.integers(0, 10**16).map(str), st.text("0123456789.+-e \x00", max_size=17)), min_size=1, max_size=20
)


def split(texts: list[str]) -> tuple[Uint8Array, Int64Array, Int64Array]:
    joined = np.frombuffer("".join(text + "," for text in texts).encode(), dtype=np.uint8)
    ends = np.flatnonzero(joined == ord(","))
    return joined, np.concatenate(([0], ends[:-1] + 1)), ends


@given(fields)
@example(["", "0", "00", "999999999999999", "1000000000000000"])
def test_whole_numbers_are_what_python_reads_and_all_else_is_malformed(texts: list[str]) -> None:
    text, starts, ends = split(texts)
    expected = [int(field) if re.fullmatch("[0-9]{1,15}", field) else MALFORMED for field in texts]
    assert parse_whole_numbers(text, starts=starts, ends=ends).tolist() == expected


@given(fields)
@example(["0", "1", "2147483647", "2147483648"])
def test_ids_are_positive_and_fit_32_bits(texts: list[str]) -> None:
    text, starts, ends = split(texts)
    numbers = [int(field) if re.fullmatch("[0-9]{1,15}", field) else MALFORMED for field in texts]
    expected = [number if 1 <= number < 2**31 else MALFORMED for number in numbers]
    assert parse_ids(text, starts=starts, ends=ends).tolist() == expected


@given(st.lists(st.text("0123456789.5", max_size=4), min_size=1, max_size=20))
@example(["0.5", "5.0", "5", "3.5", "0", "0.0", "5.5", "6", "4.", "4.2", ".5", "4.50", "4:5", ""])
def test_half_stars_are_twice_the_rating_from_a_half_to_five(texts: list[str]) -> None:
    text, starts, ends = split(texts)
    expected = [
        int(2 * float(field)) if re.fullmatch(r"[0-9](\.[05])?", field) and 0.5 <= float(field) <= 5 else MALFORMED
        for field in texts
    ]
    assert parse_half_stars(text, starts=starts, ends=ends).tolist() == expected
