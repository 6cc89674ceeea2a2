"""Shapes are compared, and memory is counted, before any is taken."""

import tracemalloc

import pytest
import torch

from hstu_preserve.compute.memory import require_memory, sufficient_memory
from hstu_preserve.errors import CheckpointError, UnavailableError
from hstu_preserve.model.items import items_of_shape
from hstu_preserve.model.recommender import Recommender, measure_bytes, sketch
from hstu_preserve.model.upstream_weights import build_for_weights
from hstu_preserve.primitives.json_values import Json
from hstu_preserve.records.recipe import Recipe
from tests.model.tiny_models import KINDS, make_lively_model, make_model_recipe

ITEMS = items_of_shape(max_item_id=40, num_genres=4)
COMPONENTS: dict[str, dict[str, dict[str, Json]]] = {
    "plain": {},
    "popularity": {"pop_debias": {"mode": "logit_adjust", "alpha": 0.1}},
}
HUGE: dict[str, dict[str, dict[str, Json]]] = {
    "width": {"model": {"item_embedding_dim": 10**9}},
    "heads": {"model": {"num_heads": 10**8, "item_embedding_dim": 10**8}},
    "length": {"dataset": {"max_sequence_length": 10**10}},
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("changes", COMPONENTS.values(), ids=COMPONENTS.keys())
def test_a_sketch_has_the_names_shapes_and_size_of_the_model(kind: str, changes: dict[str, dict[str, Json]]) -> None:
    recipe = make_model_recipe(kind, **changes)
    model, drawn = Recommender(recipe, ITEMS), sketch(recipe, ITEMS)
    assert {name: value.shape for name, value in drawn.state_dict().items()} == {
        name: value.shape for name, value in model.state_dict().items()
    }
    assert measure_bytes(recipe, ITEMS) == sum(value.nbytes for value in (*model.parameters(), *model.buffers()))
    assert {value.device.type for value in drawn.state_dict().values()} == {"meta"}


def make_huge(kind: str, changes: dict[str, dict[str, Json]]) -> Recipe:
    return make_model_recipe(kind, **changes)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("changes", HUGE.values(), ids=HUGE.keys())
def test_weights_are_compared_with_a_huge_recipe_in_little_memory(
    kind: str, changes: dict[str, dict[str, Json]]
) -> None:
    state = make_lively_model(make_model_recipe(kind)).state_dict()
    tracemalloc.start()
    with pytest.raises(CheckpointError, match="shapes differ from the recipe's model"):
        build_for_weights(make_huge(kind, changes), state, source="test")
    assert tracemalloc.get_traced_memory()[1] < 20 * 2**20
    tracemalloc.stop()


@pytest.mark.parametrize("changes", HUGE.values(), ids=HUGE.keys())
def test_a_model_larger_than_the_machine_is_refused_with_its_size(changes: dict[str, dict[str, Json]]) -> None:
    recipe = make_huge("HSTU", changes)
    with pytest.raises(UnavailableError, match="not enough memory on this machine"), sufficient_memory():
        require_memory(measure_bytes(recipe, ITEMS))


def test_the_size_that_was_asked_for_is_told() -> None:
    with pytest.raises(UnavailableError, match=r"asked for 1048576\.0 GiB"), sufficient_memory():
        require_memory(2**50)


def test_a_note_on_the_error_is_told() -> None:
    error = MemoryError("x")
    error.add_note("the table has many rows")
    with pytest.raises(UnavailableError, match=r"largest item id; the table has many rows$"), sufficient_memory():
        raise error


def test_an_ordinary_model_fits() -> None:
    require_memory(measure_bytes(make_model_recipe("HSTU"), ITEMS))
    assert torch.zeros(1).device.type == "cpu"
