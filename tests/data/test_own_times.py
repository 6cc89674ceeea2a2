"""Times in each user's own unit are those of the reference's plain loop, whatever the data."""

from itertools import accumulate, pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from hstu_preserve.data.own_times import LARGEST, count_own_units, tell_times
from hstu_preserve.data.sequences import Sequences
from tests.data.stores_in_memory import synthesize
from tests.factories import make_recipe

gaps = st.integers(min_value=0, max_value=5) | st.integers(min_value=0, max_value=10**9)
users = st.lists(
    st.builds(
        lambda start, steps: list(accumulate([start, *steps])),
        st.integers(min_value=0, max_value=2**31),
        st.lists(gaps, max_size=6),
    ),
    min_size=1,
    max_size=4,
)


def make_sequences(times: list[list[int]]) -> Sequences:
    num_events = sum(map(len, times))
    return Sequences(
        user_ids=np.arange(1, len(times) + 1, dtype=np.int32),
        offsets=np.cumsum([0, *map(len, times)]),
        item_ids=np.ones(num_events, dtype=np.int32),
        half_stars=np.zeros(num_events, dtype=np.int8),
        timestamps=np.array([time for own in times for time in own], dtype=np.int64),
    )


def count_slowly(times: list[int]) -> list[int]:
    unit = min((later - earlier for earlier, later in pairwise(times) if later != earlier), default=1)
    return [round((time - times[0]) / unit) + 1 for time in times]


@given(users)
def test_every_users_times_are_counted_alone_and_as_the_plain_loop_does(times: list[list[int]]) -> None:
    expected = [time for own in times for time in count_slowly(own)]
    assert count_own_units(make_sequences(times)).tolist() == expected


def test_half_a_unit_is_rounded_to_the_even_one() -> None:
    assert count_own_units(make_sequences([[0, 2, 5, 9, 20]])).tolist() == [1, 2, 3, 5, 11]


def test_times_that_no_clock_shows_are_bounded() -> None:
    least, most = np.iinfo(np.int64).min, np.iinfo(np.int64).max
    counted = count_own_units(make_sequences([[least, 0, 1, most], [most, least], [5]]))
    assert (np.abs(counted) <= LARGEST + 1).all()
    assert counted[-1] == 1


def test_every_other_model_reads_the_very_seconds() -> None:
    store = synthesize(seed=1, num_users=3, num_items=20, num_ratings=30)
    assert tell_times(store, make_recipe()) is store
