"""Padded batches, held against a plain Python reading of the same rules."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hstu_preserve.data.batches import assemble_batch, list_history_item_ids
from hstu_preserve.data.split import find_eligible_users
from hstu_preserve.records.store import TiePolicy
from tests.data.strategies import Event, events, list_sequences, make_store


def pad(values: list[int], length: int) -> list[int]:
    return values + [0] * (length - len(values))


@given(
    rows=events,
    held_out_events=st.integers(0, 2),
    max_sequence_length=st.integers(1, 8),
    output_length=st.integers(1, 4),
    data=st.data(),
)
def test_a_batch_is_what_upstreams_loader_makes_user_by_user(
    rows: list[Event], held_out_events: int, max_sequence_length: int, output_length: int, data: st.DataObject
) -> None:
    store = make_store(rows)
    eligible = find_eligible_users(store, held_out_events=held_out_events).tolist()
    chosen = data.draw(st.lists(st.sampled_from(eligible), max_size=6)) if eligible else []
    users = np.array(chosen, dtype=np.int64)
    batch = assemble_batch(
        store,
        users,
        held_out_events=held_out_events,
        max_sequence_length=max_sequence_length,
        output_length=output_length,
    )
    whole = list_history_item_ids(store, users, held_out_events=held_out_events)
    sequences = list(list_sequences(rows, tie_policy=TiePolicy.STABLE).values())
    length = max_sequence_length + output_length
    assert batch.item_ids.shape == batch.half_stars.shape == batch.timestamps.shape == (len(chosen), length)
    for row, user in enumerate(chosen):
        *history, target = sequences[user][: len(sequences[user]) - held_out_events]
        recent = history[-max_sequence_length:]
        assert batch.user_ids[row] == target[0]
        assert batch.lengths[row] == len(recent)
        assert batch.item_ids[row].tolist() == pad([event[1] for event in recent], length)
        assert batch.half_stars[row].tolist() == pad([event[2] for event in recent], length)
        assert batch.timestamps[row].tolist() == pad([event[3] for event in [*recent, target]], length)
        found = (batch.target_ids[row], batch.target_half_stars[row], batch.target_timestamps[row])
        assert found == target[1:]
        assert whole[row].tolist() == pad([event[1] for event in history], whole.shape[1])


def test_every_array_of_a_batch_has_64_bits() -> None:
    batch = assemble_batch(
        make_store([(1, 2, 3, 4), (1, 3, 4, 5)]),
        np.array([0]),
        held_out_events=0,
        max_sequence_length=3,
        output_length=1,
    )
    assert {array.dtype for array in vars(batch).values()} == {np.dtype(np.int64)}


def test_a_user_without_history_and_target_is_refused_by_name() -> None:
    store = make_store([(7, 2, 3, 4), (7, 3, 4, 5)])
    with pytest.raises(ValueError, match="user 7 has no history and target with 1 events held out"):
        assemble_batch(store, np.array([0]), held_out_events=1, max_sequence_length=3, output_length=1)


@pytest.mark.parametrize(("held_out_events", "output_length"), [(-1, 1), (0, 0)])
def test_arguments_that_would_leak_or_overflow_are_refused(held_out_events: int, output_length: int) -> None:
    with pytest.raises(ValueError, match="must"):
        assemble_batch(
            make_store([(1, 2, 3, 4), (1, 3, 4, 5)]),
            np.array([0]),
            held_out_events=held_out_events,
            max_sequence_length=3,
            output_length=output_length,
        )
