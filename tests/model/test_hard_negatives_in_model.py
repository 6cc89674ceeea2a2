"""Hard negatives in a model: none before their time, then the model's own highest scores, never the user's items."""

from dataclasses import replace

import pytest
import torch
from torch import Generator, Tensor

from hstu_preserve.compute.determinism import make_generator
from hstu_preserve.model.histories import Histories
from hstu_preserve.model.objective import Draws, draw, mix_in_hard, select_supervised
from hstu_preserve.model.recommender import Recommender
from hstu_preserve.primitives.json_values import Json
from tests.model.tiny_losses import position_losses, training_loss
from tests.model.tiny_models import KINDS, make_histories, make_lively_model, make_model_recipe

LENGTHS = (8, 1, 4)
COMPRESSED: dict[str, dict[str, Json]] = {"input_compression": {"pooling": "chunk"}}


def make_hard_model(
    hard: dict[str, Json] | None = None, *, kind: str = "HSTU", changes: dict[str, dict[str, Json]] | None = None
) -> Recommender:
    settings: dict[str, Json] = {"fraction": 0.5, "pool_size": 12, "warmup_epochs": 1}
    groups: dict[str, dict[str, Json]] = {"hard_negatives": settings | (hard or {})}
    return make_lively_model(make_model_recipe(kind, **(groups | (changes or {}))))


def draw_step(model: Recommender, *, epoch: int, generators: dict[str, Generator] | None = None) -> Draws:
    """Draw one step; the generators that were asked for are left in `generators`."""
    known = {} if generators is None else generators

    def generator_for(purpose: str) -> Generator:
        return known.setdefault(purpose, make_generator(1, purpose))

    histories = make_histories(LENGTHS, recipe=model.recipe)
    return draw(model, histories, epoch=epoch, own_BH=histories.item_BN, generator_for=generator_for)


def learn(model: Recommender, draws: Draws) -> list[Tensor]:
    """Return the loss of one step, dropout on and seeded, and every gradient."""
    torch.manual_seed(5)
    loss = training_loss(model.train(), draws)
    return [loss.detach(), *torch.autograd.grad(loss, list(model.parameters())), torch.get_rng_state()]


def mix(model: Recommender, draws: Draws) -> tuple[Tensor, Histories]:
    """Return the negatives that the loss is made with, and the histories they are for."""
    encoded = model.eval().encode(draws.histories)
    supervised = select_supervised(model, encoded.tokens, encoded.user_BND)
    return mix_in_hard(model, encoded, supervised, draws), draws.histories


def count_positions(model: Recommender) -> list[int]:
    compression = model.recipe.input_compression
    return [min(length, compression.recent_len) if compression else length for length in LENGTHS]


@pytest.mark.parametrize("kind", KINDS)
def test_before_its_epoch_loss_gradients_and_generators_are_the_base_models(kind: str) -> None:
    base, waiting = make_lively_model(make_model_recipe(kind)), make_hard_model(kind=kind)
    base_generators: dict[str, Generator] = {}
    generators: dict[str, Generator] = {}
    base_draws = draw_step(base, epoch=0, generators=base_generators)
    draws = draw_step(waiting, epoch=0, generators=generators)
    assert draws.pool_P is None
    assert all(
        torch.equal(one, other) for one, other in zip(learn(waiting, draws), learn(base, base_draws), strict=True)
    )
    assert generators.keys() == base_generators.keys()
    assert all(torch.equal(generators[name].get_state(), base_generators[name].get_state()) for name in generators)


@pytest.mark.parametrize("kind", KINDS)
def test_from_its_epoch_on_the_uniform_draw_stays_and_what_is_learned_changes(kind: str) -> None:
    base, hard = make_lively_model(make_model_recipe(kind)), make_hard_model(kind=kind)
    base_draws, draws = draw_step(base, epoch=1), draw_step(hard, epoch=1)
    assert draws.negative_TK is not None
    assert base_draws.negative_TK is not None
    assert torch.equal(draws.negative_TK, base_draws.negative_TK)
    assert draws.pool_P is not None
    assert len(draws.pool_P) == 12
    assert not torch.equal(learn(hard, draws)[0], learn(base, base_draws)[0])


@pytest.mark.parametrize("changes", [{}, COMPRESSED], ids=["plain", "compressed"])
def test_half_of_each_positions_negatives_come_from_the_pool_and_none_from_its_user(
    changes: dict[str, dict[str, Json]],
) -> None:
    model = make_hard_model({"pool_size": 40}, changes=changes)
    draws = draw_step(model, epoch=1)
    negative_TK, histories = mix(model, draws)
    assert draws.negative_TK is not None
    positions = count_positions(model)
    assert len(negative_TK) == sum(positions)
    assert torch.equal(negative_TK[:, :2], draws.negative_TK[:, :2])
    for user, of_user in enumerate(negative_TK.split(positions)):  # type: ignore[no-untyped-call]
        own = set(histories.item_BN[user].tolist())
        assert not own & set(of_user[:, 2:].flatten().tolist())


def test_items_of_the_user_may_be_negatives_where_the_recipe_allows_it() -> None:
    model = make_hard_model({"pool_size": 40, "exclude_history": False, "fraction": 1.0})
    negative_TK, histories = mix(model, draw_step(model, epoch=1))
    own = set(histories.item_BN[0].tolist())
    assert own & set(negative_TK[:8].flatten().tolist())


@pytest.mark.parametrize("changes", [{}, COMPRESSED], ids=["plain", "compressed"])
def test_the_selected_score_at_least_what_any_other_allowed_item_of_the_pool_scores(
    changes: dict[str, dict[str, Json]],
) -> None:
    model = make_hard_model({"pool_size": 40}, changes=changes)
    draws = draw_step(model, epoch=1)
    negative_TK, histories = mix(model, draws)
    encoded = model.encode(draws.histories)
    user_TD = select_supervised(model, encoded.tokens, encoded.user_BND).user_TD
    score_TJ = user_TD @ encoded.table_JD.t()
    owners = [user for user, count in enumerate(count_positions(model)) for _ in range(count)]
    for position, user in enumerate(owners):
        selected = set(negative_TK[position, 2:].tolist())
        own = set(histories.item_BN[user].tolist())
        others = [item for item in range(1, 41) if item not in selected | own]
        lowest = score_TJ[position, list(selected)].min()
        assert lowest >= score_TJ[position, others].max() - 1e-6


@pytest.mark.parametrize("changes", [{}, COMPRESSED], ids=["plain", "compressed"])
def test_the_loss_is_the_sampled_softmax_with_the_selected_negatives(changes: dict[str, dict[str, Json]]) -> None:
    model = make_hard_model(changes=changes)
    draws = draw_step(model, epoch=1)
    negative_TK, _ = mix(model, draws)
    by_hand = position_losses(model, replace(draws, negative_TK=negative_TK, pool_P=None))
    assert torch.equal(position_losses(model, draws), by_hand)


def test_wholly_hard_negatives_cost_at_least_as_much_as_distinct_easy_ones() -> None:
    model = make_hard_model({"fraction": 1.0, "pool_size": 40, "exclude_history": False})
    draws = draw_step(model, epoch=1)
    assert draws.negative_TK is not None
    distinct = torch.stack(
        [torch.randperm(40, generator=Generator().manual_seed(t))[:4] + 1 for t in range(len(draws.negative_TK))]
    )
    hard, easy = (position_losses(model, replace(draws, negative_TK=distinct, pool_P=p)) for p in (draws.pool_P, None))
    assert (hard >= easy - 1e-4).all()
    assert (hard > easy + 0.1).any()
