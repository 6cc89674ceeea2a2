"""What is said of data that a number would rest on without anybody seeing it."""

from dataclasses import replace

import numpy as np
import pytest

from hstu_preserve.data.oddities import count_users_out_of_order, list_oddities
from hstu_preserve.data.store import Store
from tests.data.stores_in_memory import synthesize

STORE = synthesize(seed=7, num_users=12, num_items=30, num_ratings=150)


def with_times(store: Store, timestamps: "np.ndarray[tuple[int], np.dtype[np.int64]]") -> Store:
    return replace(store, timestamps=timestamps)


def rename(store: Store, name: str) -> Store:
    return replace(store, record=store.record.model_copy(update={"name": name}))


def with_largest_id(store: Store, item_id: int) -> Store:
    counts = store.record.counts.model_copy(update={"max_item_id": item_id})
    ids = np.append(store.candidate_ids[:-1], item_id).astype(np.int32)
    return replace(store, candidate_ids=ids, record=store.record.model_copy(update={"counts": counts}))


def test_nothing_is_said_of_ordinary_data() -> None:
    assert list_oddities(STORE) == ()


def test_histories_written_newest_first_are_counted() -> None:
    (said,) = list_oddities(with_times(STORE, STORE.timestamps[::-1].copy()))
    assert "users' events are not in the order of time" in said


@pytest.mark.parametrize("users", [[0], [3, 5], [0, 1, 11]])
def test_one_older_event_is_enough_to_count_a_user_and_a_users_first_event_is_older_than_nobodys(
    users: list[int],
) -> None:
    times = np.sort(STORE.timestamps.copy())[::-1].copy()
    for user in range(12):
        start, stop = STORE.offsets[user], STORE.offsets[user + 1]
        times[start:stop] = np.arange(stop - start) + 1000 * (12 - user)
    assert count_users_out_of_order(with_times(STORE, times)) == 0
    for user in users:
        times[STORE.offsets[user + 1] - 1] = 0
    found = with_times(STORE, times)
    assert count_users_out_of_order(found) == len(users)
    assert list_oddities(found)[0].startswith(f"{len(users)} of 12 users' events")


@pytest.mark.parametrize("factor", [1_000, 1_000_000])
def test_times_that_can_only_be_milliseconds_are_said(factor: int) -> None:
    (said,) = list_oddities(with_times(STORE, STORE.timestamps * factor))
    assert said.startswith("150 of 150 times are after the year 3000")
    assert "milliseconds" in said


@pytest.mark.parametrize(
    ("item_id", "is_said"), [(1_500_000_007, True), (2**31 - 1, True), (150_000, True), (5_000, False)]
)
def test_ids_far_above_the_number_of_items_are_said(item_id: int, is_said: bool) -> None:
    said = list_oddities(with_largest_id(STORE, item_id))
    assert bool(said) is is_said
    assert all(f"the item table has {item_id + 1:,} rows" in one and "for 30 candidates" in one for one in said)


@pytest.mark.parametrize("name", ["ml-20m", "ml-1m", "ml-100k", "amzn-books"])
def test_a_published_name_with_other_counts_is_said(name: str) -> None:
    (said,) = list_oddities(rename(STORE, name))
    assert said.startswith(f"not the {'' if name == 'amzn-books' else 'published '}{name}")
    assert "found 12" in said or "this has 30" in said


def test_a_name_of_ones_own_is_not_compared() -> None:
    assert list_oddities(rename(STORE, "mine")) == ()
