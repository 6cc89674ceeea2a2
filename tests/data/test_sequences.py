"""Users' events in flat arrays, and parts of them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hstu_preserve.data.sequences import count_items, mask_remaining_events, select_events
from hstu_preserve.records.store import TiePolicy
from tests.data.strategies import MAX_ITEM, Event, events, list_sequences, make_store

held_out = st.integers(0, 3)


def remaining(rows: list[Event], held_out_events: int) -> list[list[Event]]:
    sequences = list_sequences(rows, tie_policy=TiePolicy.STABLE).values()
    return [sequence[: max(0, len(sequence) - held_out_events)] for sequence in sequences]


@given(events, held_out)
def test_the_remaining_events_are_all_but_each_users_last(rows: list[Event], held_out_events: int) -> None:
    store = make_store(rows)
    kept = select_events(store, mask=mask_remaining_events(store, held_out_events=held_out_events))
    expected = remaining(rows, held_out_events)
    assert kept.user_ids.tolist() == store.user_ids.tolist()
    assert kept.lengths.tolist() == [len(sequence) for sequence in expected]
    assert kept.item_ids.tolist() == [event[1] for sequence in expected for event in sequence]
    assert kept.half_stars.tolist() == [event[2] for sequence in expected for event in sequence]
    assert kept.timestamps.tolist() == [event[3] for sequence in expected for event in sequence]


@given(events, st.data())
def test_selected_events_keep_user_and_order(rows: list[Event], data: st.DataObject) -> None:
    store = make_store(rows)
    mask = data.draw(st.lists(st.booleans(), min_size=len(rows), max_size=len(rows)))
    kept = select_events(store, mask=np.array(mask))
    owners = np.repeat(store.user_ids, store.lengths)
    assert np.repeat(kept.user_ids, kept.lengths).tolist() == owners[mask].tolist()
    assert kept.item_ids.tolist() == store.item_ids[mask].tolist()


@given(events, held_out)
def test_items_are_counted_outside_the_held_out_events_only(rows: list[Event], held_out_events: int) -> None:
    counts = count_items(make_store(rows), held_out_events=held_out_events, max_item_id=MAX_ITEM)
    seen = [event[1] for sequence in remaining(rows, held_out_events) for event in sequence]
    assert counts.tolist() == [seen.count(item) for item in range(MAX_ITEM + 1)]


def test_a_mask_of_another_length_is_refused() -> None:
    with pytest.raises(ValueError, match="mask has shape"):
        select_events(make_store([(1, 2, 3, 4)]), mask=np.array([True, True]))
