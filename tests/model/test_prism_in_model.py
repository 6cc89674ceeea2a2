"""PRISM inside the recommender: without effect at the start, the same for whatever an item is compared as."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from hstu_preserve.model.jagged import plain_to_jagged
from hstu_preserve.model.losses import sampled_softmax
from hstu_preserve.model.objective import draw_negatives
from hstu_preserve.model.prism import load_balance
from hstu_preserve.model.recommender import Recommender
from hstu_preserve.primitives.json_values import Json
from tests.model.tiny_losses import position_losses, training_loss
from tests.model.tiny_models import (
    KINDS,
    MAX_ITEM_ID,
    draw_for,
    make_histories,
    make_lively_model,
    make_model,
    make_model_recipe,
)

LENGTHS = (8, 5, 1, 3)
VARIANTS = ("additive", "film", "moe")
ITEM_FEATURES: list[Json] = ["genres", "year", "popularity"]
STARTING_AT_ZERO = {
    "additive": {"prism.fusion.shift.weight", "prism.fusion.shift.bias"},
    "film": {"prism.fusion.modulation.weight", "prism.fusion.modulation.bias"},
    "moe": {"prism.fusion.contract"},
}

each_kind = pytest.mark.parametrize("kind", KINDS)
each_variant = pytest.mark.parametrize("variant", VARIANTS)
each_place = pytest.mark.parametrize("apply_to", ["input", "shared"])


def choose(variant: str, apply_to: str, **changes: Json) -> dict[str, Json]:
    settings: dict[str, Json] = {"variant": variant, "apply_to": apply_to, "features": ITEM_FEATURES}
    return settings | changes


def make_twins(kind: str, prism: dict[str, Json], *, model: dict[str, Json]) -> tuple[Recommender, Recommender]:
    """Return the base model and the one with PRISM, both as they start."""
    base, conditioned = make_model_recipe(kind, model=model), make_model_recipe(kind, model=model, prism=prism)
    return make_model(base), make_model(conditioned)


@each_kind
@each_variant
@each_place
@pytest.mark.parametrize("main_module_bf16", [False, True])
def test_a_fresh_model_is_the_base_bit_for_bit(kind: str, variant: str, apply_to: str, main_module_bf16: bool) -> None:
    prism = choose(variant, apply_to, film_scale=0.5, load_balance_weight=0.0)
    base, conditioned = make_twins(kind, prism, model={"main_module_bf16": main_module_bf16})
    histories = make_histories(LENGTHS, recipe=base.recipe)
    assert torch.equal(conditioned(histories), base(histories))
    assert torch.equal(conditioned.item_table(), base.item_table())
    losses = [position_losses(model, draw_for(model, histories)) for model in (base, conditioned)]
    assert torch.equal(*losses)
    gradients = [
        torch.autograd.grad(loss.mean(), list(base_parameters(model)))
        for loss, model in zip(losses, (base, conditioned), strict=True)
    ]
    assert all(torch.equal(one, other) for one, other in zip(*gradients, strict=True))


def base_parameters(model: Recommender) -> list[Tensor]:
    return [value for name, value in model.named_parameters() if not name.startswith("prism.")]


@each_variant
def test_initialisation_leaves_the_output_projections_at_zero_and_nothing_else(variant: str) -> None:
    model = make_model(make_model_recipe("HSTU", prism=choose(variant, "input")))
    zero = {name for name, value in model.named_parameters() if name.startswith("prism.") and not value.any()}
    assert zero == STARTING_AT_ZERO[variant] | {"prism.encoder.bias"}


@each_variant
@each_place
def test_what_is_known_of_an_item_shows_once_the_weights_do(variant: str, apply_to: str) -> None:
    model = make_lively_model(make_model_recipe("HSTU", prism=choose(variant, apply_to)))
    histories = make_histories(LENGTHS, recipe=model.recipe)
    before = model(histories)
    with torch.no_grad():
        model.get_parameter("prism.features.genres.weight").add_(1.0)
    assert not torch.allclose(model(histories), before, atol=1e-3)


@each_variant
def test_conditioned_input_leaves_the_items_that_it_is_compared_with(variant: str) -> None:
    base = make_lively_model(make_model_recipe("HSTU"))
    model = make_lively_model(make_model_recipe("HSTU", prism=choose(variant, "input")))
    model.item_embedding.load_state_dict(base.item_embedding.state_dict())
    assert torch.equal(model.item_table(), base.item_table())


@each_variant
def test_shared_an_item_scores_the_same_as_positive_as_negative_and_in_the_index(variant: str) -> None:
    model = make_lively_model(make_model_recipe("HSTU", prism=choose(variant, "shared")))
    recipe = model.recipe
    histories = make_histories(LENGTHS, recipe=recipe)
    negative_TK = draw_negatives(model, histories, generator=torch.Generator().manual_seed(0))
    assert negative_TK is not None
    offsets = model.operators.complete_cumsum(histories.length_B)
    expected = sampled_softmax(
        plain_to_jagged(model(histories)[:, :-1], offsets),
        item_table=model.item_table(),
        positive_T=plain_to_jagged(histories.item_BN[:, 1:, None], offsets).squeeze(1),
        negative_TK=negative_TK,
        temperature=recipe.loss.temperature,
    )
    torch.testing.assert_close(position_losses(model, draw_for(model, histories)), expected, atol=1e-4, rtol=1e-5)
    raw = make_lively_model(make_model_recipe("HSTU"))
    raw.item_embedding.load_state_dict(model.item_embedding.state_dict())
    assert not torch.allclose(model.item_table()[1:], raw.item_table()[1:], atol=1e-3)


@each_variant
def test_shared_the_input_is_conditioned_as_the_index_is(variant: str) -> None:
    model = make_lively_model(make_model_recipe("HSTU", prism=choose(variant, "shared"), loss={"item_l2_norm": False}))
    histories = make_histories(LENGTHS, recipe=model.recipe)
    is_item_BN = histories.item_BN != 0
    expected = model.item_table().index_select(0, histories.item_BN[is_item_BN])
    torch.testing.assert_close(model.embed(histories).event_BLD[is_item_BN], expected, atol=1e-6, rtol=0)


@pytest.mark.parametrize("changed", range(8))
def test_a_rating_is_known_from_its_own_position_on(changed: int) -> None:
    prism = choose("additive", "input", features=["rating"])
    model = make_lively_model(make_model_recipe("HSTU", prism=prism))
    histories = make_histories(LENGTHS, recipe=model.recipe)
    half_star_BN = histories.half_star_BN.clone()
    half_star_BN[0, changed] = half_star_BN[0, changed] % 10 + 1
    change = (model(replace(histories, half_star_BN=half_star_BN)) - model(histories))[0].abs().amax(-1)
    assert not change[:changed].gt(1e-6).any()
    assert change[changed : LENGTHS[0]].gt(1e-4).any()


@each_kind
@each_variant
def test_what_stands_in_the_padding_does_not_matter(kind: str, variant: str) -> None:
    prism = choose(variant, "input", features=["rating", "genres"])
    model = make_lively_model(make_model_recipe(kind, prism=prism))
    histories = make_histories(LENGTHS, recipe=model.recipe, with_target=False)
    is_padding_BN = torch.arange(histories.item_BN.shape[1]) > histories.length_B[:, None]
    dirty = replace(histories, half_star_BN=torch.where(is_padding_BN, 7, histories.half_star_BN))
    assert not torch.equal(dirty.half_star_BN, histories.half_star_BN)
    assert torch.equal(model.encode_users(dirty), model.encode_users(histories))


@each_place
def test_the_balance_counts_each_event_of_history_once(apply_to: str) -> None:
    weight = 0.5
    model = make_lively_model(make_model_recipe("HSTU", prism=choose("moe", apply_to, load_balance_weight=weight)))
    histories = make_histories(LENGTHS, recipe=model.recipe)
    is_event_BN = torch.arange(histories.item_BN.shape[1]) < histories.length_B[:, None]
    item_T = histories.item_BN[is_event_BN]
    assert model.prism is not None
    router_weight_TG = model.prism(model.item_embedding(item_T), item=item_T, half_star=None).router_weight
    assert router_weight_TG is not None
    draws = draw_for(model, histories)
    balance = training_loss(model, draws) - position_losses(model, draws).mean()
    torch.testing.assert_close(balance, weight * load_balance(router_weight_TG), atol=1e-4, rtol=0)


@each_kind
@each_variant
@each_place
@pytest.mark.parametrize("main_module_bf16", [False, True])
def test_three_steps_change_every_weight_and_stay_finite(
    kind: str, variant: str, apply_to: str, main_module_bf16: bool
) -> None:
    prism = choose(variant, apply_to)
    model = make_model(make_model_recipe(kind, prism=prism, model={"main_module_bf16": main_module_bf16})).train()
    before = {name: value.detach().clone() for name, value in model.named_parameters()}
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.02, weight_decay=0.0)
    histories = make_histories(LENGTHS, recipe=model.recipe, max_item_id=MAX_ITEM_ID)
    for step in range(3):
        torch.manual_seed(step)
        optimizer.zero_grad()
        loss = training_loss(model, draw_for(model, histories, seed=step))
        loss.backward()  # type: ignore[no-untyped-call]  # torch does not annotate it
        optimizer.step()
    assert torch.isfinite(loss)
    assert all(torch.isfinite(value).all() for value in model.parameters())
    still = {name for name, value in model.named_parameters() if torch.equal(value, before[name])}
    assert not {name for name in still if name.startswith("prism.")}


def test_the_weights_hold_nothing_of_the_items() -> None:
    model = make_model(make_model_recipe("HSTU", prism=choose("moe", "input")))
    assert model.state_dict().keys() == dict(model.named_parameters()).keys()
