"""The floor of the scatter over seeds, from the ranks of two runs."""

from dataclasses import replace

import numpy as np
import pytest

from hstu_preserve.evaluation.ranks import UserRanks
from hstu_preserve.evaluation.user_scatter import find_floor


def make_ranks(seed: int, *, num_users: int = 400) -> UserRanks:
    draw = np.random.default_rng(seed)
    ranks = draw.integers(1, 40, num_users)
    users = np.arange(num_users, dtype=np.int64)
    return UserRanks(
        user_ids=users,
        target_ids=users + 1,
        target_half_stars=np.where(users % 2, 10, 4).astype(np.int64),
        ranks=ranks,
        ranks_topk=ranks,
        ties=np.zeros_like(users),
        near_ties=np.zeros_like(users),
    )


def test_the_floor_is_the_scatter_of_a_mean_over_independent_users() -> None:
    one, other = make_ranks(1), make_ranks(2)
    found = find_floor(one, [other], metric="hr@10")
    assert found is not None
    change = (one.ranks <= 10).astype(float) - (other.ranks <= 10)
    assert found.value == pytest.approx(change.std(ddof=1) / np.sqrt(2 * 400))
    assert found.num_users == 400
    means = [(make_ranks(seed).ranks <= 10).mean() for seed in range(2000)]
    assert found.value == pytest.approx(np.std(means), rel=0.1)


def test_several_pairs_are_pooled() -> None:
    one = make_ranks(1)
    pairs = [find_floor(one, [make_ranks(seed)], metric="mrr") for seed in (2, 3)]
    both = find_floor(one, [make_ranks(2), make_ranks(3)], metric="mrr")
    assert both is not None
    values = [pair.value for pair in pairs if pair is not None]
    assert both.value == pytest.approx(np.sqrt(np.mean(np.square(values))))


def test_a_metric_of_some_users_has_their_floor() -> None:
    found = find_floor(make_ranks(1), [make_ranks(2)], metric="hr@10_>=4")
    assert found is not None
    assert found.num_users == 200


def test_runs_of_other_users_or_targets_say_nothing() -> None:
    one = make_ranks(1)
    assert find_floor(one, [], metric="hr@10") is None
    assert find_floor(one, [replace(make_ranks(2), target_ids=one.target_ids + 1)], metric="hr@10") is None
    assert find_floor(one, [make_ranks(2, num_users=9)], metric="hr@10") is None
