"""Users' events in flat arrays, and parts of them."""

from dataclasses import fields

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hstu_preserve.data import sequences
from hstu_preserve.data.arrays import AnyArray
from hstu_preserve.data.batches import assemble_batch, list_item_ids
from hstu_preserve.data.sequences import (
    Sequences,
    count_ids,
    count_items,
    leave_out_last_events,
    mask_remaining_events,
    select_events,
)
from hstu_preserve.data.split import find_eligible_users
from hstu_preserve.records.store import TiePolicy
from tests.data.strategies import MAX_ITEM, Event, events, list_sequences, make_store

held_out = st.integers(0, 3)


def list_parts(part: Sequences, column: AnyArray) -> list[list[int]]:
    """Each user's values."""
    bounds = zip(part.starts, part.ends, strict=True)
    return [column[start:end].tolist() for start, end in bounds]


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
    assert kept.num_events == sum(map(len, expected))
    for column, field in ((kept.item_ids, 1), (kept.half_stars, 2), (kept.timestamps, 3)):
        assert list_parts(kept, column) == [[event[field] for event in sequence] for sequence in expected]


@given(events, held_out)
def test_leaving_out_last_events_copies_nothing(rows: list[Event], held_out_events: int) -> None:
    store = make_store(rows)
    kept = select_events(store, mask=mask_remaining_events(store, held_out_events=held_out_events))
    assert kept.item_ids is store.item_ids
    assert kept.timestamps is store.timestamps


@given(events, held_out)
def test_batches_of_a_part_in_place_are_those_of_a_copy(rows: list[Event], held_out_events: int) -> None:
    store = make_store(rows)
    mask = mask_remaining_events(store, held_out_events=held_out_events)
    kept = select_events(store, mask=mask)
    copy = Sequences(
        user_ids=store.user_ids,
        offsets=np.concatenate(([0], np.cumsum(kept.lengths))),
        item_ids=store.item_ids[mask],
        half_stars=store.half_stars[mask],
        timestamps=store.timestamps[mask],
    )
    users = find_eligible_users(kept, held_out_events=0)
    assert users.tolist() == find_eligible_users(copy, held_out_events=0).tolist()
    one, two = (
        assemble_batch(part, users, held_out_events=0, max_sequence_length=4, output_length=2) for part in (kept, copy)
    )
    for field in fields(one):
        np.testing.assert_array_equal(getattr(one, field.name), getattr(two, field.name))
    np.testing.assert_array_equal(list_item_ids(kept, users), list_item_ids(copy, users))


@given(events, st.data())
def test_selected_events_keep_user_and_order(rows: list[Event], data: st.DataObject) -> None:
    store = make_store(rows)
    mask = data.draw(st.lists(st.booleans(), min_size=len(rows), max_size=len(rows)))
    kept = select_events(store, mask=np.array(mask))
    owners = np.repeat(store.user_ids, store.lengths)
    assert np.repeat(kept.user_ids, kept.lengths).tolist() == owners[mask].tolist()
    flat = [item for part in list_parts(kept, kept.item_ids) for item in part]
    assert flat == store.item_ids[mask].tolist()


@given(events, held_out)
def test_leaving_out_the_last_events_is_the_selection_of_the_others(rows: list[Event], held_out_events: int) -> None:
    store = make_store(rows)
    masked = select_events(store, mask=mask_remaining_events(store, held_out_events=held_out_events))
    left = leave_out_last_events(store, held_out_events=held_out_events)
    assert list_parts(left, left.item_ids) == list_parts(masked, masked.item_ids)
    assert (left.lengths >= 0).all()
    assert left.num_events == masked.num_events


@given(events, held_out)
def test_items_are_counted_outside_the_held_out_events_only(rows: list[Event], held_out_events: int) -> None:
    counts = count_items(make_store(rows), held_out_events=held_out_events, max_item_id=MAX_ITEM)
    seen = [event[1] for sequence in remaining(rows, held_out_events) for event in sequence]
    assert counts.tolist() == [seen.count(item) for item in range(MAX_ITEM + 1)]


def test_ids_are_counted_over_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sequences, "IDS_PER_BLOCK", 2)
    assert count_ids(np.array([1, 2, 2, 4, 2], dtype=np.int32), max_id=5).tolist() == [0, 1, 3, 0, 1, 0]


def test_a_mask_of_another_length_is_refused() -> None:
    with pytest.raises(ValueError, match="mask has shape"):
        select_events(make_store([(1, 2, 3, 4)]), mask=np.array([True, True]))
