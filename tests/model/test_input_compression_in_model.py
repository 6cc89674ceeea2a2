"""Input compression inside the recommender: what the encoder may see, what is supervised, and what is filtered."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch
from torch import Tensor

from hstu_preserve.data.batches import assemble_batch
from hstu_preserve.data.store import Store
from hstu_preserve.evaluation.ranks import concatenate
from hstu_preserve.evaluation.users import rank_users
from hstu_preserve.inputs.histories import to_evaluation_histories
from hstu_preserve.inputs.items import describe_items
from hstu_preserve.model.histories import Histories
from hstu_preserve.model.items import Items
from hstu_preserve.model.jagged import PLAIN_OPERATORS
from hstu_preserve.model.objective import select_supervised
from hstu_preserve.model.recommender import Recommender
from hstu_preserve.primitives.json_values import Json
from hstu_preserve.records.recipe import Recipe
from tests.data.stores_in_memory import synthesize
from tests.model.tiny_losses import position_losses
from tests.model.tiny_models import (
    KINDS,
    MAX_ITEM_ID,
    draw_for,
    make_histories,
    make_items,
    make_model_recipe,
    mean_loss,
)

POOLINGS = [
    *[pytest.param(kind, pooling, id=f"{kind}-{pooling}") for kind in KINDS for pooling in ("chunk", "category")],
    pytest.param("HSTU", "learned", id="HSTU-learned"),
]
each_pooling = pytest.mark.parametrize(("kind", "pooling"), POOLINGS)
LENGTHS = (8, 6, 4, 2)
RECENT = 4
VISIBLE = 1e-3  # a change larger than any rounding
ROUNDING = 1e-6
CPU = torch.device("cpu")


def make_compressed_recipe(
    kind: str,
    pooling: str,
    *,
    model: dict[str, Json] | None = None,
    compression: dict[str, Json] | None = None,
    **changes: dict[str, Json],
) -> Recipe:
    """Return a tiny recipe that keeps 4 of 8 events and makes 2 tokens of the others."""
    input_compression: dict[str, Json] = {"pooling": pooling, "recent_len": RECENT, **(compression or {})}
    return make_model_recipe(kind, model=model, input_compression=input_compression, **changes)


def make_model(recipe: Recipe, items: Items | None = None, *, seed: int = 1) -> Recommender:
    """Return a model in evaluation mode with weights so large that each of them shows.

    Each weight is drawn by its name, so that models share what they have in common.
    """
    model = Recommender(recipe, items or make_items(), operators=PLAIN_OPERATORS)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            generator = torch.Generator().manual_seed(seed + sum(name.encode()))
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.5)
    return model.eval()


def change_item(histories: Histories, event: int, *, to: int | None = None) -> Histories:
    """Return the histories with another item at one event of the first user."""
    item_BN = histories.item_BN.clone()
    item_BN[0, event] = to or item_BN[0, event] % MAX_ITEM_ID + 1
    return replace(histories, item_BN=item_BN)


def measure_change(model: Recommender, before: Histories, after: Histories) -> list[float]:
    """Return the largest change of output at each position of the first user."""
    changes: list[float] = (model(after) - model(before))[0].abs().amax(-1).tolist()
    return changes


def count_leading(model: Recommender, histories: Histories) -> int:
    """Return how many positions stand before the first user's recent events."""
    leading_B = model.encode(histories).tokens.num_unsupervised_B
    assert leading_B is not None
    return int(leading_B[0])


@each_pooling
@pytest.mark.parametrize("recent", range(RECENT))
def test_a_recent_item_changes_no_output_before_it_and_every_one_from_it_on(
    kind: str, pooling: str, recent: int
) -> None:
    model = make_model(make_compressed_recipe(kind, pooling))
    histories = make_histories(LENGTHS, recipe=model.recipe)
    place = count_leading(model, histories) + recent
    change = measure_change(model, histories, change_item(histories, LENGTHS[0] - RECENT + recent))
    assert max(change[:place]) <= ROUNDING
    assert min(change[place : place + RECENT - recent]) > VISIBLE


@each_pooling
def test_the_target_changes_no_output_that_is_asked_for_it(kind: str, pooling: str) -> None:
    model = make_model(make_compressed_recipe(kind, pooling))
    histories = make_histories(LENGTHS, recipe=model.recipe)
    length = count_leading(model, histories) + RECENT
    change = measure_change(model, histories, change_item(histories, LENGTHS[0]))
    assert max(change[:length]) <= ROUNDING


@each_pooling
def test_old_events_are_not_forgotten(kind: str, pooling: str) -> None:
    model = make_model(make_compressed_recipe(kind, pooling))
    histories = make_histories(LENGTHS, recipe=model.recipe)
    leading = count_leading(model, histories)
    for old in range(LENGTHS[0] - RECENT):
        to = histories.item_BN[0, old] % MAX_ITEM_ID + 1
        change = measure_change(model, histories, change_item(histories, old, to=int(to)))
        if pooling == "category" and not has_token(model, histories, old, other=int(to)):
            continue
        assert min(change[leading : leading + RECENT]) > 0


def has_token(model: Recommender, histories: Histories, event: int, *, other: int) -> bool:
    """Return whether an event of the first user, or what replaces it, stands in a genre's token."""
    before, after = (model.encode(each).tokens for each in (histories, change_item(histories, event, to=other)))
    return not torch.equal(before.embedding_BND[0], after.embedding_BND[0])


@pytest.mark.parametrize("kind", KINDS)
def test_dropped_events_change_nothing(kind: str) -> None:
    model = make_model(make_compressed_recipe(kind, "chunk", compression={"num_tokens": 1}))
    histories = make_histories(LENGTHS, recipe=model.recipe)
    for dropped in range(2):
        assert torch.equal(model(histories), model(change_item(histories, dropped)))
    assert not torch.equal(model(histories), model(change_item(histories, 2)))


@each_pooling
def test_short_histories_are_encoded_as_by_the_base_of_the_same_length(kind: str, pooling: str) -> None:
    compressed = make_model(make_compressed_recipe(kind, pooling, dataset={"max_sequence_length": 6}))
    length = compressed.recipe.encoded_length
    base = make_model(make_model_recipe(kind, dataset={"max_sequence_length": length}))
    lengths = (4, 3, 2, 1)
    raw = make_histories(lengths, recipe=compressed.recipe)
    padding = length + 3 - raw.item_BN.shape[1]
    longer = Histories(
        length_B=raw.length_B,
        **{
            name: torch.nn.functional.pad(getattr(raw, name), (0, padding))
            for name in ("item_BN", "time_BN", "half_star_BN")
        },
    )
    is_event_BN = torch.arange(length + 3) < raw.length_B[:, None]
    assert torch.equal(compressed(raw)[is_event_BN], base(longer)[is_event_BN])
    assert torch.equal(compressed.encode_users(raw), base.encode_users(longer))
    assert torch.equal(mean_loss(compressed, raw), mean_loss(base, longer))


@each_pooling
def test_a_ratio_of_1_is_the_base(kind: str, pooling: str) -> None:
    base = make_model(make_model_recipe(kind))
    bypassed = make_model(make_compressed_recipe(kind, pooling, compression={"ratio": 1}))
    histories = make_histories(LENGTHS, recipe=base.recipe)
    assert torch.equal(base(histories), bypassed(histories))
    assert torch.equal(mean_loss(base, histories), mean_loss(bypassed, histories))


@each_pooling
def test_a_user_alone_is_encoded_as_in_a_batch(kind: str, pooling: str) -> None:
    model = make_model(make_compressed_recipe(kind, pooling))
    histories = make_histories(LENGTHS, recipe=model.recipe)
    together = model.encode_users(histories)
    for user in range(len(LENGTHS)):
        alone = Histories(**{name: getattr(histories, name)[user, None] for name in Histories.__dataclass_fields__})
        torch.testing.assert_close(model.encode_users(alone)[0], together[user], atol=1e-5, rtol=0)


@pytest.mark.parametrize(("num_blocks", "reads_old_events"), [(1, False), (2, True)])
def test_learned_tokens_bring_what_they_read_one_layer_later(num_blocks: int, reads_old_events: bool) -> None:
    model = make_model(make_compressed_recipe("HSTU", "learned", model={"num_blocks": num_blocks}))
    histories = make_histories((8,), recipe=model.recipe)
    change = measure_change(model, histories, change_item(histories, 1))
    assert min(change[1:6]) > VISIBLE  # the old event itself, those after it, and the tokens
    recent = change[6 : 6 + RECENT]
    assert (min(recent) > 1e-5) if reads_old_events else (max(recent) <= ROUNDING)


@each_pooling
def test_recent_events_are_asked_for_the_next_item_and_tokens_for_nothing(kind: str, pooling: str) -> None:
    model = make_model(make_compressed_recipe(kind, pooling))
    histories = make_histories(LENGTHS, recipe=model.recipe)
    encoded = model.encode(histories)
    positive_T = select_supervised(model, encoded.tokens, encoded.user_BND).positive_T
    asked = [histories.item_BN[user, max(0, length - RECENT) + 1 : length + 1] for user, length in enumerate(LENGTHS)]
    assert positive_T.tolist() == torch.cat(asked).tolist()
    assert len(position_losses(model, draw_for(model, histories))) == len(positive_T)


@each_pooling
def test_the_outputs_of_tokens_and_old_events_do_not_enter_the_loss(kind: str, pooling: str) -> None:
    model = make_model(make_compressed_recipe(kind, pooling))
    histories = make_histories(LENGTHS, recipe=model.recipe)
    encoded = model.encode(histories)
    user_BND = encoded.user_BND.detach().requires_grad_()
    supervised = select_supervised(model, encoded.tokens, user_BND)
    (gradient_BND,) = torch.autograd.grad(supervised.user_TD.square().sum(), [user_BND])
    position_N, tokens = torch.arange(user_BND.shape[1]), encoded.tokens
    assert tokens.num_unsupervised_B is not None
    is_supervised_BN = (position_N >= tokens.num_unsupervised_B[:, None]) & (position_N < tokens.length_B[:, None])
    assert torch.equal(gradient_BND.any(2), is_supervised_BN)


@each_pooling
def test_every_weight_of_a_compressed_model_gets_a_gradient(kind: str, pooling: str) -> None:
    model = make_model(make_compressed_recipe(kind, pooling)).train()
    gradients = torch.autograd.grad(
        mean_loss(model, make_histories(LENGTHS, recipe=model.recipe)), list(model.parameters())
    )
    assert all(torch.isfinite(gradient).all() and gradient.any() for gradient in gradients)


@pytest.mark.parametrize(("kind", "pooling"), POOLINGS[:4])
def test_the_learned_rate_of_pooling_by_age_gets_a_gradient(kind: str, pooling: str) -> None:
    model = make_model(make_compressed_recipe(kind, pooling, time_decay={"where": "pool"}))
    rates = [parameter for name, parameter in model.named_parameters() if name.endswith("age_weight.rate")]
    torch.nn.init.constant_(rates[0], 0.5)
    (gradient,) = torch.autograd.grad(mean_loss(model, make_histories(LENGTHS, recipe=model.recipe)), rates)
    assert gradient.item() != 0


@pytest.mark.usefixtures("two_threads")
@each_pooling
def test_every_gradient_is_the_same_the_second_time(kind: str, pooling: str) -> None:
    assert not torch.are_deterministic_algorithms_enabled()
    recipe = make_compressed_recipe(
        kind,
        pooling,
        dataset={"max_sequence_length": 48},
        model={"item_embedding_dim": 32},
        compression={"recent_len": 20, "num_tokens": 10},
    )
    model = make_model(recipe)
    histories = make_histories(tuple(range(1, 49)), recipe=recipe)

    def differentiate() -> list[Tensor]:
        torch.manual_seed(3)
        return list(torch.autograd.grad(mean_loss(model.train(), histories), list(model.parameters())))

    first = differentiate()
    for _ in range(2):
        assert all(torch.equal(one, other) for one, other in zip(first, differentiate(), strict=True))


@cache
def load_store() -> Store:
    return synthesize(seed=7, num_users=40, num_items=60, num_ratings=600)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("filter_all_seen", [False, True])
def test_the_filter_covers_what_compression_took_or_dropped(kind: str, filter_all_seen: bool) -> None:
    store = load_store()
    recipe = make_compressed_recipe(
        kind, "chunk", compression={"num_tokens": 1}, evaluation={"filter_all_seen": filter_all_seen}
    )
    model, users = make_model(recipe, describe_items(store, recipe)), np.arange(40)
    batches = rank_users(model, store, users, held_out_events=0, device=CPU)
    found = concatenate([batch.users for batch in batches])
    batch = assemble_batch(store, users, held_out_events=0, max_sequence_length=8, output_length=3)
    with torch.no_grad():
        score_BI = (model.encode_users(to_evaluation_histories(batch, CPU)) @ model.item_table().t()).numpy()

    def rank_among(user: int, seen: set[int]) -> int:
        own = score_BI[user, found.target_ids[user]]
        return 1 + sum(bool(score_BI[user, item] > own) for item in store.candidate_ids.tolist() if item not in seen)

    is_decided_by_old = []
    for user in users[found.near_ties == 0]:
        history = [int(item) for item in store.item_ids[store.offsets[user] : store.offsets[user + 1] - 1]]
        raw = history if filter_all_seen else history[-8:]
        assert found.ranks[user] == rank_among(user, set(raw))
        is_decided_by_old.append(found.ranks[user] != rank_among(user, set(history[-6:])))
    assert any(is_decided_by_old)
