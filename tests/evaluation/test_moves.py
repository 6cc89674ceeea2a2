"""How far ranks moved, beside the candidates that other arithmetic lets change places with the target."""

import math
from dataclasses import replace

import numpy as np
import pytest

from hstu_preserve.evaluation.moves import measure_moves
from hstu_preserve.evaluation.ranks import UserRanks


def make_ranks(ranks: list[int]) -> UserRanks:
    zeros = np.zeros(len(ranks), dtype=np.int64)
    return UserRanks(
        user_ids=np.arange(len(ranks)),
        target_ids=np.arange(len(ranks)) + 100,
        target_half_stars=np.full(len(ranks), 8),
        ranks=np.array(ranks, dtype=np.int64),
        ranks_topk=np.minimum(ranks, 2501),
        ties=zeros,
        near_ties=zeros,
    )


def test_a_user_moves_further_than_its_near_ties_by_one_place_more() -> None:
    found, recorded = make_ranks([1, 5, 9, 3000]), make_ranks([1, 3, 6, 9000])
    moves = measure_moves(found, recorded, within=np.array([0, 2, 2, 6000]))
    assert (moves.num_moved, moves.num_beyond, moves.largest_move) == (3, 1, 6000)


def test_a_clamped_rank_that_was_made_up_is_a_move_as_well() -> None:
    honest = make_ranks([5, 6])
    better = replace(honest, ranks_topk=np.array([1, 6]))
    moves = measure_moves(honest, better, within=np.array([3, 0]))
    assert (moves.num_moved, moves.num_beyond) == (0, 1)


@pytest.mark.parametrize("name", ["user_ids", "target_ids", "target_half_stars"])
def test_other_users_targets_or_ratings_are_not_compared(name: str) -> None:
    ranks = make_ranks([1, 2])
    other = replace(ranks, **{name: getattr(ranks, name) + 1})
    moves = measure_moves(ranks, other, within=np.array([0, 0]))
    assert (moves.same_users, moves.num_beyond, moves.effects) == (False, 0, {})


def test_an_effect_is_the_mean_of_the_users_differences_with_its_standard_error() -> None:
    moves = measure_moves(make_ranks([1, 1, 20, 1]), make_ranks([1, 20, 20, 1]), within=np.zeros(4, dtype=np.int64))
    effect = moves.effects["hr@10"]
    assert (effect.difference, effect.num_users) == (0.25, 4)
    assert effect.standard_error == pytest.approx(math.sqrt(0.1875) / 2)
    assert effect.error_by_chance == pytest.approx(0.25)
    assert moves.effects["hr@1000"].difference == 0.0
