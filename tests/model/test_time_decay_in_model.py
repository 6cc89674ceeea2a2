"""Time decay in the whole model: the base exactly where nothing decays, and what holds where it does."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from hstu_preserve.model.histories import Histories
from hstu_preserve.model.hstu import HstuEncoder
from hstu_preserve.model.jagged import JaggedOperators
from hstu_preserve.model.recommender import Recommender
from hstu_preserve.model.time_decay import TimeDecay, project_rates
from hstu_preserve.primitives.json_values import Json
from tests.model.tiny_losses import position_losses, training_loss
from tests.model.tiny_models import (
    KINDS,
    OPERATORS,
    draw_for,
    make_histories,
    make_lively_model,
    make_model,
    make_model_recipe,
    mean_loss,
)

MODES = ("power", "exp", "exp_power")
LENGTHS = (8, 5, 1, 3)
VISIBLE = 1e-3  # a change larger than any rounding
ROUNDING = 1e-6
TWO_HEADS: dict[str, Json] = {"num_heads": 2}
LEARNED: list[dict[str, Json]] = [{"learnable": False}, {"learnable": True}, {"learnable": True, "per_layer": True}]
COMPRESSION: dict[str, Json] = {"pooling": "chunk"}


def make_base(*, operators: JaggedOperators | None = None) -> Recommender:
    recipe = make_model_recipe("HSTU", model=TWO_HEADS)
    return make_lively_model(recipe, operators=operators) if operators else make_lively_model(recipe)


def add_decay(base: Recommender, *, rate: float, **settings: Json) -> Recommender:
    """Return the model with the base's weights and a decay of the given rate."""
    recipe = make_model_recipe("HSTU", model=TWO_HEADS, time_decay={"rate": rate, **settings})
    model = make_model(recipe, operators=base.operators)
    model.load_state_dict(base.state_dict(), strict=False)
    with torch.no_grad():
        for parameter in list_rates(model):
            parameter.fill_(rate)
    return model


def list_rates(model: Recommender) -> list[torch.nn.Parameter]:
    return [parameter for name, parameter in model.named_parameters() if name.endswith(".rate")]


def differentiate(model: Recommender, histories: Histories) -> dict[str, Tensor]:
    """Return the gradient of every parameter by its name."""
    loss = training_loss(model, draw_for(model, histories))
    named = dict(model.named_parameters())
    return dict(zip(named, torch.autograd.grad(loss, list(named.values())), strict=True))


def valid(encoded_BND: Tensor, histories: Histories) -> Tensor:
    """Return the outputs at the events of history."""
    return encoded_BND[torch.arange(encoded_BND.shape[1]) < histories.length_B[:, None]]


@pytest.mark.parametrize("operators", OPERATORS)
@pytest.mark.parametrize("settings", LEARNED)
@pytest.mark.parametrize("mode", MODES)
def test_a_rate_of_zero_is_the_base_exactly(mode: str, settings: dict[str, Json], operators: JaggedOperators) -> None:
    base = make_base(operators=operators)
    model = add_decay(base, rate=0.0, mode=mode, **settings)
    histories = make_histories(LENGTHS, recipe=base.recipe)
    assert torch.equal(model(histories), base(histories))
    found = differentiate(model, histories)
    for name, gradient in differentiate(base, histories).items():
        assert torch.equal(found[name], gradient), name


@pytest.mark.parametrize("settings", LEARNED)
@pytest.mark.parametrize("mode", MODES)
def test_equal_times_are_the_base_exactly(mode: str, settings: dict[str, Json]) -> None:
    base = make_base()
    model = add_decay(base, rate=0.7, mode=mode, **settings)
    histories = make_histories(LENGTHS, recipe=base.recipe)
    at_once = replace(histories, time_BN=(histories.time_BN > 0) * 1_700_000_000)
    assert torch.equal(model(at_once), base(at_once))
    assert not torch.allclose(model(histories), base(histories), atol=VISIBLE)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("shift", [-1_700_000_000, 1, 3600, 10**9])
def test_shifting_every_clock_changes_nothing(shift: int, mode: str) -> None:
    model = add_decay(make_base(), rate=0.3, mode=mode)
    histories = make_histories(LENGTHS, recipe=model.recipe)
    shifted = replace(histories, time_BN=histories.time_BN + shift)
    assert torch.equal(valid(model(histories), histories), valid(model(shifted), histories))


@pytest.mark.parametrize("changed", range(2, 8))
def test_the_time_of_an_event_is_known_to_the_one_before_and_to_none_earlier(changed: int) -> None:
    model = add_decay(make_base(), rate=0.3)
    histories = make_histories(LENGTHS, recipe=model.recipe)
    time_BN = histories.time_BN.clone()
    time_BN[0, changed:] += 10**8
    change = (model(replace(histories, time_BN=time_BN)) - model(histories))[0].abs().amax(-1)
    assert (change[: changed - 1] <= ROUNDING).all()
    assert change[changed - 1] > VISIBLE


@pytest.mark.parametrize("settings", LEARNED)
@pytest.mark.parametrize("mode", MODES)
def test_padding_leaves_outputs_and_gradients_finite(mode: str, settings: dict[str, Json]) -> None:
    model = add_decay(make_base(), rate=0.0, mode=mode, **settings)
    histories = make_histories(LENGTHS, recipe=model.recipe)
    assert (histories.time_BN == 0).any()
    for rate in (0.0, 0.1, 30.0):
        with torch.no_grad():
            for parameter in list_rates(model):
                parameter.fill_(rate)
        encoded_BND = model(histories)
        assert torch.isfinite(encoded_BND).all()
        assert not encoded_BND[torch.arange(encoded_BND.shape[1]) > histories.length_B[:, None]].any()
        assert all(torch.isfinite(gradient).all() for gradient in differentiate(model, histories).values())


@pytest.mark.parametrize("rate", [0.0, 0.1])
@pytest.mark.parametrize("per_layer", [False, True])
@pytest.mark.parametrize("mode", MODES)
def test_every_rate_learns_where_ages_differ(mode: str, per_layer: bool, rate: float) -> None:
    model = add_decay(make_base(), rate=rate, mode=mode, per_layer=per_layer)
    gradient = differentiate(model, make_histories(LENGTHS, recipe=model.recipe))["encoder.decay.rate"]
    assert gradient.shape == ((2, 2) if per_layer else (1, 2))
    assert (gradient != 0).all()


def test_no_rate_learns_where_ages_are_equal() -> None:
    model = add_decay(make_base(), rate=0.1)
    histories = make_histories(LENGTHS, recipe=model.recipe)
    at_once = replace(histories, time_BN=(histories.time_BN > 0) * 1_700_000_000)
    assert not differentiate(model, at_once)["encoder.decay.rate"].any()


@pytest.mark.parametrize("settings", LEARNED)
def test_a_new_model_starts_at_the_recipes_rate(settings: dict[str, Json]) -> None:
    recipe = make_model_recipe("HSTU", model=TWO_HEADS, time_decay={"rate": 0.25, **settings})
    model = make_model(recipe)
    assert isinstance(model.encoder, HstuEncoder)
    assert isinstance(model.encoder.decay, TimeDecay)
    assert len(list_rates(model)) == (1 if settings["learnable"] else 0)
    assert all((parameter == 0.25).all() for parameter in list_rates(model))


def test_adding_a_decay_shifts_no_other_initial_weight() -> None:
    base, model = make_model(make_model_recipe("HSTU")), make_model(make_model_recipe("HSTU", time_decay={"rate": 0.1}))
    for name, parameter in base.named_parameters():
        assert torch.equal(model.get_parameter(name), parameter), name


def test_a_step_that_leads_below_zero_ends_at_zero() -> None:
    model = add_decay(make_base(), rate=0.1)
    histories = make_histories(LENGTHS, recipe=model.recipe)
    (rate,) = list_rates(model)
    rate.grad = torch.tensor([[1.0, -1.0]])
    torch.optim.SGD([rate], lr=0.5).step()
    project_rates(model)
    assert rate.tolist() == [[0.0, pytest.approx(0.6)]]
    assert torch.isfinite(model(histories)).all()


@pytest.mark.parametrize("settings", LEARNED)
def test_a_bfloat16_model_with_decay_takes_a_finite_step(settings: dict[str, Json]) -> None:
    recipe = make_model_recipe(
        "HSTU",
        model=TWO_HEADS | {"main_module_bf16": True, "attention_normalization": "real_length"},
        time_decay=settings,
    )
    model = make_model(recipe)
    optimizer = torch.optim.AdamW(model.parameters())
    loss = mean_loss(model, make_histories(LENGTHS, recipe=recipe))
    loss.backward()  # type: ignore[no-untyped-call]  # torch does not annotate it
    optimizer.step()
    assert loss.dtype == torch.bfloat16
    assert all(torch.isfinite(parameter).all() for parameter in model.parameters())


def test_seven_hundred_events_take_a_finite_step() -> None:
    recipe = make_model_recipe(
        "HSTU", model=TWO_HEADS, dataset={"max_sequence_length": 700}, time_decay={"per_layer": True}
    )
    model = make_model(recipe)
    histories = make_histories((700, 1), recipe=recipe)
    gradients = differentiate(model, histories)
    assert all(torch.isfinite(gradient).all() for gradient in gradients.values())
    assert gradients["encoder.decay.rate"].all()


@pytest.mark.usefixtures("two_threads")
@pytest.mark.parametrize("operators", OPERATORS)
@pytest.mark.parametrize("settings", LEARNED)
def test_every_gradient_is_the_same_the_second_time(settings: dict[str, Json], operators: JaggedOperators) -> None:
    assert not torch.are_deterministic_algorithms_enabled()
    recipe = make_model_recipe(
        "HSTU",
        dataset={"max_sequence_length": 48},
        model={"item_embedding_dim": 32, "num_heads": 2, "attention_normalization": "real_length"},
        loss={"num_negatives": 32},
        action_fusion={"enabled": True},
        time_decay=settings,
    )
    model = make_model(recipe, operators=operators).train()
    histories = make_histories([*range(1, 49)], recipe=recipe)
    first, *others = (differentiate_seeded(model, histories) for _ in range(3))
    for other in others:
        assert all(torch.equal(other[name], gradient) for name, gradient in first.items())


def differentiate_seeded(model: Recommender, histories: Histories) -> dict[str, Tensor]:
    """Return the gradients with the same dropout each time."""
    torch.manual_seed(3)
    return differentiate(model, histories)


def compute_loss(kind: str, histories: Histories, **settings: Json) -> Tensor:
    """Return the training loss with a decay of the loss; of the base without settings."""
    decay: dict[str, dict[str, Json]] = (
        {"time_decay": {"where": "loss", "learnable": False, **settings}} if settings else {}
    )
    model = make_model(make_model_recipe(kind, **decay))
    return training_loss(model, draw_for(model, histories)).detach()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("mode", MODES)
def test_a_loss_that_fades_at_rate_zero_is_the_base_exactly(mode: str, kind: str) -> None:
    histories = make_histories(LENGTHS, recipe=make_model_recipe(kind))
    base = compute_loss(kind, histories)
    assert torch.equal(compute_loss(kind, histories, mode=mode, rate=0.0), base)
    assert not torch.allclose(compute_loss(kind, histories, mode=mode, rate=1.0), base)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("mode", MODES)
def test_a_loss_that_fades_is_the_base_where_times_are_equal(mode: str, kind: str) -> None:
    histories = make_histories(LENGTHS, recipe=make_model_recipe(kind))
    at_once = replace(histories, time_BN=(histories.time_BN > 0) * 1_700_000_000)
    assert torch.equal(compute_loss(kind, at_once, mode=mode, rate=1.0), compute_loss(kind, at_once))


def test_a_loss_that_fades_fast_is_of_the_last_events() -> None:
    recipe = make_model_recipe("HSTU", time_decay={"where": "loss", "learnable": False, "mode": "exp", "rate": 1e9})
    model = make_model(recipe)
    histories = make_histories(LENGTHS, recipe=recipe)
    days_apart = torch.arange(histories.time_BN.shape[1]) * 86_400
    histories = replace(histories, time_BN=(histories.time_BN > 0) * (1_700_000_000 + days_apart))
    plain = make_model(make_model_recipe("HSTU"))
    draws = draw_for(plain, histories)
    last_T = histories.length_B.cumsum(0) - 1
    position_loss_T = losses_by_position(plain, histories)
    assert training_loss(model, draws).item() == pytest.approx(position_loss_T[last_T].mean().item(), rel=1e-5)
    assert position_loss_T[last_T].mean().item() != pytest.approx(position_loss_T.mean().item(), rel=1e-3)


def losses_by_position(model: Recommender, histories: Histories) -> Tensor:
    """Return loss_T, the same negatives each time."""
    return position_losses(model, draw_for(model, histories)).detach()


def make_pooled(**decay: Json) -> Recommender:
    """Return a lively model that compresses, its pooling fading where settings are given."""
    changes: dict[str, dict[str, Json]] = {"input_compression": COMPRESSION}
    plain = make_lively_model(make_model_recipe("HSTU", **changes))
    if not decay:
        return plain
    model = make_model(make_model_recipe("HSTU", **changes, time_decay={"where": "pool", **decay}))
    model.load_state_dict(plain.state_dict(), strict=False)
    return model


@pytest.mark.parametrize("learnable", [False, True])
@pytest.mark.parametrize("mode", MODES)
def test_pooling_that_fades_at_rate_zero_is_the_mean_exactly(mode: str, learnable: bool) -> None:
    mean, model = make_pooled(), make_pooled(mode=mode, rate=0.0, learnable=learnable)
    histories = make_histories(LENGTHS, recipe=mean.recipe)
    assert torch.equal(model(histories), mean(histories))
    assert not torch.allclose(make_pooled(mode=mode, rate=5.0)(histories), mean(histories), atol=VISIBLE)


def test_the_rate_of_pooling_learns() -> None:
    model = make_pooled(rate=0.1)
    histories = make_histories(LENGTHS, recipe=model.recipe)
    (rate,) = list_rates(model)
    (gradient,) = torch.autograd.grad(training_loss(model, draw_for(model, histories)), [rate])
    assert gradient.item() != 0
