"""Gradients are bitwise repeatable on several threads without torch's deterministic mode."""

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from hstu_preserve.model.jagged import JaggedOperators, load_operators
from hstu_preserve.model.recommender import Recommender
from hstu_preserve.primitives.json_values import Json
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


COMPONENTS: dict[str, dict[str, dict[str, Json]]] = {
    "film": {"prism": {"variant": "film"}},
    "moe": {"prism": {"variant": "moe", "load_balance_weight": 0.1}},
    "learned compression": {"input_compression": {"pooling": "learned", "recent_len": 16, "ratio": 4, "num_tokens": 8}},
    "chunks": {"input_compression": {"pooling": "chunk", "recent_len": 16, "ratio": 4, "num_tokens": 8}},
    "time decay": {"time_decay": {"where": "attention", "mode": "exp_power", "learnable": True}},
    "ips": {"pop_debias": {"mode": "ips"}},
    "logit adjustment": {"pop_debias": {"mode": "logit_adjust"}},
}


@pytest.mark.usefixtures("several_threads")
@pytest.mark.parametrize("component", COMPONENTS)
def test_every_gradient_of_a_component_is_the_same_the_second_time(component: str) -> None:
    recipe = make_model_recipe(
        "HSTU",
        dataset={"max_sequence_length": 48},
        model={"item_embedding_dim": 32},
        loss={"num_negatives": 32},
        **COMPONENTS[component],
    )
    require_repeatable(make_model(recipe, operators=load_operators(), max_item_id=MANY_ITEMS))


@pytest.mark.usefixtures("several_threads")
@pytest.mark.parametrize("operators", OPERATORS)
@pytest.mark.parametrize("kind", KINDS)
def test_every_gradient_is_the_same_the_second_time(kind: str, operators: JaggedOperators) -> None:
    assert not torch.are_deterministic_algorithms_enabled()
    recipe = make_model_recipe(
        kind, dataset={"max_sequence_length": 48}, model={"item_embedding_dim": 32}, loss={"num_negatives": 32}
    )
    require_repeatable(make_model(recipe, operators=operators, max_item_id=MANY_ITEMS))


def require_repeatable(model: Recommender) -> None:
    first = differentiate(model)
    for _ in range(2):
        for (name, _), one, other in zip(model.named_parameters(), first, differentiate(model), strict=True):
            assert torch.equal(one, other), name
