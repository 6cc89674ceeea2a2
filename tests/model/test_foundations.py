"""SASRec, TiSASRec, FPARec and PARec as published: the states, losses, gradients and steps of their own code."""

import pytest
import torch
from torch import Tensor
from torch.nn import LayerNorm, Module

from hstu_preserve.training.optimizers import make_optimizer
from tests.model.foundation_models import (
    EXACT,
    GOLDEN_FILES,
    KEY_BIAS,
    backpropagate,
    load_model,
    rename,
    require_gradients,
)
from tests.model.foundations_golden import Golden, give_masks, load_golden

TAGS = ("init", "after3", "random")


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
    assert backpropagate(model, golden) == pytest.approx(golden.tensors[f"{tag}/loss"].item(), abs=1e-6)
    require_gradients(model, rename(golden, golden.variables(tag, "grad")))


def test_dropout_falls_where_and_when_the_references_does(golden: Golden, monkeypatch: pytest.MonkeyPatch) -> None:
    model = load_model(golden, "random", dropout_rate=golden.arguments["dropout_rate"]).train()
    masks = give_masks(golden, monkeypatch)
    assert backpropagate(model, golden) == pytest.approx(golden.tensors["dropout/loss"].item(), abs=1e-6)
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
    assert losses == pytest.approx(golden.tensors["steps/losses"].tolist(), abs=1e-6)
