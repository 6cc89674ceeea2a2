"""Which of a user's events belong to training, validation and test."""

import pytest

from hstu_preserve.data.split import Part, count_held_out_events, find_eligible_users
from hstu_preserve.records.recipe import Protocol
from tests.data.strategies import make_store


def test_each_part_sees_one_event_more_than_the_part_before() -> None:
    validated = [count_held_out_events(Protocol.VALIDATED, part=part) for part in Part]
    assert validated == [2, 1, 0]
    assert count_held_out_events(Protocol.UPSTREAM, part=Part.TRAINING) == 1
    assert count_held_out_events(Protocol.UPSTREAM, part=Part.TEST) == 0


def test_upstream_has_no_validation_part() -> None:
    with pytest.raises(ValueError, match="upstream has no validation part"):
        count_held_out_events(Protocol.UPSTREAM, part=Part.VALIDATION)


def test_a_user_needs_a_history_and_a_target_beside_the_held_out_events() -> None:
    lengths = {1: 1, 2: 4, 3: 2, 4: 3}
    store = make_store([(user, 1, 1, time) for user, length in lengths.items() for time in range(length)])
    eligible = {count: find_eligible_users(store, held_out_events=count).tolist() for count in range(4)}
    assert eligible == {0: [1, 2, 3], 1: [1, 3], 2: [1], 3: []}
