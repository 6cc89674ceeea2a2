"""Components together: weights joined, supervised positions found, masks kept, and gradients through all of it.

Expected losses are computed from the raw histories, in double precision, by each component's published formula.

Shape suffixes: B batch, N position, T supervised positions, J item ids from 0 (padding), I candidates, D model width.
"""

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from hstu_preserve.compute.determinism import make_generator
from hstu_preserve.model.histories import Histories
from hstu_preserve.model.items import Items
from hstu_preserve.model.jagged import PLAIN_OPERATORS
from hstu_preserve.model.objective import Draws, draw, mix_in_hard, select_supervised
from hstu_preserve.model.recommender import Recommender
from hstu_preserve.primitives.json_values import Json
from tests.model.tiny_losses import position_losses, training_loss
from tests.model.tiny_models import (
    KINDS,
    MAX_ITEM_ID,
    NUM_GENRES,
    draw_for,
    make_histories,
    make_items,
    make_lively_model,
    make_model_recipe,
)

LENGTHS = (8, 6, 4, 2)
RECENT = 4
DAY_SECONDS = 86_400
RATE = 0.8
SEED = 4
"""Of histories whose popular items are not of the same age as the others."""
POOLINGS = ("chunk", "category", "learned")
LOSS_DECAY: dict[str, Json] = {"where": "loss", "learnable": False, "rate": RATE, "mode": "power"}

each_kind = pytest.mark.parametrize("kind", KINDS)
each_pooling = pytest.mark.parametrize("pooling", POOLINGS)


def list_supervised_events(model: Recommender, histories: Histories) -> list[tuple[int, int]]:
    """Return (user, event) of every event that is asked for the next one, in row order."""
    kept = RECENT if model.recipe.is_compressed else max(LENGTHS)
    return [
        (user, event)
        for user, length in enumerate(histories.length_B.tolist())
        for event in range(max(0, length - kept), length)
    ]


def fade(histories: Histories, *, user: int, event: int) -> float:
    """Return (1 + age in days)^-ρ, the age being that at the user's last event."""
    last = histories.time_BN[user, histories.length_B[user] - 1]
    age_days = int(last - histories.time_BN[user, event]) / DAY_SECONDS
    return math.exp(-RATE * math.log1p(age_days))


def weigh_inversely(items: Items, item: int) -> float:
    """Return ((1 / I) / p)^0.5, clipped to 0.1…10, with one more event counted per candidate."""
    count_I = items.count_J[items.candidate_I] + 1
    share = int(items.count_J[item] + 1) / int(count_I.sum())
    return min(max(math.sqrt(1 / len(count_I) / share), 0.1), 10.0)


def weighted_mean(loss_T: Tensor, weights: list[float]) -> float:
    weight_T = torch.tensor(weights, dtype=torch.float64)
    return float((loss_T.double() * weight_T).sum() / weight_T.sum())


# Weights.


@each_kind
def test_inverse_propensity_and_a_fading_loss_multiply_to_weights_of_mean_one(kind: str) -> None:
    recipe = make_model_recipe(kind, time_decay=LOSS_DECAY, pop_debias={"mode": "ips"})
    model, histories = make_lively_model(recipe), make_histories(LENGTHS, recipe=recipe, seed=SEED)
    draws, events = draw_for(model, histories), list_supervised_events(model, histories)
    faded = [fade(histories, user=user, event=event) for user, event in events]
    inverse = [weigh_inversely(make_items(), int(histories.item_BN[user, event + 1])) for user, event in events]
    product = [one * other for one, other in zip(faded, inverse, strict=True)]
    mean_of_each = sum(faded) * sum(inverse) / len(events)
    assert sum(product) != pytest.approx(mean_of_each, rel=0.01)  # weights of mean 1 have no product of mean 1
    loss_T = position_losses(model, draws).detach()
    found = training_loss(model, draws).item()
    assert found == pytest.approx(weighted_mean(loss_T, product), rel=1e-5)
    for incomplete in (faded, inverse, [1.0] * len(events)):
        assert found != pytest.approx(weighted_mean(loss_T, incomplete), rel=1e-3)


@pytest.mark.parametrize(
    ("kind", "pooling"), [*[(kind, pooling) for kind in KINDS for pooling in POOLINGS[:2]], ("HSTU", "learned")]
)
@pytest.mark.parametrize("debias", [False, True])
def test_a_fading_loss_weighs_the_events_that_compression_keeps_by_their_own_age(
    kind: str, pooling: str, debias: bool
) -> None:
    changes: dict[str, dict[str, Json]] = {"pop_debias": {"mode": "ips"}} if debias else {}
    recipe = make_model_recipe(
        kind, input_compression={"pooling": pooling, "recent_len": RECENT}, time_decay=LOSS_DECAY, **changes
    )
    model, histories = make_lively_model(recipe), make_histories(LENGTHS, recipe=recipe, seed=SEED)
    draws, events = draw_for(model, histories), list_supervised_events(model, histories)
    weights = [
        fade(histories, user=user, event=event)
        * (weigh_inversely(make_items(), int(histories.item_BN[user, event + 1])) if debias else 1.0)
        for user, event in events
    ]
    loss_T = position_losses(model, draws).detach()
    assert len(loss_T) == len(events) == 4 + 4 + 4 + 2
    assert training_loss(model, draws).item() == pytest.approx(weighted_mean(loss_T, weights), rel=1e-5)
    shifted = [weights[-1], *weights[:-1]]
    assert training_loss(model, draws).item() != pytest.approx(weighted_mean(loss_T, shifted), rel=1e-3)


# Logits.


@each_kind
@pytest.mark.parametrize("padding_row", [False, True])
@pytest.mark.parametrize("compressed", [False, True])
def test_the_full_softmax_adjusts_every_candidates_logit_and_the_padding_rows_never(
    kind: str, padding_row: bool, compressed: bool
) -> None:
    alpha, temperature = 0.7, 0.05
    compression: dict[str, dict[str, Json]] = {"input_compression": {"recent_len": RECENT}} if compressed else {}
    recipe = make_model_recipe(
        kind,
        loss={"loss_module": "FullSoftmaxLoss", "padding_row": padding_row, "temperature": temperature},
        pop_debias={"mode": "logit_adjust", "alpha": alpha},
        **compression,
    )
    model, histories, items = make_lively_model(recipe), make_histories(LENGTHS, recipe=recipe), make_items()
    encoded = model.encode(histories)
    supervised = select_supervised(model, encoded.tokens, encoded.user_BND)
    count_I = items.count_J[items.candidate_I].double() + 1
    logit_TI = supervised.user_TD.double() @ encoded.table_JD[items.candidate_I].double().t() / temperature
    logit_TI = logit_TI + alpha * (count_I / count_I.sum() * len(count_I)).log()
    column_T = supervised.positive_T - 1  # the candidates are the items from 1 on
    own_T = logit_TI.gather(1, column_T[:, None]).squeeze(1)
    if padding_row:
        logit_TI = torch.cat([logit_TI, torch.zeros(len(logit_TI), 1, dtype=torch.float64)], dim=1)
    expected_T = (logit_TI.logsumexp(1) - own_T).float()
    torch.testing.assert_close(position_losses(model, draw_for(model, histories)), expected_T, atol=1e-4, rtol=1e-5)


# Hard negatives where a history ends early.


def draw_early_end(model: Recommender, histories: Histories) -> Draws:
    return draw(
        model,
        histories,
        epoch=1,
        own_BH=histories.item_BN,
        generator_for=lambda purpose: make_generator(2, purpose),
    )


@pytest.mark.parametrize("pooling", POOLINGS)
def test_items_after_a_drawn_end_are_still_no_hard_negatives_of_their_user(pooling: str) -> None:
    recipe = make_model_recipe(
        "HSTU",
        input_compression={"pooling": pooling, "recent_len": 2, "random_boundary": True},
        loss={"num_negatives": 30},
        hard_negatives={"fraction": 1.0, "pool_size": MAX_ITEM_ID},
    )
    model = make_lively_model(recipe)
    histories = make_histories((8,) * 6, recipe=recipe)
    draws = draw_early_end(model, histories)
    ended_B = draws.histories.length_B
    assert (ended_B < 7).sum() >= 3
    encoded = model.encode(draws.histories)
    negative_TK = mix_in_hard(model, encoded, select_supervised(model, encoded.tokens, encoded.user_BND), draws)
    for user, negative_EK in enumerate(negative_TK.split(2)):  # type: ignore[no-untyped-call]
        assert not set(histories.item_BN[user].tolist()) & set(negative_EK.flatten().tolist())


# Gradients.


def make_items_with_a_rare_genre(item: int) -> Items:
    """Return items of which only this one has the first genre, beside another."""
    items = make_items()
    genre_JG = items.genre_JG.clone()
    genre_JG[:, 0] = 0
    genre_JG[item, :2] = 1
    return replace(items, genre_JG=genre_JG)


@each_pooling
@pytest.mark.parametrize("variant", ["additive", "film", "moe"])
def test_what_is_known_of_an_old_event_learns_through_the_token_that_stands_for_it(variant: str, pooling: str) -> None:
    recipe = make_model_recipe(
        "HSTU",
        prism={"variant": variant, "features": ["genres"], "load_balance_weight": 0.0},
        input_compression={"pooling": pooling, "recent_len": RECENT, "num_tokens": NUM_GENRES},
    )
    histories = make_histories((8,), recipe=recipe)
    old, elsewhere = int(histories.item_BN[0, 1]), histories.item_BN[0, RECENT:]
    assert old not in elsewhere.tolist()
    model = Recommender(recipe, make_items_with_a_rare_genre(old), operators=PLAIN_OPERATORS)
    model.load_state_dict(make_lively_model(recipe).state_dict())
    weight = model.get_parameter("prism.features.genres.weight")
    (gradient_GS,) = torch.autograd.grad(training_loss(model.eval(), draw_for(model, histories)), [weight])
    assert gradient_GS[0].abs().min() > 1e-6
    assert torch.isfinite(gradient_GS).all()


@each_pooling
def test_the_side_encoders_gradient_is_the_slope_of_the_loss_where_old_events_are_compressed(pooling: str) -> None:
    recipe = make_model_recipe(
        "HSTU",
        prism={"variant": "additive", "features": ["genres"]},
        input_compression={"pooling": pooling, "recent_len": 1, "num_tokens": NUM_GENRES},
    )
    model = make_lively_model(recipe)
    histories = make_histories((8,), recipe=recipe)
    weights = [model.get_parameter(f"prism.{name}.weight") for name in ("encoder", "fusion.shift")]
    whole = torch.autograd.grad(training_loss(model, draw_for(model, histories)), weights)
    step = 1e-3
    for weight, gradient in zip(weights, whole, strict=True):
        direction = gradient / gradient.norm()
        ends = []
        for sign in (1, -1):
            with torch.no_grad():
                weight.add_(direction, alpha=sign * step)
                ends.append(training_loss(model, draw_for(model, histories)).item())
                weight.sub_(direction, alpha=sign * step)
        assert (ends[0] - ends[1]) / (2 * step) == pytest.approx(gradient.norm().item(), rel=0.02)
