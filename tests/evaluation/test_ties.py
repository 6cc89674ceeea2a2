"""Models that score several items alike: where a tied target stands, and what it may be worth."""

from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from hstu_preserve.evaluation.metrics import bound_by_ties, compute_metrics, exact_reciprocal_rank
from hstu_preserve.evaluation.one_evaluation import count_comparable, evaluators_agree
from hstu_preserve.evaluation.ranking import CandidateIndex, rank_batch
from hstu_preserve.evaluation.ranks import UserRanks

NUM_ITEMS = 40
EVERYBODY = np.array([True])


def rank_all(embedding_ID: torch.Tensor, *, user_BD: torch.Tensor) -> UserRanks:
    """Return the ranks of the first items, one as the target of each user, among all that these vectors are of."""
    index = CandidateIndex(torch.arange(1, len(embedding_ID) + 1), embedding_ID, max_item_id=len(embedding_ID))
    target_B = torch.arange(1, len(user_BD) + 1) % len(embedding_ID) + 1
    seen_BS = torch.zeros(len(user_BD), 1, dtype=torch.int64)
    found = rank_batch(user_BD, index=index, seen_BS=seen_BS, target_B=target_B, score_chunk=None)
    return UserRanks(
        user_ids=np.arange(len(user_BD)),
        target_ids=target_B.numpy(),
        target_half_stars=np.full(len(user_BD), 10),
        ranks=found.rank.numpy(),
        ranks_topk=found.rank_topk.numpy(),
        ties=found.ties.numpy(),
        near_ties=found.near_ties.numpy(),
    )


def draw(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


COLLAPSED = {
    "all weights zero": (torch.zeros(NUM_ITEMS, 4), torch.zeros(20, 4)),
    "users without direction": (draw(NUM_ITEMS, 4), torch.zeros(20, 4)),
    "one vector for all items": (draw(1, 4).expand(NUM_ITEMS, 4), draw(20, 4, seed=1)),
}


@pytest.mark.parametrize(("embedding_ID", "user_BD"), COLLAPSED.values(), ids=COLLAPSED.keys())
def test_a_model_that_scores_all_items_alike_is_worth_what_chance_is(
    embedding_ID: torch.Tensor, user_BD: torch.Tensor
) -> None:
    users = rank_all(embedding_ID, user_BD=user_BD)
    chance = float(sum(Fraction(1, place) for place in range(1, NUM_ITEMS + 1)) / NUM_ITEMS)
    assert exact_reciprocal_rank(users) == pytest.approx(chance, rel=1e-12)
    bounds = bound_by_ties(users)
    assert bounds is not None
    assert bounds["exact_mrr"].ties_for == 1.0
    assert bounds["exact_mrr"].ties_against == pytest.approx(1 / NUM_ITEMS)
    assert (bounds["ndcg@10"].ties_for, bounds["ndcg@10"].ties_against) == (1.0, 0.0)
    assert (evaluators_agree(users), count_comparable(users, is_checked=EVERYBODY)) == (
        True,
        0,
    )


def test_rounded_scores_tie_some_users_and_leave_the_others_comparable() -> None:
    embedding_ID, user_BD = draw(NUM_ITEMS, 4).sign(), draw(200, 4, seed=1)
    users = rank_all(torch.cat([embedding_ID, draw(NUM_ITEMS, 4, seed=2)]), user_BD=user_BD)
    num_tied = int((users.ties > 0).sum())
    assert 0 < num_tied < 200
    assert count_comparable(users, is_checked=EVERYBODY) == 200 - num_tied
    assert evaluators_agree(users)


def test_a_metric_over_users_without_ties_has_one_value() -> None:
    users = rank_all(draw(NUM_ITEMS, 8), user_BD=draw(30, 8, seed=1))
    assert not users.ties.any()
    assert bound_by_ties(users) is None
    assert exact_reciprocal_rank(users) == float(np.mean(1.0 / users.ranks))


@given(st.lists(st.lists(st.integers(-1, 1), min_size=2, max_size=2), min_size=2, max_size=12), st.integers(0, 2**32))
def test_every_metric_lies_between_its_bounds(vectors: list[list[int]], seed: int) -> None:
    users = rank_all(torch.tensor(vectors, dtype=torch.float32), user_BD=draw(6, 2, seed=seed).sign())
    bounds = bound_by_ties(users)
    if bounds is None:
        return
    found = {**compute_metrics(users), "exact_mrr": exact_reciprocal_rank(users)}
    assert set(bounds) == set(found)
    for name, value in found.items():
        lowest, highest = bounds[name].ties_against, bounds[name].ties_for
        assert value is not None
        assert lowest is not None
        assert highest is not None
        assert lowest - 1e-12 <= value <= highest + 1e-12


@given(st.integers(1, 3000), st.integers(0, 60))
def test_a_tied_target_counts_the_mean_over_its_places(first: int, ties: int) -> None:
    one = {name: np.array([value]) for name, value in (("ranks", first), ("ties", ties))}
    rest = dict.fromkeys(("user_ids", "target_ids", "target_half_stars", "ranks_topk", "near_ties"), np.array([1]))
    places = [Fraction(1, place) for place in range(first, first + ties + 1)]
    assert exact_reciprocal_rank(UserRanks(**one, **rest)) == pytest.approx(float(sum(places) / len(places)), rel=1e-9)
