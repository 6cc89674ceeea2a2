"""SASRec, TiSASRec, FPARec and PARec as published: the states, losses, gradients and steps of their own code."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import LayerNorm, Module

from hstu_preserve.compute.determinism import initialization_generators
from hstu_preserve.model.histories import Histories
from hstu_preserve.model.initialization import initialize
from hstu_preserve.model.items import items_of_shape
from hstu_preserve.model.jagged import PLAIN_OPERATORS
from hstu_preserve.model.recommender import Recommender
from hstu_preserve.training.optimizers import make_optimizer
from tests.model.foundation_models import (
    EXACT,
    GOLDEN_FILES,
    KEY_BIAS,
    TABLES,
    backpropagate,
    load_model,
    make_foundation_recipe,
    rename,
    require_gradients,
)
from tests.model.foundations_golden import Golden, give_masks, load_golden
from tests.model.foundations_restated import Restated

TAGS = ("init", "after3", "random")


def near(expected: float | list[float]) -> Any:
    """Return what is equal within 1e-6, or within three units of float32's last place.

    A mean over positions is a sum, which either code makes in an order of its own.
    """
    return pytest.approx(expected, abs=1e-6, rel=3e-7)


@pytest.fixture(params=GOLDEN_FILES)
def golden(request: pytest.FixtureRequest) -> Golden:
    return load_golden(request.param)


@pytest.mark.parametrize("tag", TAGS)
def test_the_state_after_every_event_is_the_references(golden: Golden, tag: str) -> None:
    histories = golden.window("batch0")
    with torch.no_grad():
        found_BTD = golden.to_window(load_model(golden, tag)(histories), histories.length_B)
    is_event_BT = golden.tensors["batch0/seq"] != 0
    expected_BTD = golden.tensors[f"{tag}/seq_out"]
    torch.testing.assert_close(found_BTD[is_event_BT], expected_BTD[is_event_BT], atol=EXACT, rtol=0)


def test_every_state_on_the_way_is_the_references(golden: Golden) -> None:
    model = load_model(golden, "random")
    given, normed = list[Tensor](), list[Tensor]()

    def note(_: Module, inputs: tuple[Tensor], output: Tensor) -> None:
        given.append(inputs[0])
        normed.append(output)

    for module in model.encoder.modules():
        if isinstance(module, LayerNorm):
            module.register_forward_hook(note)
    with torch.no_grad():
        model(golden.window("batch0"))
    names = [name for name in golden.about["states"] if not name.startswith("embedding")]
    norms = [name for name in names if name.startswith("normalize")]
    between = [name for name in names if name not in norms]
    assert (len(normed), len(given) - 1) == (len(norms), len(between))
    is_event_BT = golden.tensors["batch0/seq"] != 0
    for name, found_BTD in [*zip(norms, normed, strict=True), *zip(between, given[1:], strict=True)]:
        expected_BTD = golden.tensors[f"random/state/{name}"]
        # What a feed-forward net makes of padding is kept before it is masked.
        where_BT = is_event_BT if name.startswith("feedforward") else torch.ones_like(is_event_BT)
        torch.testing.assert_close(found_BTD[where_BT], expected_BTD[where_BT], atol=EXACT, rtol=0, msg=name)


@pytest.mark.parametrize("tag", TAGS)
def test_the_loss_and_every_gradient_are_the_references(golden: Golden, tag: str) -> None:
    model = load_model(golden, tag)
    assert backpropagate(model, golden) == near(golden.tensors[f"{tag}/loss"].item())
    require_gradients(model, rename(golden, golden.variables(tag, "grad")))


def test_dropout_falls_where_and_when_the_references_does(golden: Golden, monkeypatch: pytest.MonkeyPatch) -> None:
    model = load_model(golden, "random", dropout_rate=golden.arguments["dropout_rate"]).train()
    masks = give_masks(golden, monkeypatch)
    assert backpropagate(model, golden) == near(golden.tensors["dropout/loss"].item())
    require_gradients(model, rename(golden, golden.variables("dropout", "grad")))
    assert next(masks, None) is None


def test_the_weights_after_one_and_three_steps_are_the_references(golden: Golden) -> None:
    model = load_model(golden, "init")
    optimizer = make_optimizer(model.recipe, model.parameters())
    losses = []
    for batch in range(3):
        losses.append(backpropagate(model, golden, batch=batch))
        optimizer.step()
        tag = {0: "after1", 2: "after3"}.get(batch)
        expected = rename(golden, golden.variables(tag)) if tag else {}
        for name, value in expected.items():
            if not name.endswith(KEY_BIAS):
                found = model.get_parameter(name).detach()
                torch.testing.assert_close(found, value, atol=1e-6, rtol=0, msg=f"{tag} {name}")
    assert losses == near(golden.tensors["steps/losses"].tolist())


# What no golden file has

OTHER_SHAPES: tuple[tuple[str, dict[str, Any]], ...] = (
    ("sasrec_tiny", {"num_blocks": 3, "num_heads": 3}),
    ("tisasrec_tiny", {"num_blocks": 3, "time_span": 3}),
    ("tisasrec_tiny", {"num_blocks": 1, "item_embedding_dim": 7}),
    ("fparec_tiny", {"num_blocks": 3, "num_heads": 3, "factors": 1, "ffn_activation_fn": "gelu"}),
    ("fparec_tiny", {"num_blocks": 1, "ffn_hidden_dim": 5}),
    ("parec_tiny", {"num_blocks": 3, "num_heads": 4, "ffn_activation_fn": "gelu"}),
    ("fparec_per_block_tiny", {"num_blocks": 3, "num_heads": 5, "factors": 9, "ffn_activation_fn": "gelu"}),
)


def make_random_model(golden: Golden, *, seed: int, changes: dict[str, Any]) -> Recommender:
    """Return a model of other settings with random weights, in float64."""
    recipe = make_foundation_recipe(golden)
    model_settings = type(recipe.model).model_validate(recipe.model.model_dump() | changes)
    recipe = recipe.model_copy(update={"model": model_settings})
    model = Recommender(recipe, items_of_shape(max_item_id=40, num_genres=1), operators=PLAIN_OPERATORS).double().eval()
    generator = torch.Generator().manual_seed(seed)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.5, generator=generator)
    return model


def draw_histories(*, length: int, seed: int) -> Histories:
    """Return users of every length up to the window's, padded by nothing that means anything."""
    generator = torch.Generator().manual_seed(seed)
    length_B = torch.arange(1, length + 1)
    item_BN = torch.randint(1, 41, (length, length + 3), generator=generator)
    time_BN = torch.randint(1, 9, (length, length + 3), generator=generator).cumsum(1)
    return Histories(length_B=length_B, item_BN=item_BN, time_BN=time_BN, half_star_BN=torch.zeros_like(item_BN))


@pytest.mark.parametrize(("file", "changes"), OTHER_SHAPES)
def test_other_shapes_and_options_are_those_of_the_formulas(file: str, changes: dict[str, Any]) -> None:
    golden = load_golden(file)
    model = make_random_model(golden, seed=5, changes=changes)
    histories = draw_histories(length=golden.length, seed=6)
    with torch.no_grad():
        found_BND = model(histories).numpy()
    restated = Restated(model)
    for user, length in enumerate(histories.length_B.tolist()):
        items, times = histories.item_BN[user, :length].tolist(), histories.time_BN[user, :length].tolist()
        np.testing.assert_allclose(found_BND[user, :length], restated.encode(items, times), atol=1e-10)
        assert not found_BND[user, length:].any()


def test_the_norm_of_every_table_joins_the_loss(golden: Golden) -> None:
    plain, penalised = load_model(golden, "random", embedding_l2=1e-12), load_model(golden, "random", embedding_l2=0.01)
    loss = backpropagate(plain, golden)
    tables = [value for name, value in penalised.named_parameters() if name in TABLES.values()]
    assert len(tables) == (5 if golden.about["system"] == "tisasrec" else 2)
    expected = loss + 0.01 * sum(table.square().sum().item() for table in tables)
    assert backpropagate(penalised, golden) == pytest.approx(expected, rel=1e-6)
    gradient = penalised.item_embedding.weight.grad
    assert gradient is not None
    torch.testing.assert_close(gradient[0], 0.02 * penalised.item_embedding.weight.detach()[0])


def change_last_item(golden: Golden, tag: str) -> Tensor:
    """Return how far every state moves if each user's last item is another."""
    model, histories = load_model(golden, tag), golden.window("batch0")
    place_B1 = histories.length_B[:, None] - 1
    other_BN = histories.item_BN.scatter(1, place_B1, histories.item_BN.gather(1, place_B1) % 30 + 1)
    with torch.no_grad():
        moved_BN: Tensor = (model(replace(histories, item_BN=other_BN)) - model(histories)).abs().amax(2)
    assert moved_BN.gather(1, place_B1).min() > 1e-3
    return moved_BN.scatter(1, place_B1, 0.0)


def test_no_state_sees_a_later_event_but_those_of_fparec_as_released(golden: Golden) -> None:
    moved_BN, length_B = change_last_item(golden, "after3"), golden.window("batch0").length_B
    is_padded_B = (length_B < golden.length) & (length_B > 1)
    assert is_padded_B.any()
    if golden.about["system"] in {"fparec", "parec"}:
        # Padding holds the mean of the whole window from the second block on, and is attended to.
        assert moved_BN[is_padded_B].amax(1).min() > 1e-3
        assert not moved_BN[length_B == golden.length].any()
    else:
        assert not moved_BN.any()


def test_fparec_as_released_does_not_leak_before_its_first_step() -> None:
    assert not change_last_item(load_golden("fparec_tiny"), "init").any()


def test_no_state_sees_another_user(golden: Golden) -> None:
    model, histories = load_model(golden, "random"), golden.window("batch0")
    with torch.no_grad():
        together = model(histories)
        for user in range(len(histories.length_B)):
            alone = replace(
                histories,
                length_B=histories.length_B[user, None],
                item_BN=histories.item_BN[user, None],
                time_BN=histories.time_BN[user, None],
            )
            torch.testing.assert_close(model(alone)[0], together[user], atol=1e-6, rtol=0)


def test_a_fresh_model_has_tensorflows_distributions(golden: Golden) -> None:
    model = golden.make_model(make_foundation_recipe(golden), rename(golden, golden.variables("init")))
    initialize(model, initialization_generators(1))
    for name, parameter in model.named_parameters():
        if name.endswith("norm.weight"):
            assert bool((parameter == 1).all()), name
        elif name.endswith("bias"):
            assert not parameter.any(), name
        elif ".scores." in name:
            std = 0.1 / parameter.shape[-1] ** 0.25 if name.endswith("factor") else 0.01
            assert parameter.abs().max() <= 2 * std, name
            assert parameter.std().item() == pytest.approx(0.88 * std, rel=0.2), name  # cut at two deviations
        else:
            bound = (6 / sum(parameter.shape)) ** 0.5
            assert parameter.abs().max() <= bound, name
            assert parameter.std().item() == pytest.approx(bound / 3**0.5, rel=0.25), name
