"""A component without effect takes a training step as the model without it does, dropout on: same loss, same gradients.

It also leaves torch's global generator, which dropout draws from, where the other leaves it.
"""

from dataclasses import dataclass, replace
from functools import partial

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from hstu_preserve.compute.determinism import initialization_generators, make_generator
from hstu_preserve.model.histories import Histories
from hstu_preserve.model.initialization import initialize
from hstu_preserve.model.jagged import PLAIN_OPERATORS
from hstu_preserve.model.objective import draw
from hstu_preserve.model.recommender import Recommender
from hstu_preserve.primitives.json_values import Json
from hstu_preserve.records.recipe import Recipe
from tests.model.tiny_losses import training_loss
from tests.model.tiny_models import KINDS, make_histories, make_items, make_lively_model, make_model_recipe

LENGTHS = (8, 5, 1, 3)
SHORT = (4, 3, 2, 1)
NOW_SECONDS = 1_700_000_000
LEARNED_EPOCH = 1
Groups = dict[str, dict[str, Json]]

each_kind = pytest.mark.parametrize("kind", KINDS)


@dataclass(frozen=True, kw_only=True)
class Learned:
    """What one training step of a model was made of."""

    loss: Tensor
    gradients: dict[str, Tensor]
    generator_after_forward: Tensor
    generator_after_backward: Tensor


def learn(model: Recommender, histories: Histories) -> Learned:
    """Return the step on these histories, its draws those of one epoch, with dropout seeded."""
    model.train()
    torch.manual_seed(5)
    generator_for = partial(make_generator, 3)
    draws = draw(model, histories, epoch=LEARNED_EPOCH, own_BH=histories.item_BN, generator_for=generator_for)
    loss = training_loss(model, draws)
    after_forward = torch.get_rng_state()
    named = dict(model.named_parameters())
    gradients = torch.autograd.grad(loss, list(named.values()), allow_unused=True)
    return Learned(
        loss=loss.detach(),
        gradients={name: value for name, value in zip(named, gradients, strict=True) if value is not None},
        generator_after_forward=after_forward,
        generator_after_backward=torch.get_rng_state(),
    )


def add_component(base: Recommender, recipe: Recipe) -> Recommender:
    """Return a model of the recipe that has the base's weights and, of its own, those that a new model starts with."""
    model = Recommender(recipe, make_items(), operators=PLAIN_OPERATORS)
    initialize(model, initialization_generators(1))
    model.load_state_dict(base.state_dict(), strict=False)
    return model


def assert_learns_as_the_base(found: Learned, base: Learned) -> None:
    """Fail unless loss, the gradients of the base's weights and the generator are the same bit for bit."""
    assert torch.equal(found.loss, base.loss)
    assert torch.equal(found.generator_after_forward, base.generator_after_forward)
    assert torch.equal(found.generator_after_backward, base.generator_after_backward)
    for name, gradient in base.gradients.items():
        assert torch.equal(found.gradients[name], gradient), name


def compare(kind: str, component: Groups, *, histories: Histories | None = None, common: Groups | None = None) -> None:
    """Fail unless the component adds nothing to a step of the model with `common` settings."""
    base = make_lively_model(make_model_recipe(kind, **(common or {})))
    model = add_component(base, make_model_recipe(kind, **(common or {}), **component))
    histories = histories or make_histories(LENGTHS, recipe=base.recipe)
    expected = learn(base, histories)
    assert not torch.equal(expected.generator_after_forward, torch.Generator().manual_seed(5).get_state())
    assert_learns_as_the_base(learn(model, histories), expected)


def end_at_once(histories: Histories) -> Histories:
    """Return the histories with all events in one second."""
    return replace(histories, time_BN=(histories.time_BN > 0) * NOW_SECONDS)


# Time decay.

ATTENTION: list[dict[str, Json]] = [
    {"learnable": False},
    {"learnable": True},
    {"learnable": True, "per_layer": True},
]
each_mode = pytest.mark.parametrize("mode", ["power", "exp", "exp_power"])


@each_mode
@pytest.mark.parametrize("settings", ATTENTION, ids=["constant", "learned", "per layer"])
def test_attention_that_decays_at_rate_zero(mode: str, settings: dict[str, Json]) -> None:
    compare("HSTU", {"time_decay": {"mode": mode, "rate": 0.0, **settings}})


@each_mode
@pytest.mark.parametrize("settings", ATTENTION, ids=["constant", "learned", "per layer"])
def test_attention_that_decays_between_events_of_one_second(mode: str, settings: dict[str, Json]) -> None:
    histories = end_at_once(make_histories(LENGTHS, recipe=make_model_recipe("HSTU")))
    compare("HSTU", {"time_decay": {"mode": mode, "rate": 0.7, **settings}}, histories=histories)


@each_kind
@each_mode
@pytest.mark.parametrize("rate", [0.0, 0.7])
def test_a_loss_that_does_not_fade(kind: str, mode: str, rate: float) -> None:
    histories = make_histories(LENGTHS, recipe=make_model_recipe(kind))
    decay: dict[str, Json] = {"where": "loss", "learnable": False, "mode": mode, "rate": rate}
    compare(kind, {"time_decay": decay}, histories=end_at_once(histories) if rate else histories)


@each_kind
@each_mode
@pytest.mark.parametrize("pooling", ["chunk", "category"])
@pytest.mark.parametrize("learnable", [False, True])
def test_pooling_that_fades_at_rate_zero(kind: str, mode: str, pooling: str, learnable: bool) -> None:
    common: Groups = {"input_compression": {"pooling": pooling}}
    decay: dict[str, Json] = {"where": "pool", "rate": 0.0, "mode": mode, "learnable": learnable}
    compare(kind, {"time_decay": decay}, common=common)


# Input compression.

POOLINGS = [*[(kind, pooling) for kind in KINDS for pooling in ("chunk", "category")], ("HSTU", "learned")]
each_pooling = pytest.mark.parametrize(("kind", "pooling"), POOLINGS)


@each_pooling
@pytest.mark.parametrize("random_boundary", [False, True])
def test_compression_by_a_ratio_of_1(kind: str, pooling: str, random_boundary: bool) -> None:
    compare(kind, {"input_compression": {"pooling": pooling, "ratio": 1, "random_boundary": random_boundary}})


@each_pooling
@pytest.mark.parametrize("random_boundary", [False, True])
def test_compression_of_histories_no_longer_than_what_stays(kind: str, pooling: str, random_boundary: bool) -> None:
    compression: dict[str, Json] = {"pooling": pooling, "random_boundary": random_boundary}
    recipe = make_model_recipe(kind, dataset={"max_sequence_length": 6}, input_compression=compression)
    base = make_lively_model(make_model_recipe(kind, dataset={"max_sequence_length": recipe.encoded_length}))
    raw = make_histories(SHORT, recipe=recipe)
    padding = base.recipe.padded_length - raw.item_BN.shape[1]
    longer = Histories(
        length_B=raw.length_B,
        item_BN=F.pad(raw.item_BN, (0, padding)),
        time_BN=F.pad(raw.time_BN, (0, padding)),
        half_star_BN=F.pad(raw.half_star_BN, (0, padding)),
    )
    assert_learns_as_the_base(learn(add_component(base, recipe), raw), learn(base, longer))


# What starts at zero.


@each_kind
def test_a_fresh_action_fusion(kind: str) -> None:
    compare(kind, {"action_fusion": {}})


@each_kind
@pytest.mark.parametrize("apply_to", ["input", "shared"])
@pytest.mark.parametrize("variant", ["additive", "film", "moe"])
def test_a_fresh_prism(kind: str, variant: str, apply_to: str) -> None:
    compare(kind, {"prism": {"variant": variant, "apply_to": apply_to, "load_balance_weight": 0.0}})


@pytest.mark.parametrize("pooling", ["chunk", "category", "learned"])
def test_everything_that_starts_at_zero_where_old_events_are_compressed(pooling: str) -> None:
    component: Groups = {"prism": {"variant": "film"}, "action_fusion": {}, "time_decay": {"rate": 0.0}}
    compare("HSTU", component, common={"input_compression": {"pooling": pooling, "random_boundary": True}})


# Negatives and popularity.


@each_kind
def test_hard_negatives_before_their_epoch(kind: str) -> None:
    compare(
        kind,
        {"hard_negatives": {"fraction": 0.5, "pool_size": 8, "warmup_epochs": LEARNED_EPOCH + 1}},
        common={"training": {"num_epochs": LEARNED_EPOCH + 2}},
    )


@each_kind
@pytest.mark.parametrize(
    "settings",
    [
        {"mode": "logit_adjust", "alpha": 0.0},
        {"mode": "ips", "alpha": 0.0},
        {"mode": "pop_sampler", "mix": 0.0},
    ],
    ids=lambda settings: settings["mode"],
)
def test_debiasing_without_strength(kind: str, settings: dict[str, Json]) -> None:
    compare(kind, {"pop_debias": settings})
