"""Popularity debiasing in a model: nothing where it is neutral, in training alone where it is not."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from hstu_preserve.model.items import Items
from hstu_preserve.model.jagged import PLAIN_OPERATORS
from hstu_preserve.model.objective import draw_negatives
from hstu_preserve.model.recommender import Recommender
from hstu_preserve.primitives.json_values import Json
from tests.model.tiny_losses import training_loss
from tests.model.tiny_models import (
    KINDS,
    draw_for,
    make_histories,
    make_items,
    make_lively_model,
    make_model_recipe,
)

UNIFORM = replace(make_items(), count_J=torch.full((41,), 12))
MODES: list[dict[str, Json]] = [
    {"mode": "logit_adjust"},
    {"mode": "ips"},
    {"mode": "pop_sampler", "mix": 0.0},
]
NEUTRAL: list[dict[str, Json]] = [
    {"mode": "logit_adjust", "alpha": 0.0},
    {"mode": "ips", "alpha": 0.0},
    {"mode": "pop_sampler", "mix": 0.0},
]
MODE_IDS = ["logit_adjust", "ips", "pop_sampler"]


def make_debiased(kind: str, settings: dict[str, Json], *, items: Items) -> Recommender:
    """Return a debiased model with the weights of the one without."""
    model = Recommender(make_model_recipe(kind, pop_debias=settings), items, operators=PLAIN_OPERATORS)
    model.load_state_dict(make_lively_model(make_model_recipe(kind)).state_dict())
    return model.eval()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("power", [1.0, 200.0, 1e4])
def test_a_sampler_of_popular_items_alone_leaves_loss_and_gradients_finite(kind: str, power: float) -> None:
    model = make_debiased(kind, {"mode": "pop_sampler", "mix": 1.0, "power": power}, items=make_items())
    assert all(bool(torch.isfinite(value).all()) for value in learn(model))


def learn(model: Recommender) -> list[Tensor]:
    """Return the loss of one step, dropout on and seeded, and every gradient."""
    histories = make_histories((8, 1, 4), recipe=model.recipe)
    torch.manual_seed(5)
    loss = training_loss(model.train(), draw_for(model, histories))
    return [loss.detach(), *torch.autograd.grad(loss, list(model.parameters()))]


def learns_the_same(model: Recommender, other: Recommender) -> bool:
    return all(torch.equal(one, two) for one, two in zip(learn(model), learn(other), strict=True))


@pytest.mark.parametrize("settings", MODES, ids=MODE_IDS)
@pytest.mark.parametrize("kind", KINDS)
def test_uniform_popularity_is_the_base_model_bit_for_bit(kind: str, settings: dict[str, Json]) -> None:
    base = make_lively_model(make_model_recipe(kind))
    assert learns_the_same(make_debiased(kind, settings, items=UNIFORM), base)


@pytest.mark.parametrize("settings", NEUTRAL, ids=MODE_IDS)
@pytest.mark.parametrize("kind", KINDS)
def test_neutral_settings_are_the_base_model_bit_for_bit(kind: str, settings: dict[str, Json]) -> None:
    base = make_lively_model(make_model_recipe(kind))
    assert learns_the_same(make_debiased(kind, settings, items=make_items()), base)


@pytest.mark.parametrize("settings", [*MODES[:2], {"mode": "pop_sampler"}], ids=MODE_IDS)
def test_uneven_popularity_changes_what_is_learned_and_never_what_is_inferred(settings: dict[str, Json]) -> None:
    base, debiased = make_lively_model(make_model_recipe("HSTU")), make_debiased("HSTU", settings, items=make_items())
    assert not learns_the_same(debiased, base)
    histories = make_histories((8, 1, 4), recipe=base.recipe)
    assert torch.equal(debiased.eval().encode_users(histories), base.eval().encode_users(histories))
    assert torch.equal(debiased.item_table(), base.item_table())


def test_a_mixed_sampler_draws_popular_items_more_often() -> None:
    items = make_items()
    model = make_debiased("HSTU", {"mode": "pop_sampler", "mix": 1.0}, items=items)
    histories = make_histories((8,) * 100, recipe=model.recipe)
    drawn = draw_negatives(model, histories, generator=torch.Generator().manual_seed(1))
    assert drawn is not None
    frequency_J = drawn.flatten().bincount(minlength=41)
    assert frequency_J[0] == 0
    rare, popular = (items.candidate_I[items.count_J[1:] < 10], items.candidate_I[items.count_J[1:] > 40])
    assert frequency_J[popular].float().mean() > 4 * frequency_J[rare].float().mean()
