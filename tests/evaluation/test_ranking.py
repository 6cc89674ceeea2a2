"""Both evaluators against a loop over candidates, on scores full of ties."""

from dataclasses import dataclass

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from hstu_preserve.evaluation.ranking import MAX_K, MISS, CandidateIndex, rank_batch
from hstu_preserve.evaluation.ranks import BatchRanks

MAX_ITEM_ID = 12
NEAR, FAR = 5e-7, 2e-6
SCORES = (0.0, NEAR, FAR, 0.5, -0.5)
"""Few values, so that exact ties, near-ties and what is just beyond them abound."""


@dataclass(frozen=True, kw_only=True)
class Case:
    """Users' scores of all candidates, what each has seen, and their targets."""

    candidates: list[int]
    scores: list[list[float]]
    seen: list[list[int]]
    targets: list[int]


@st.composite
def cases(draw: st.DrawFn) -> Case:
    candidates = sorted(draw(st.sets(st.integers(1, MAX_ITEM_ID), min_size=1)))
    users, width = draw(st.integers(1, 4)), draw(st.integers(1, 6))

    def rows(values: st.SearchStrategy[int], size: int) -> st.SearchStrategy[list[list[int]]]:
        return st.lists(st.lists(values, min_size=size, max_size=size), min_size=users, max_size=users)

    places = draw(rows(st.integers(0, len(SCORES) - 1), len(candidates)))
    return Case(
        candidates=candidates,
        scores=[[SCORES[place] for place in row] for row in places],
        seen=draw(rows(st.integers(0, MAX_ITEM_ID), width)),
        targets=draw(st.lists(st.integers(1, MAX_ITEM_ID + 5), min_size=users, max_size=users)),
    )


def rank(case: Case, *, score_chunk: int | None = None) -> BatchRanks:
    """Rank with embeddings whose dot products are exactly the scores."""
    score_BI = torch.tensor(case.scores)
    return rank_batch(
        torch.eye(len(score_BI)),
        index=CandidateIndex(
            torch.tensor(case.candidates), score_BI.t(), max_item_id=max(MAX_ITEM_ID, *case.candidates)
        ),
        seen_BS=torch.tensor(case.seen),
        target_B=torch.tensor(case.targets),
        score_chunk=score_chunk,
    )


def make_case(scores: list[float], *, seen: list[int], target: int, candidates: list[int] | None = None) -> Case:
    """Return the case of one user."""
    return Case(candidates=candidates or [*range(1, len(scores) + 1)], scores=[scores], seen=[seen], targets=[target])


def score_float32(value: float) -> float:
    return torch.tensor(value).item()


@given(cases())
def test_ranks_and_ties_are_those_of_counting_one_by_one(case: Case) -> None:
    found = rank(case)
    for user, (target, seen) in enumerate(zip(case.targets, case.seen, strict=True)):
        score_of = {
            item: score_float32(score)
            for item, score in zip(case.candidates, case.scores[user], strict=True)
            if item not in seen
        }
        results = [int(ranks[user]) for ranks in (found.rank, found.rank_topk, found.ties, found.near_ties)]
        if target not in score_of:
            assert results == [0, MISS, 0, 0]
            continue
        own = score_of.pop(target)
        higher, ties = sum(score > own for score in score_of.values()), list(score_of.values()).count(own)
        assert found.rank[user] == 1 + higher
        assert found.ties[user] == ties
        assert found.near_ties[user] == sum(abs(score - own) <= 1e-6 for score in score_of.values())
        assert found.rank[user] <= found.rank_topk[user] <= found.rank[user] + ties


@given(cases(), st.integers(1, 5))
def test_scoring_in_chunks_changes_nothing(case: Case, chunk: int) -> None:
    whole, chunked = rank(case), rank(case, score_chunk=chunk)
    assert torch.equal(whole.rank, chunked.rank)
    assert torch.equal(whole.ties, chunked.ties)
    assert torch.equal(whole.near_ties, chunked.near_ties)


def test_chunks_of_real_scores_move_nobody_without_a_near_tie() -> None:
    generator = torch.Generator().manual_seed(0)
    index = CandidateIndex(torch.arange(1, 501), torch.randn(500, 16, generator=generator), max_item_id=500)
    user_BD = torch.randn(64, 16, generator=generator)
    target_B = torch.randint(1, 501, (64,), generator=generator)
    whole, chunked = (
        rank_batch(user_BD, index=index, seen_BS=torch.zeros(64, 1, dtype=torch.long), target_B=target_B, score_chunk=n)
        for n in (None, 7)
    )
    apart = (whole.near_ties == 0) & (chunked.near_ties == 0)
    assert apart.sum() > 50
    assert torch.equal(whole.rank[apart], chunked.rank[apart])
    assert torch.equal(whole.rank_topk[apart], chunked.rank_topk[apart])


@pytest.mark.parametrize("target", [2, 13, 10**9])
def test_a_target_that_is_seen_or_unknown_is_a_miss(target: int) -> None:
    found = rank(make_case([1.0, 0.5], seen=[2, 0], target=target))
    assert (found.rank.item(), found.rank_topk.item(), found.ties.item(), found.near_ties.item()) == (0, MISS, 0, 0)


def test_a_catalogue_of_which_all_but_the_target_is_seen_ranks_it_first() -> None:
    found = rank(make_case([1.0, 0.5, 0.0], seen=[1, 2], target=3))
    assert (found.rank.item(), found.rank_topk.item()) == (1, 1)


def test_seen_items_outside_the_catalogue_filter_nothing() -> None:
    found = rank(make_case([1.0, 0.5], candidates=[3, 7], seen=[0, 1, 12], target=7))
    assert found.rank.item() == found.rank_topk.item() == 2


@pytest.mark.parametrize(
    ("other", "ties", "near_ties"), [(0.0, 1, 1), (NEAR, 0, 1), (-NEAR, 0, 1), (1e-6, 0, 1), (FAR, 0, 0), (-FAR, 0, 0)]
)
def test_a_near_tie_is_another_unseen_candidate_within_a_millionth(other: float, ties: int, near_ties: int) -> None:
    found = rank(make_case([0.0, other, 0.0], seen=[3], target=1))
    assert (found.ties.item(), found.near_ties.item()) == (ties, near_ties)


@pytest.mark.parametrize(
    ("other", "norm", "within"),
    [(0.0, 1.0, 1), (0.009, 1.0, 1), (-0.009, 1.0, 1), (0.011, 1.0, 0), (0.011, 2.0, 1), (float("nan"), 1.0, 0)],
)
def test_candidates_near_the_target_are_counted_by_the_scale_of_the_scores(
    other: float, norm: float, within: int
) -> None:
    """Three candidates: the target, another one, and one that was seen; with embeddings of norm `norm`."""
    table_ID = torch.tensor([[0.0, norm], [other, (norm**2 - other**2) ** 0.5], [0.0, norm]])
    found = rank_batch(
        torch.tensor([[1.0, 0.0]]),
        index=CandidateIndex(torch.tensor([1, 2, 3]), table_ID, max_item_id=3),
        seen_BS=torch.tensor([[3]]),
        target_B=torch.tensor([1]),
        score_chunk=None,
        tolerance=0.01,
    )
    assert found.within is not None
    assert found.within.tolist() == [within]


def test_one_huge_embedding_makes_no_other_candidate_near() -> None:
    found = rank_batch(
        torch.tensor([[1.0, 0.0]]),
        index=CandidateIndex(
            torch.tensor([1, 2, 3]), torch.tensor([[0.5, 0.8], [0.6, 0.8], [0.0, 1e9]]), max_item_id=3
        ),
        seen_BS=torch.tensor([[0]]),
        target_B=torch.tensor([1]),
        score_chunk=None,
        tolerance=1e-3,
    )
    assert found.within is not None
    assert found.within.tolist() == [0]


def test_nothing_is_near_a_target_that_is_not_ranked() -> None:
    found = rank_batch(
        torch.ones(2, 1),
        index=CandidateIndex(torch.tensor([1, 2]), torch.zeros(2, 1), max_item_id=9),
        seen_BS=torch.tensor([[1], [0]]),
        target_B=torch.tensor([1, 9]),
        score_chunk=None,
        tolerance=1.0,
    )
    assert found.within is not None
    assert found.within.tolist() == [0, 0]


def test_near_candidates_are_counted_only_if_somebody_asks() -> None:
    assert rank(make_case([0.0, NEAR], seen=[0], target=1)).within is None


@pytest.mark.parametrize(("num_better", "num_seen"), [(2499, 0), (2500, 0), (2549, 50), (2550, 50), (2600, 0)])
def test_only_the_top_k_evaluator_clamps_and_only_beyond_2500_unseen(num_better: int, num_seen: int) -> None:
    score_I = -torch.arange(2700.0)
    found = rank_batch(
        torch.ones(1, 1),
        index=CandidateIndex(torch.arange(1, 2701), score_I[:, None], max_item_id=2700),
        seen_BS=torch.arange(1, max(2, num_seen + 1))[None, :] * (num_seen > 0),
        target_B=torch.tensor([num_better + 1]),
        score_chunk=None,
    )
    exact = num_better - num_seen + 1
    assert found.rank.item() == exact
    assert found.rank_topk.item() == (exact if exact <= MAX_K else MISS)


@given(st.integers(0, 2**32 - 1), st.integers(1, 40), st.integers(1, 4), st.integers(0, 30))
def test_the_recommended_are_the_ten_unseen_of_the_highest_scores_of_each_user(
    seed: int, num_candidates: int, num_users: int, num_seen: int
) -> None:
    generator = torch.Generator().manual_seed(seed)
    scores = torch.stack([torch.randperm(num_candidates, generator=generator) for _ in range(num_users)]).float()
    seen_BS = torch.randint(0, num_candidates + 3, (num_users, num_seen), generator=generator)
    found = rank_batch(
        torch.eye(num_users),
        index=CandidateIndex(torch.arange(1, num_candidates + 1), scores.t(), max_item_id=num_candidates),
        seen_BS=seen_BS,
        target_B=torch.ones(num_users, dtype=torch.int64),
        score_chunk=None,
    )
    expected: set[int] = set()
    for score, seen in zip(scores.tolist(), seen_BS.tolist(), strict=True):
        unseen = [column for column in range(num_candidates) if column + 1 not in seen]
        expected |= set(sorted(unseen, key=lambda column: -score[column])[:10])
    assert set(found.is_recommended.nonzero().flatten().tolist()) == expected


@given(st.integers(0, 2**32 - 1))
def test_of_equal_scores_no_more_than_ten_are_recommended_to_one_user(seed: int) -> None:
    score_I = torch.randint(0, 3, (40,), generator=torch.Generator().manual_seed(seed)).float()
    found = rank(make_case(score_I.tolist(), seen=[1, 2, 3], target=1))
    recommended = score_I[found.is_recommended]
    passed_over = score_I[3:][~found.is_recommended[3:]]
    assert len(recommended) == 10
    assert not found.is_recommended[:3].any()
    assert recommended.min() >= passed_over.max()


NAN, INFINITY = float("nan"), float("inf")


@pytest.mark.parametrize(
    ("scores", "rank_of_first"),
    [
        ([NAN, 0.0, 1.0], 0),
        ([NAN, NAN, NAN], 0),
        ([1.0, NAN, 0.0], 2),
        ([INFINITY, 1.0, INFINITY], 1),
        ([0.0, INFINITY, -INFINITY], 2),
    ],
)
def test_a_diverged_model_earns_no_rank_and_both_evaluators_say_so(scores: list[float], rank_of_first: int) -> None:
    def multiply_nothing(values: list[float]) -> Tensor:
        return torch.tensor(values)[:, None]  # one user of width 1, so that no 0 · inf arises

    found = rank_batch(
        torch.ones(1, 1),
        index=CandidateIndex(torch.tensor([1, 2, 3]), multiply_nothing(scores), max_item_id=3),
        seen_BS=torch.zeros(1, 1, dtype=torch.long),
        target_B=torch.tensor([1]),
        score_chunk=None,
    )
    assert found.rank.item() == rank_of_first
    assert found.ties.item() >= 0
    assert found.near_ties.item() >= found.ties.item()
    if rank_of_first == 0:
        assert found.rank_topk.item() == MISS
    else:
        assert rank_of_first <= found.rank_topk.item() <= rank_of_first + found.ties.item()


def test_no_users_are_no_ranks() -> None:
    found = rank_batch(
        torch.zeros(0, 2),
        index=CandidateIndex(torch.tensor([1, 2]), torch.zeros(2, 2), max_item_id=2),
        seen_BS=torch.zeros(0, 3, dtype=torch.long),
        target_B=torch.zeros(0, dtype=torch.long),
        score_chunk=None,
    )
    assert found.rank.shape == found.rank_topk.shape == (0,)
    assert found.is_recommended.tolist() == [False, False]
