"""Which of a user's events belong to training, validation and test."""

import pytest

from hstu_preserve.data.split import (
    Part,
    bound_training,
    count_held_out_events,
    find_eligible_users,
    find_evaluated_users,
)
from hstu_preserve.primitives.json_values import Json
from hstu_preserve.records.recipe import Protocol
from hstu_preserve.training.loop import select_training_events
from tests.data.strategies import make_store
from tests.factories import make_recipe


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


@pytest.mark.parametrize(
    ("changes", "trained", "evaluated"),
    [
        ({}, [0, 2, 0, 1], {Part.VALIDATION: [1, 3], Part.TEST: [1, 2, 3]}),
        ({"short_histories": "train"}, [1, 2, 2, 1], {Part.VALIDATION: [1, 3], Part.TEST: [1, 3]}),
    ],
)
def test_users_too_short_for_both_parts_are_trained_on_whole_if_the_recipe_says_so(
    changes: dict[str, Json], trained: list[int], evaluated: dict[Part, list[int]]
) -> None:
    lengths = {1: 1, 2: 4, 3: 2, 4: 3}
    store = make_store([(user, 1, 1, time) for user, length in lengths.items() for time in range(length)])
    dataset: dict[str, Json] = {"protocol": "validated", **changes}
    recipe = make_recipe(dataset=dataset)
    assert (bound_training(store, recipe.dataset) - store.starts).tolist() == trained
    # A ratio just below 1 takes the other path, and drops nothing of so few events.
    almost = make_recipe(dataset={**dataset, "positional_sampling_ratio": 1 - 1e-9})
    assert select_training_events(store, recipe).lengths.tolist() == trained
    assert select_training_events(store, almost).lengths.tolist() == trained
    for part, users in evaluated.items():
        assert find_evaluated_users(store, recipe.dataset, part=part).tolist() == users
