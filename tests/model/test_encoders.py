"""What an encoder may and may not see: only the past, only real events, only its own user."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from hstu_preserve.model.histories import Histories
from hstu_preserve.model.jagged import JaggedOperators
from hstu_preserve.model.recommender import Recommender
from hstu_preserve.primitives.json_values import Json
from tests.model.tiny_models import (
    KINDS,
    MAX_ITEM_ID,
    OPERATORS,
    make_histories,
    make_lively_model,
    make_model,
    make_model_recipe,
    mean_loss,
)

LENGTHS = (8, 5, 1, 3)
VISIBLE = 1e-3  # a change larger than any rounding
ROUNDING = 1e-6


@pytest.fixture(params=KINDS)
def model(request: pytest.FixtureRequest) -> Recommender:
    return make_lively_model(make_model_recipe(request.param))


@pytest.fixture
def hstu() -> Recommender:
    return make_lively_model(make_model_recipe("HSTU"))


def measure_change(before: Tensor, after: Tensor) -> list[float]:
    """Return the largest change at each position of the first user."""
    return (after - before)[0].abs().amax(-1).tolist()


def valid(encoded_BND: Tensor, histories: Histories) -> Tensor:
    """Return the outputs at the events of history."""
    return encoded_BND[torch.arange(encoded_BND.shape[1]) < histories.length_B[:, None]]


@pytest.mark.parametrize("changed", range(8))
def test_another_item_changes_no_output_before_it(model: Recommender, changed: int) -> None:
    histories = make_histories(LENGTHS, recipe=model.recipe)
    item_BN = histories.item_BN.clone()
    item_BN[0, changed] = item_BN[0, changed] % MAX_ITEM_ID + 1
    change = measure_change(model(histories), model(replace(histories, item_BN=item_BN)))
    assert max(change[:changed], default=0.0) <= ROUNDING
    assert min(change[changed : LENGTHS[0]]) > VISIBLE


# Of a single event nothing but the sign of its weight survives the layer norm, hence from 2.
@pytest.mark.parametrize("changed", range(2, 8))
def test_hstu_knows_the_time_of_the_next_event_and_of_none_after_it(hstu: Recommender, changed: int) -> None:
    histories = make_histories(LENGTHS, recipe=hstu.recipe)
    time_BN = histories.time_BN.clone()
    time_BN[0, changed:] += 10**8
    change = measure_change(hstu(histories), hstu(replace(histories, time_BN=time_BN)))
    assert max(change[: changed - 1], default=0.0) <= ROUNDING
    assert change[changed - 1] > VISIBLE


def test_hstu_knows_the_time_of_the_request(hstu: Recommender) -> None:
    histories = make_histories((8, 5, 2, 3), recipe=hstu.recipe, with_target=False)
    later = histories.time_BN.scatter_add(1, histories.length_B[:, None], torch.full((4, 1), 10**8))
    change = hstu.encode_users(histories) - hstu.encode_users(replace(histories, time_BN=later))
    assert (change.abs().amax(1) > VISIBLE).all()


def test_sasrec_reads_no_time() -> None:
    model = make_lively_model(make_model_recipe("SASRec"))
    histories = make_histories(LENGTHS, recipe=model.recipe)
    assert torch.equal(model(histories), model(replace(histories, time_BN=histories.time_BN.flip(1))))


@pytest.mark.parametrize("shift", [-1_700_000_000, 1, 3600, 10**9])
def test_shifting_every_clock_changes_nothing(hstu: Recommender, shift: int) -> None:
    histories = make_histories(LENGTHS, recipe=hstu.recipe)
    shifted = replace(histories, time_BN=histories.time_BN + shift)
    assert torch.equal(valid(hstu(histories), histories), valid(hstu(shifted), histories))


def test_what_stands_in_the_padding_does_not_matter(model: Recommender) -> None:
    histories = make_histories(LENGTHS, recipe=model.recipe)
    is_padding_BN = torch.arange(model.recipe.padded_length) > histories.length_B[:, None]
    dirty = replace(
        histories,
        item_BN=torch.where(is_padding_BN, 7, histories.item_BN),
        time_BN=torch.where(is_padding_BN, 123_456_789, histories.time_BN),
    )
    torch.testing.assert_close(
        valid(model(histories), histories), valid(model(dirty), histories), atol=ROUNDING, rtol=0
    )
    assert torch.equal(model.encode_users(histories), model.encode_users(dirty))


def test_padding_comes_out_as_zeros(model: Recommender) -> None:
    histories = make_histories(LENGTHS, recipe=model.recipe, with_target=False)
    is_padding_BN = torch.arange(model.recipe.padded_length) >= histories.length_B[:, None]
    encoded_BND = model(histories)
    assert not encoded_BND[is_padding_BN].any()
    assert encoded_BND[~is_padding_BN].any(dim=1).all()


def test_the_target_is_not_seen_by_the_history(model: Recommender) -> None:
    with_target, without = (make_histories(LENGTHS, recipe=model.recipe, with_target=has) for has in (True, False))
    assert not torch.equal(with_target.item_BN, without.item_BN)
    torch.testing.assert_close(model.encode_users(with_target), model.encode_users(without), atol=ROUNDING, rtol=0)


@pytest.mark.parametrize("operators", OPERATORS)
@pytest.mark.parametrize("kind", KINDS)
def test_a_user_alone_is_encoded_as_in_a_batch(kind: str, operators: JaggedOperators) -> None:
    model = make_lively_model(make_model_recipe(kind), operators=operators)
    histories = make_histories(LENGTHS, recipe=model.recipe)
    together = model.encode_users(histories)
    for user in range(len(LENGTHS)):
        alone = Histories(
            length_B=histories.length_B[user, None],
            item_BN=histories.item_BN[user, None],
            time_BN=histories.time_BN[user, None],
            half_star_BN=histories.half_star_BN[user, None],
        )
        torch.testing.assert_close(model.encode_users(alone)[0], together[user], atol=1e-5, rtol=0)


def test_a_user_is_encoded_by_the_output_at_the_last_event(model: Recommender) -> None:
    histories = make_histories(LENGTHS, recipe=model.recipe)
    encoded_BND = model(histories)
    expected = torch.stack([encoded_BND[user, length - 1] for user, length in enumerate(LENGTHS)])
    assert torch.equal(model.encode_users(histories), expected)


@pytest.mark.parametrize("norm", ["l2_norm", "layer_norm"])
@pytest.mark.parametrize("kind", KINDS)
def test_outputs_are_normalised_as_the_recipe_says(kind: str, norm: str) -> None:
    model = make_lively_model(make_model_recipe(kind, model={"user_embedding_norm": norm}))
    user_BD = model.encode_users(make_histories(LENGTHS, recipe=model.recipe))
    if norm == "l2_norm":
        torch.testing.assert_close(user_BD.norm(dim=1), torch.ones(len(LENGTHS)))
    else:
        torch.testing.assert_close(user_BD.mean(1), torch.zeros(len(LENGTHS)), atol=1e-6, rtol=0)
        torch.testing.assert_close(user_BD.var(1, correction=0), torch.ones(len(LENGTHS)), atol=1e-4, rtol=0)


@pytest.mark.parametrize("kind", KINDS)
def test_dropout_acts_in_training_only(kind: str) -> None:
    model = make_lively_model(make_model_recipe(kind))
    histories = make_histories(LENGTHS, recipe=model.recipe)
    torch.manual_seed(0)
    assert torch.equal(model(histories), model(histories))
    model.train()
    assert not torch.equal(model(histories), model(histories))


@pytest.mark.parametrize("rate", ["dropout_rate", "linear_dropout_rate"])
def test_each_of_hstus_dropouts_has_a_rate_of_its_own(rate: str) -> None:
    rates = {"dropout_rate": 0.0, "linear_dropout_rate": 0.0}
    model = make_lively_model(make_model_recipe("HSTU", model={**rates, rate: 0.5}))
    histories = make_histories(LENGTHS, recipe=model.recipe)
    expected = model(histories)
    torch.manual_seed(0)
    assert not torch.equal(model.train()(histories), expected)
    still = make_lively_model(make_model_recipe("HSTU", model={**rates}))
    assert torch.equal(still.train()(histories), expected)


@pytest.mark.parametrize(
    ("kind", "setting", "value"),
    [
        ("HSTU", "concat_ua", True),
        ("HSTU", "linear_activation", "none"),
        ("HSTU", "num_heads", 4),
        ("SASRec", "ffn_activation_fn", "gelu"),
        ("SASRec", "num_heads", 4),
    ],
)
def test_each_variant_takes_a_step_and_differs_from_the_base(kind: str, setting: str, value: Json) -> None:
    base, variant = (make_model(make_model_recipe(kind, model=change)) for change in ({}, {setting: value}))
    histories = make_histories(LENGTHS, recipe=base.recipe)
    losses = [mean_loss(model, histories) for model in (base, variant)]
    losses[1].backward()  # type: ignore[no-untyped-call]  # torch does not annotate it
    assert torch.isfinite(losses[1])
    assert all(parameter.grad is not None for parameter in variant.parameters())
    assert losses[0].item() != losses[1].item()


@pytest.mark.parametrize("operators", OPERATORS)
@pytest.mark.parametrize("kind", KINDS)
def test_a_bfloat16_model_takes_a_step_with_a_finite_loss(kind: str, operators: JaggedOperators) -> None:
    model = make_model(make_model_recipe(kind, model={"main_module_bf16": True}), operators=operators)
    optimizer = torch.optim.AdamW(model.parameters())
    before = model.item_embedding.weight.detach().clone()
    histories = make_histories(LENGTHS, recipe=model.recipe)
    loss = mean_loss(model, histories)
    loss.backward()  # type: ignore[no-untyped-call]  # torch does not annotate it
    optimizer.step()
    assert loss.dtype == torch.bfloat16
    assert torch.isfinite(loss)
    assert torch.isfinite(model.item_embedding.weight).all()
    assert not torch.equal(model.item_embedding.weight, before)
