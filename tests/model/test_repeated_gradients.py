"""Gradients are bitwise repeatable on several threads without torch's deterministic mode."""

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from hstu_preserve.model.jagged import JaggedOperators
from hstu_preserve.model.recommender import Recommender
from tests.model.tiny_models import KINDS, OPERATORS, make_histories, make_model, make_model_recipe, mean_loss

# Large enough that torch splits every operator over its threads.
LENGTHS = [*range(1, 49)]
MANY_ITEMS = 300


@pytest.fixture(params=[2, 4])
def several_threads(request: pytest.FixtureRequest) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield
    torch.set_num_threads(before)


def differentiate(model: Recommender) -> list[Tensor]:
    histories = make_histories(LENGTHS, recipe=model.recipe, max_item_id=MANY_ITEMS)
    torch.manual_seed(3)
    loss = mean_loss(model.train(), histories)
    return list(torch.autograd.grad(loss, list(model.parameters())))


@pytest.mark.usefixtures("several_threads")
@pytest.mark.parametrize("operators", OPERATORS)
@pytest.mark.parametrize("kind", KINDS)
def test_every_gradient_is_the_same_the_second_time(kind: str, operators: JaggedOperators) -> None:
    assert not torch.are_deterministic_algorithms_enabled()
    recipe = make_model_recipe(
        kind, dataset={"max_sequence_length": 48}, model={"item_embedding_dim": 32}, loss={"num_negatives": 32}
    )
    model = make_model(recipe, operators=operators, max_item_id=MANY_ITEMS)
    first = differentiate(model)
    for _ in range(2):
        for (name, _), one, other in zip(model.named_parameters(), first, differentiate(model), strict=True):
            assert torch.equal(one, other), name
