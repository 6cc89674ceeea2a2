"""Hard negatives: the pool's highest scores in the last places, never what the user has."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Generator, Tensor

from hstu_preserve.model import negatives
from hstu_preserve.model.losses import full_softmax, sampled_softmax
from hstu_preserve.model.negatives import draw_local, find_highest, select_hard

NUM_ITEMS = 30
LEVELS = 4
"""Few different scores, so that ties abound."""


def make_case(seed: int, *, num_negatives: int = 8) -> dict[str, Tensor]:
    """Return three users' seven positions; scores are small integers, exact in float32."""
    generator = Generator().manual_seed(seed)
    pool_size = int(torch.randint(1, NUM_ITEMS, (1,), generator=generator))
    return {
        "user_TD": torch.randint(0, 2, (7, 2), generator=generator).float(),
        "item_table": torch.randint(0, LEVELS, (NUM_ITEMS + 1, 2), generator=generator).float(),
        "pool_P": torch.randperm(NUM_ITEMS, generator=generator)[:pool_size].sort().values + 1,
        "positive_T": torch.randint(1, NUM_ITEMS + 1, (7,), generator=generator),
        "negative_TK": torch.randint(1, NUM_ITEMS + 1, (7, num_negatives), generator=generator),
        "row_T": torch.tensor([0, 0, 0, 1, 2, 2, 2]),
        "history_BL": torch.randint(0, NUM_ITEMS + 1, (3, 6), generator=generator),
    }


def rank_one_by_one(case: dict[str, Tensor], position: int, *, with_history: bool) -> list[int]:
    """Return the pool items that a position may get, by score and then by id."""
    score = (case["item_table"] @ case["user_TD"][position]).tolist()
    barred = {int(case["positive_T"][position])}
    if with_history:
        barred |= set(case["history_BL"][case["row_T"][position]].tolist())
    return sorted((item for item in case["pool_P"].tolist() if item not in barred), key=lambda i: (-score[i], i))


@given(st.integers(0, 2**32 - 1), st.sampled_from([0.25, 0.5, 1.0]), st.booleans())
def test_the_last_places_go_to_the_highest_scores_and_of_equal_ones_to_the_lower_id(
    seed: int, fraction: float, with_history: bool
) -> None:
    case = make_case(seed)
    if not with_history:
        found = select_hard(**(case | {"history_BL": None}), fraction=fraction)  # type: ignore[arg-type]
    else:
        found = select_hard(**case, fraction=fraction)
    wanted = round(fraction * 8)
    for position in range(7):
        easy = case["negative_TK"][position].tolist()
        hard = rank_one_by_one(case, position, with_history=with_history)[:wanted]
        first = 8 - wanted
        assert found[position].tolist() == easy[:first] + hard + easy[first + len(hard) :]


@given(st.integers(0, 2**32 - 1))
def test_neither_the_positive_nor_what_the_user_has_is_selected(seed: int) -> None:
    case = make_case(seed) | {"negative_TK": torch.zeros(7, 8, dtype=torch.int64)}
    found = select_hard(**case, fraction=1.0)
    for position in range(7):
        taken = set(found[position].tolist()) - {0}
        assert int(case["positive_T"][position]) not in taken
        assert not taken & set(case["history_BL"][case["row_T"][position]].tolist())


def test_what_another_user_has_may_be_selected() -> None:
    found = select_hard(
        torch.ones(2, 1),
        item_table=torch.tensor([[0.0], [3.0], [2.0], [1.0]]),
        pool_P=torch.tensor([1, 2]),
        positive_T=torch.tensor([3, 3]),
        negative_TK=torch.tensor([[3], [3]]),
        fraction=1.0,
        row_T=torch.tensor([0, 1]),
        history_BL=torch.tensor([[1, 3], [2, 3]]),
    )
    assert found.tolist() == [[2], [1]]


def test_a_pool_that_the_user_has_entirely_leaves_the_uniform_negatives() -> None:
    case = make_case(1)
    history_BL = torch.arange(1, NUM_ITEMS + 1).expand(3, -1)
    assert torch.equal(select_hard(**(case | {"history_BL": history_BL}), fraction=1.0), case["negative_TK"])


def test_a_share_of_less_than_half_a_negative_is_none() -> None:
    case = make_case(1)
    assert torch.equal(select_hard(**case, fraction=0.05), case["negative_TK"])


@given(st.integers(0, 2**32 - 1), st.integers(1, 9), st.integers(1, 12))
def test_the_highest_are_those_of_a_stable_sort(seed: int, count: int, num_scores: int) -> None:
    score_CP = torch.randint(0, 4, (5, count + num_scores), generator=Generator().manual_seed(seed)).float()
    score_CP[:, ::3] = -torch.inf
    expected = score_CP.sort(dim=1, descending=True, stable=True).indices[:, :count]
    assert torch.equal(find_highest(score_CP, count=count), expected)


def test_a_diverged_model_selects_something() -> None:
    found = find_highest(torch.tensor([[0.0, torch.nan, 1.0], [torch.nan] * 3]), count=2)
    assert all(len(set(row)) == 2 and set(row) <= {0, 1, 2} for row in found.tolist())


@pytest.mark.parametrize("positions_at_once", [1, 2, 7])
def test_scoring_in_chunks_selects_the_same(monkeypatch: pytest.MonkeyPatch, positions_at_once: int) -> None:
    case = make_case(3)
    whole = select_hard(**case, fraction=0.5)
    monkeypatch.setattr(negatives, "SCORES_AT_ONCE", positions_at_once * len(case["pool_P"]))
    assert torch.equal(select_hard(**case, fraction=0.5), whole)
    assert not torch.equal(whole, case["negative_TK"])


def test_selecting_is_no_step_of_the_gradient_and_changes_no_input() -> None:
    case = make_case(3)
    case["user_TD"].requires_grad_()
    case["item_table"].requires_grad_()
    before = {name: tensor.detach().clone() for name, tensor in case.items()}
    kept: list[Tensor] = []

    def note(saved: Tensor) -> Tensor:
        kept.append(saved)
        return saved

    with torch.autograd.graph.saved_tensors_hooks(note, lambda saved: saved):
        select_hard(**case, fraction=1.0)
    assert not kept
    assert all(torch.equal(case[name], before[name]) for name in case)


def test_no_random_number_is_used() -> None:
    before = torch.get_rng_state()
    select_hard(**make_case(3), fraction=1.0)
    assert torch.equal(torch.get_rng_state(), before)


def make_random_embeddings(seed: int) -> tuple[Tensor, Tensor]:
    generator = Generator().manual_seed(seed)
    return torch.randn(7, 4, generator=generator), torch.randn(NUM_ITEMS + 1, 4, generator=generator)


@given(st.integers(0, 2**32 - 1))
def test_a_wholly_hard_pool_of_as_many_items_as_negatives_is_the_full_softmax_over_it(seed: int) -> None:
    user_TD, item_table = make_random_embeddings(seed)
    pool_P, positive_T = torch.arange(11, 19), torch.tensor([19, 20, 21, 22, 23, 24, 25])
    hard = select_hard(
        user_TD,
        item_table=item_table,
        pool_P=pool_P,
        positive_T=positive_T,
        negative_TK=torch.full((7, 8), 1),
        fraction=1.0,
        row_T=torch.zeros(7, dtype=torch.int64),
        history_BL=None,
    )
    found = sampled_softmax(user_TD, item_table=item_table, positive_T=positive_T, negative_TK=hard, temperature=0.5)
    for position in range(7):
        candidate_I = torch.cat([pool_P, positive_T[position, None]])  # ascending: the positives are larger
        expected = full_softmax(
            user_TD[position, None],
            item_table=item_table,
            candidate_I=candidate_I,
            positive_T=positive_T[position, None],
            temperature=0.5,
            padding_row=False,
        )
        torch.testing.assert_close(found[position, None], expected, rtol=1e-5, atol=1e-5)


@given(st.integers(0, 2**32 - 1))
def test_wholly_hard_negatives_cost_at_least_as_much_as_as_many_distinct_easy_ones_of_the_pool(seed: int) -> None:
    user_TD, item_table = make_random_embeddings(seed)
    pool_P = torch.arange(1, 21)
    easy_TK = torch.stack([torch.randperm(20, generator=Generator().manual_seed(seed + t))[:6] + 1 for t in range(7)])
    positive_T = torch.arange(21, 28)
    hard_TK = select_hard(
        user_TD,
        item_table=item_table,
        pool_P=pool_P,
        positive_T=positive_T,
        negative_TK=easy_TK,
        fraction=1.0,
        row_T=torch.zeros(7, dtype=torch.int64),
        history_BL=None,
    )
    hard, easy = (
        sampled_softmax(user_TD, item_table=item_table, positive_T=positive_T, negative_TK=drawn, temperature=0.5)
        for drawn in (hard_TK, easy_TK)
    )
    assert (hard >= easy - 1e-5).all()
    assert (hard > easy + 1e-3).any()


def test_items_of_equal_score_are_taken_in_the_order_of_their_ids() -> None:
    drawn = draw_local(torch.tensor([50]), positions=2, num_negatives=4, generator=Generator().manual_seed(0))
    found = select_hard(
        torch.ones(2, 3),
        item_table=torch.ones(60, 3),
        pool_P=torch.arange(5, 45),
        positive_T=torch.tensor([6, 55]),
        negative_TK=drawn,
        fraction=0.75,
        row_T=torch.tensor([0, 1]),
        history_BL=torch.tensor([[5, 0], [0, 7]]),
    )
    assert found.tolist() == [[50, 7, 8, 9], [50, 5, 6, 8]]
