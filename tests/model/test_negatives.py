"""Negatives come from the right pool, evenly, and from their generator alone."""

from collections import Counter

import pytest
import torch
from torch import Generator

from hstu_preserve.model.negatives import draw_in_batch, draw_local
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


@pytest.mark.parametrize("strategy", ["local", "in-batch"])
def test_the_generator_alone_decides_the_draw(strategy: str) -> None:
    model = make_model(make_model_recipe("HSTU", loss={"sampling_strategy": strategy}))
    histories = make_histories((8, 3), recipe=model.recipe)
    torch.manual_seed(1)
    first = model.draw_negatives(histories, CANDIDATES, seeded(1))
    torch.manual_seed(2)
    assert torch.equal(model.draw_negatives(histories, CANDIDATES, seeded(1)), first)
    assert not torch.equal(model.draw_negatives(histories, CANDIDATES, seeded(2)), first)


@pytest.mark.parametrize("strategy", ["local", "in-batch"])
def test_every_supervised_position_has_its_negatives_from_the_strategys_pool(strategy: str) -> None:
    model = make_model(make_model_recipe("HSTU", loss={"sampling_strategy": strategy, "num_negatives": 64}))
    histories = make_histories((8, 3), recipe=model.recipe)
    drawn = model.draw_negatives(histories, CANDIDATES, seeded(1))
    pool = CANDIDATES if strategy == "local" else histories.item_BN[histories.item_BN != 0]
    assert drawn.shape == (8 + 3, 64)
    assert set(drawn.flatten().tolist()) == set(pool.tolist())
