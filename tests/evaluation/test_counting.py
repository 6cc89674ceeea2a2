"""Ranks by counting, held against the reference path: the same to the bit for the same embeddings."""

from dataclasses import dataclass, fields, replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from hstu_preserve.evaluation.grouped import counting
from hstu_preserve.evaluation.grouped.counting import count_batch
from hstu_preserve.evaluation.ranking import CandidateIndex, list_top, rank_batch
from hstu_preserve.evaluation.ranks import BatchRanks

TOLERANCE = 0.3


@dataclass(frozen=True, kw_only=True)
class Case:
    """The arguments of both."""

    user_BD: Tensor
    index: CandidateIndex
    seen_BS: Tensor
    target_B: Tensor
    score_chunk: int | None = None

    def rank(self) -> BatchRanks:
        return rank_batch(
            self.user_BD,
            index=self.index,
            seen_BS=self.seen_BS,
            target_B=self.target_B,
            score_chunk=self.score_chunk,
            tolerance=TOLERANCE,
        )

    def count(self) -> BatchRanks:
        return count_batch(
            self.user_BD,
            index=self.index,
            seen_BS=self.seen_BS,
            target_B=self.target_B,
            score_chunk=self.score_chunk,
            tolerance=TOLERANCE,
        )


def require_equal(case: Case) -> BatchRanks:
    expected, found = case.rank(), case.count()
    for field in fields(BatchRanks):
        one, other = getattr(expected, field.name), getattr(found, field.name)
        assert one.dtype == other.dtype, field.name
        assert torch.equal(one, other), field.name
    return found


def make_case(
    seed: int,
    *,
    num_users: int,
    num_candidates: int,
    num_seen: int = 5,
    levels: int = 0,
    score_chunk: int | None = None,
) -> Case:
    """Return random users; with `levels`, coordinates of so few values that many scores are equal."""
    generator = torch.Generator().manual_seed(seed)

    def draw(rows: int) -> Tensor:
        if levels:
            return torch.randint(0, levels, (rows, 2), generator=generator) / 4.0
        return torch.randn(rows, 8, generator=generator)

    candidate_I = torch.randperm(num_candidates + 4, generator=generator)[:num_candidates] + 1
    return Case(
        user_BD=draw(num_users),
        index=CandidateIndex(candidate_I, draw(num_candidates), max_item_id=num_candidates + 4),
        seen_BS=torch.randint(0, num_candidates + 9, (num_users, num_seen), generator=generator),
        target_B=torch.randint(0, num_candidates + 9, (num_users,), generator=generator),
        score_chunk=score_chunk,
    )


@given(
    st.integers(0, 2**32 - 1),
    st.integers(1, 30),
    st.integers(1, 12),
    st.sampled_from([0, 1, 2, 3]),
    st.sampled_from([None, 1, 5]),
)
def test_counting_gives_every_value_of_the_reference_path(
    seed: int, num_candidates: int, num_users: int, levels: int, score_chunk: int | None
) -> None:
    require_equal(
        make_case(seed, num_users=num_users, num_candidates=num_candidates, levels=levels, score_chunk=score_chunk)
    )


@pytest.mark.parametrize("levels", [0, 6])
def test_the_clamp_at_2500_is_the_reference_paths(levels: int) -> None:
    found = require_equal(make_case(3, num_users=40, num_candidates=4000, num_seen=300, levels=levels))
    assert (found.rank_topk == 2501).any()
    assert (found.rank_topk < 2501).any()
    assert ((found.ties > 0).any()) == (levels > 0)


def test_tiles_of_one_user_and_of_all_give_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    case = make_case(4, num_users=9, num_candidates=50)
    for values in (1, 100, 2**20):
        monkeypatch.setattr(counting, "VALUES_PER_TILE", values)
        require_equal(case)


@pytest.mark.parametrize("value", [float("inf"), float("nan"), 1e25])
def test_scores_that_may_not_be_numbers_are_left_to_the_reference_path(value: float) -> None:
    case = make_case(5, num_users=6, num_candidates=30)
    case.user_BD[2] = 1e25
    case.index.embedding_DI[:, 7] = value
    require_equal(case)


def test_no_users_are_no_ranks() -> None:
    case = make_case(6, num_users=1, num_candidates=3)
    nobody = Case(user_BD=case.user_BD[:0], index=case.index, seen_BS=case.seen_BS[:0], target_B=case.target_B[:0])
    assert require_equal(nobody).rank.shape == (0,)


def test_the_list_is_made_only_for_users_with_equal_scores(monkeypatch: pytest.MonkeyPatch) -> None:
    listed: list[int] = []

    def watch(score_BI: Tensor, *, eligible_BI: Tensor, depth: int) -> object:
        listed.append(len(score_BI))
        return list_top(score_BI, eligible_BI=eligible_BI, depth=depth)

    monkeypatch.setattr(counting, "list_top", watch)
    make_case(7, num_users=50, num_candidates=200).count()
    assert listed == []
    case = make_case(8, num_users=2, num_candidates=20, num_seen=1)
    tied = Case(
        user_BD=torch.eye(2),
        index=CandidateIndex(
            torch.arange(1, 21), torch.stack([torch.arange(20.0), torch.arange(20.0).clamp(min=4)], 1), max_item_id=24
        ),
        seen_BS=torch.zeros_like(case.seen_BS),
        target_B=torch.tensor([2, 2]),
    )
    assert tied.count().ties.tolist() == [0, 4]
    assert listed == [1]


def test_the_list_of_a_tied_user_is_as_deep_as_that_of_the_whole_batch() -> None:
    """The order of equal scores depends on the depth, which depends on the user with the most seen items."""
    num_items = 4000
    generator = torch.Generator().manual_seed(1)
    levels_I = torch.randint(0, 3, (num_items,), generator=generator).float()
    table_ID = torch.stack([torch.randperm(num_items, generator=generator).float(), levels_I], dim=1)
    seen_BS = torch.zeros(2, 900, dtype=torch.int64)
    seen_BS[0] = torch.arange(1, 901)
    places = set()
    for target in range(1000, 1040):
        case = Case(
            user_BD=torch.eye(2),
            index=CandidateIndex(torch.arange(1, num_items + 1), table_ID, max_item_id=num_items),
            seen_BS=seen_BS,
            target_B=torch.tensor([target, target]),
        )
        alone = replace(case, user_BD=case.user_BD[1:], seen_BS=seen_BS[1:], target_B=case.target_B[1:])
        together = require_equal(case)
        assert together.ties[0] == 0
        places.add((together.rank_topk[1] == alone.rank().rank_topk[0]).item())
    assert False in places
