"""Users are grouped by their history and by how popular their target was in training; moves of ranks are counted."""

from dataclasses import replace

import numpy as np
import pytest

from hstu_preserve.data.store import Store
from hstu_preserve.evaluation.ranks import UserRanks
from hstu_preserve.pages.users import count_moves, find_half_width, find_traits, group_means
from hstu_preserve.records.recipe import Protocol
from hstu_preserve.synthetic.stores import write_synthetic_store


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    output = tmp_path_factory.mktemp("users") / "store"
    return write_synthetic_store(output, seed=3, num_users=30, num_items=20, num_ratings=300)


def rank(store: Store, ranks: np.ndarray) -> UserRanks:
    last = store.offsets[1:] - 1
    zeros = np.zeros(len(last), dtype=np.int64)
    return UserRanks(
        user_ids=store.user_ids.astype(np.int64),
        target_ids=store.item_ids[last].astype(np.int64),
        target_half_stars=store.half_stars[last].astype(np.int64),
        ranks=ranks,
        ranks_topk=ranks,
        ties=zeros,
        near_ties=zeros,
    )


def test_traits_count_the_history_and_the_ratings_of_the_target_in_training(store: Store) -> None:
    users = rank(store, np.ones(30, dtype=np.int64))
    traits = find_traits(store, users, protocol=Protocol.UPSTREAM)
    assert traits is not None
    assert np.array_equal(traits.history, store.lengths - 1)
    in_training = np.ones(store.num_events, dtype=bool)
    in_training[store.offsets[1:] - 1] = False
    for target, popularity in zip(users.target_ids, traits.popularity, strict=True):
        assert popularity == (store.item_ids[in_training] == target).sum()


def test_ranks_of_other_targets_have_no_traits(store: Store) -> None:
    users = rank(store, np.ones(30, dtype=np.int64))
    other = replace(users, target_ids=users.target_ids[::-1].copy() + 1)
    assert find_traits(store, other, protocol=Protocol.UPSTREAM) is None


def test_groups_hold_each_user_once_and_average_ndcg(store: Store) -> None:
    ranks = np.tile([1, 3, 11], 10).astype(np.int64)
    groups = group_means(rank(store, ranks), np.arange(30))
    assert sum(group.num_users for group in groups) == 30
    assert [group.label for group in groups] == ["0–5", "6–11", "12–17", "18–23", "24–29"]
    assert groups[0].value == pytest.approx((1 + 0.5 + 0) / 3)


def test_one_value_of_a_trait_is_one_group(store: Store) -> None:
    (group,) = group_means(rank(store, np.ones(30, dtype=np.int64)), np.full(30, 7))
    assert (group.label, group.value, group.half_width) == ("7", 1.0, 0.0)
    assert find_half_width(np.ones(1)) is None


def test_moves_are_counted_by_size_and_side(store: Store) -> None:
    before = rank(store, np.full(30, 200, dtype=np.int64))
    moved = np.full(30, 200, dtype=np.int64)
    moved[:5] = (199, 201, 190, 1, 0)
    moves = count_moves(rank(store, moved), before)
    assert moves is not None
    assert {name: number for name, number in moves.counts.items() if number} == {
        "101 or more higher": 1,
        "2 to 10 higher": 1,
        "1 higher": 1,
        "1 lower": 1,
    }
    assert (moves.num_users, moves.num_unmoved, moves.num_unranked) == (30, 25, 1)
    assert count_moves(replace(before, user_ids=before.user_ids + 1), before) is None
