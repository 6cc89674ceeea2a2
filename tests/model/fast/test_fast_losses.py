"""The fast path's losses and gradients are those of the reference path, for every component, and the same each time."""

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from hstu_preserve.compute.determinism import make_generator, seed_dropout
from hstu_preserve.model import objective
from hstu_preserve.model.fast import layout, sampled_softmax
from hstu_preserve.model.fast import objective as fast
from hstu_preserve.model.objective import Draws, Losses, draw
from hstu_preserve.model.recommender import Recommender
from hstu_preserve.primitives.json_values import Json
from tests.model.tiny_models import make_histories, make_lively_model, make_model_recipe

LENGTHS = (8, 1, 5, 8, 3, 2, 7, 8)
PRISM: dict[str, Json] = {"load_balance_weight": 0.5}
RECIPES: dict[str, dict[str, dict[str, Json]]] = {
    "base": {},
    "two heads": {"model": {"num_heads": 2, "dqk": 4, "dv": 6}},
    "concatenated gate": {"model": {"concat_ua": True, "linear_activation": "none"}},
    "layer norm": {"model": {"user_embedding_norm": "layer_norm", "dropout_rate": 0.0}},
    "real length": {"model": {"attention_normalization": "real_length"}},
    "plain items": {"loss": {"item_l2_norm": False}},
    "checkpointed loss": {"loss": {"activation_checkpoint": True}},
    "in-batch negatives": {"loss": {"sampling_strategy": "in-batch"}},
    "shared additive": {"prism": PRISM | {"apply_to": "shared"}},
    "experts": {"prism": PRISM | {"variant": "moe"}},
    "film": {"prism": PRISM | {"variant": "film"}},
    "chunks": {"input_compression": {}},
    "categories": {"input_compression": {"pooling": "category"}},
    "learned tokens": {"input_compression": {"pooling": "learned"}},
    "decay": {"time_decay": {}, "model": {"num_heads": 2, "dqk": 4, "dv": 4}},
    "constant decay": {"time_decay": {"learnable": False, "mode": "exp_power"}},
    "decay of each layer": {"time_decay": {"per_layer": True}},
    "decaying loss": {"time_decay": {"where": "loss", "learnable": False}},
    "hard negatives": {"hard_negatives": {"warmup_epochs": 0}},
    "adjusted logits": {"pop_debias": {"mode": "logit_adjust"}},
    "weighted targets": {"pop_debias": {"mode": "ips"}},
    "actions": {"action_fusion": {}},
    "all together": {"prism": PRISM, "input_compression": {}, "time_decay": {}, "hard_negatives": {"warmup_epochs": 0}},
}


@pytest.fixture(autouse=True)
def several_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    """Histories of eight events make a single tile otherwise."""
    monkeypatch.setattr(layout, "QUERIES_AT_ONCE", 3)
    monkeypatch.setattr(layout, "SCORES_AT_ONCE", 60)
    monkeypatch.setattr(layout, "MOST_PADDING", 1)
    monkeypatch.setattr(sampled_softmax, "PAIRS_AT_ONCE", 64)
    monkeypatch.setattr(sampled_softmax, "PAIRS_PER_ITEM", 1)
    monkeypatch.setattr(sampled_softmax, "DENSE_LOGITS_AT_ONCE", 200)


def make_draws(model: Recommender, *, seed: int = 0) -> Draws:
    histories = make_histories(LENGTHS, recipe=model.recipe, seed=seed)
    return draw(
        model,
        histories,
        epoch=0,
        own_BH=histories.item_BN if model.recipe.hard_negatives else None,
        generator_for=lambda purpose: make_generator(0, purpose),
    )


def compute(losses: Callable[..., Losses], model: Recommender, draws: Draws) -> tuple[list[Tensor], dict[str, Tensor]]:
    """Return the losses and the gradients that one path computes, with dropout's masks drawn alike."""
    seed_dropout(3, epoch=0, step=0)
    model.train().zero_grad()
    found = losses(model, draws)
    found.total.backward()  # type: ignore[no-untyped-call]  # torch does not annotate it
    parts = [found.total, found.main, *([] if found.load_balance is None else [found.load_balance])]
    gradients = {name: one.grad.clone() for name, one in model.named_parameters() if one.grad is not None}
    return [part.detach() for part in parts], gradients


@pytest.mark.parametrize("products", ["of all items", "by position", "by item"])
@pytest.mark.parametrize("kind", ["HSTU", "SASRec"])
def test_each_component_has_the_losses_and_gradients_of_the_reference_path(
    kind: str, products: str, monkeypatch: pytest.MonkeyPatch, subtests: pytest.Subtests
) -> None:
    if products != "of all items":
        monkeypatch.setattr(sampled_softmax, "DENSE_ITEMS_PER_PAIR", 0)
    if products == "by item":
        monkeypatch.setattr(sampled_softmax, "CACHE_BYTES", 5 * 8 * 4)
    for name, changes in RECIPES.items():
        if kind == "SASRec" and (changes.keys() & {"model", "time_decay"} or name == "learned tokens"):
            continue
        with subtests.test(name):
            model = make_lively_model(make_model_recipe(kind, **changes))
            draws = make_draws(model)
            losses, gradients = compute(objective.training_losses, model, draws)
            fast_losses, fast_gradients = compute(fast.training_losses, model, draws)
            torch.testing.assert_close(fast_losses, losses, rtol=1e-5, atol=1e-6)
            assert fast_gradients.keys() == gradients.keys()
            for parameter, gradient in gradients.items():
                scale = float(gradient.abs().max())
                torch.testing.assert_close(
                    fast_gradients[parameter], gradient, rtol=0, atol=3e-5 * scale + 1e-9, msg=parameter
                )


def test_the_same_bits_come_out_again_whatever_the_number_of_threads() -> None:
    model = make_lively_model(make_model_recipe("HSTU"))
    draws = make_draws(model)
    before = torch.get_num_threads()
    found = []
    for threads in (1, 2, 2):
        torch.set_num_threads(threads)
        found.append(compute(fast.training_losses, model, draws))
    torch.set_num_threads(before)
    for losses, gradients in found[1:]:
        assert losses == found[0][0]
        assert all(torch.equal(gradients[name], found[0][1][name]) for name in gradients)


def test_what_stands_behind_the_valid_positions_changes_nothing() -> None:
    model = make_lively_model(make_model_recipe("HSTU", model={"dropout_rate": 0.0, "linear_dropout_rate": 0.0}))
    draws = make_draws(model)
    histories = draws.histories
    is_behind_BN = torch.arange(histories.item_BN.shape[1]) > histories.length_B[:, None]
    other = replace(draws, histories=replace(histories, time_BN=histories.time_BN.masked_fill(is_behind_BN, 2**40)))
    one, another = (compute(fast.training_losses, model, each) for each in (draws, other))
    assert one[0] == another[0]
    assert all(torch.equal(one[1][name], another[1][name]) for name in one[1])


def test_a_negative_that_is_the_positive_has_no_share() -> None:
    user_TD, table_JD = torch.randn(4, 8, requires_grad=True), torch.randn(9, 8, requires_grad=True)
    positive_T = torch.arange(1, 5)
    losses = [
        sampled_softmax.sampled_softmax(
            user_TD, item_table=table_JD, positive_T=positive_T, negative_TK=negative_TK, temperature=0.1
        )
        for negative_TK in (positive_T[:, None].expand(4, 3), positive_T[:, None])
    ]
    for loss_T in losses:
        assert torch.equal(loss_T, torch.zeros(4))
        assert not torch.autograd.grad(loss_T.sum(), user_TD)[0].any()


def test_a_loss_without_gradients_for_users_or_table_is_computed() -> None:
    user_TD, table_JD = torch.randn(4, 8), torch.randn(9, 8, requires_grad=True)
    arguments = {"positive_T": torch.arange(1, 5), "negative_TK": torch.arange(5, 9)[:, None].expand(4, 4)}
    loss_T = sampled_softmax.sampled_softmax(user_TD, item_table=table_JD, temperature=0.1, **arguments)
    assert torch.autograd.grad(loss_T.sum(), table_JD)[0].any()
