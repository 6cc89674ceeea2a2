"""Negatives come from the right pool, with their probabilities, and from their generator alone."""

from collections import Counter

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Generator

from hstu_preserve.model.negatives import draw_in_batch, draw_local, draw_pool, draw_weighted
from hstu_preserve.model.objective import draw_negatives
from hstu_preserve.primitives.json_values import Json
from tests.model.tiny_models import make_histories, make_model, make_model_recipe

CANDIDATES = torch.tensor([3, 5, 8, 13, 21])


def seeded(seed: int) -> Generator:
    return Generator().manual_seed(seed)


def test_local_negatives_are_all_the_candidates_evenly() -> None:
    drawn = draw_local(CANDIDATES, positions=500, num_negatives=20, generator=seeded(1))
    assert drawn.shape == (500, 20)
    assert Counter(drawn.flatten().tolist()) == pytest.approx(dict.fromkeys(CANDIDATES.tolist(), 2000), rel=0.1)


def test_in_batch_negatives_are_the_distinct_items_of_the_batch_evenly() -> None:
    item_BN = torch.tensor([[4, 4, 4, 9, 0], [7, 0, 0, 0, 0]])
    drawn = draw_in_batch(item_BN, positions=300, num_negatives=20, generator=seeded(1))
    assert Counter(drawn.flatten().tolist()) == pytest.approx({4: 2000, 7: 2000, 9: 2000}, rel=0.1)


def test_weighted_negatives_come_with_their_probabilities() -> None:
    probability_I = torch.tensor([0.4, 0.05, 0.3, 0.0, 0.25], dtype=torch.float64)
    drawn = draw_weighted(CANDIDATES, probability_I=probability_I, positions=500, num_negatives=40, generator=seeded(1))
    assert drawn.shape == (500, 40)
    assert drawn.dtype == torch.int64
    expected = {3: 8000, 5: 1000, 8: 6000, 21: 5000}
    assert Counter(drawn.flatten().tolist()) == pytest.approx(expected, rel=0.1)


@given(st.integers(0, 2**32 - 1), st.lists(st.integers(0, 5), min_size=1, max_size=5).filter(any))
def test_a_candidate_without_probability_is_never_drawn(seed: int, weights: list[int]) -> None:
    weight_I = torch.tensor(weights, dtype=torch.float64)
    drawn = draw_weighted(
        CANDIDATES[: len(weights)],
        probability_I=weight_I / weight_I.sum(),
        positions=10,
        num_negatives=10,
        generator=seeded(seed),
    )
    assert set(drawn.flatten().tolist()) <= set(CANDIDATES[: len(weights)][weight_I > 0].tolist())


@given(st.integers(0, 2**32 - 1))
def test_a_weighted_draw_is_the_candidate_at_which_the_cumulative_sum_passes_the_uniform_number(seed: int) -> None:
    probability_I = torch.tensor([0.125, 0.25, 0.5, 0.0625, 0.0625], dtype=torch.float64)
    drawn = draw_weighted(CANDIDATES, probability_I=probability_I, positions=3, num_negatives=2, generator=seeded(seed))
    uniform = torch.rand(3, 2, generator=seeded(seed), dtype=torch.float64)
    sums = [0.125, 0.375, 0.875, 0.9375, 1.0]
    expected = [
        [next(i for i, s in zip(CANDIDATES.tolist(), sums, strict=True) if u < s) for u in row] for row in uniform
    ]
    assert drawn.tolist() == expected


@given(st.integers(0, 2**32 - 1), st.integers(1, 8))
def test_a_pool_is_distinct_candidates_in_ascending_order(seed: int, size: int) -> None:
    pool = draw_pool(CANDIDATES, size=size, generator=seeded(seed)).tolist()
    assert len(pool) == min(size, 5)
    assert pool == sorted(set(pool))
    assert set(pool) <= set(CANDIDATES.tolist())


def test_every_candidate_is_equally_likely_to_be_in_a_pool() -> None:
    generator = seeded(1)
    drawn = Counter(item for _ in range(2000) for item in draw_pool(CANDIDATES, size=2, generator=generator).tolist())
    assert drawn == pytest.approx(dict.fromkeys(CANDIDATES.tolist(), 800), rel=0.1)


def test_the_generator_alone_decides_pool_and_weighted_draw() -> None:
    candidate_I, uniform_I = torch.arange(1, 101), torch.full((100,), 0.01, dtype=torch.float64)

    def draw_both(seed: int) -> list[list[int]]:
        weighted = draw_weighted(
            candidate_I, probability_I=uniform_I, positions=4, num_negatives=4, generator=seeded(seed)
        )
        return [draw_pool(candidate_I, size=10, generator=seeded(seed)).tolist(), weighted.flatten().tolist()]

    torch.manual_seed(1)
    first = draw_both(1)
    torch.manual_seed(2)
    assert draw_both(1) == first
    assert all(one != other for one, other in zip(draw_both(2), first, strict=True))


@pytest.mark.parametrize("draws", [None, "philox4x32-10"])
@pytest.mark.parametrize("strategy", ["local", "in-batch"])
def test_the_generator_alone_decides_the_draw(strategy: str, draws: str | None) -> None:
    loss: dict[str, Json] = {"sampling_strategy": strategy, "negative_draws": draws}
    model = make_model(make_model_recipe("HSTU", loss=loss))
    histories = make_histories((8, 3), recipe=model.recipe)
    torch.manual_seed(1)
    first = draw_negatives(model, histories, generator=seeded(1))
    torch.manual_seed(2)
    again, other = (draw_negatives(model, histories, generator=seeded(seed)) for seed in (1, 2))
    assert first is not None
    assert again is not None
    assert other is not None
    assert torch.equal(again, first)
    assert not torch.equal(other, first)


@pytest.mark.parametrize("draws", [None, "philox4x32-10"])
@pytest.mark.parametrize("strategy", ["local", "in-batch"])
def test_every_supervised_position_has_its_negatives_from_the_strategys_pool(strategy: str, draws: str | None) -> None:
    loss: dict[str, Json] = {"sampling_strategy": strategy, "num_negatives": 64, "negative_draws": draws}
    model = make_model(make_model_recipe("HSTU", loss=loss))
    histories = make_histories((8, 3), recipe=model.recipe)
    drawn = draw_negatives(model, histories, generator=seeded(1))
    assert drawn is not None
    pool = model.candidate_I if strategy == "local" else histories.item_BN[histories.item_BN != 0]
    assert drawn.shape == (8 + 3, 64)
    assert set(drawn.flatten().tolist()) == set(pool.tolist())


def test_a_recipe_may_choose_another_generator() -> None:
    models = [
        make_model(make_model_recipe("HSTU", loss={"negative_draws": draws})) for draws in (None, "philox4x32-10")
    ]
    assert "negative_draws" not in models[0].recipe.loss.to_json().decode()  # as in every recipe from before it
    histories = make_histories((8, 3), recipe=models[0].recipe)
    drawn = [draw_negatives(model, histories, generator=seeded(1)) for model in models]
    assert drawn[0] is not None
    assert drawn[1] is not None
    assert not torch.equal(drawn[0], drawn[1])
