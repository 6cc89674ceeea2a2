"""The canonical evaluation of a model on a store."""

from functools import cache

import numpy as np
import numpy.typing as npt
import pytest
import torch

from hstu_preserve.compute.determinism import initialization_generators
from hstu_preserve.data.batches import assemble_batch
from hstu_preserve.data.store import Store
from hstu_preserve.evaluation.metrics import coverage
from hstu_preserve.evaluation.ranks import RankedBatch, UserRanks, concatenate
from hstu_preserve.evaluation.users import rank_users
from hstu_preserve.inputs.histories import to_evaluation_histories, to_training_histories
from hstu_preserve.inputs.items import describe_items
from hstu_preserve.model.initialization import initialize
from hstu_preserve.model.jagged import PLAIN_OPERATORS
from hstu_preserve.model.recommender import Recommender
from hstu_preserve.primitives.json_values import Json
from tests.data.stores_in_memory import synthesize
from tests.model.tiny_models import KINDS, make_model_recipe

CPU = torch.device("cpu")
EVERYBODY = np.arange(40)


@cache
def load_store() -> Store:
    return synthesize(seed=7, num_users=40, num_items=60, num_ratings=600)


def make_ranker(kind: str = "HSTU", **evaluation: Json) -> Recommender:
    recipe = make_model_recipe(kind, evaluation=evaluation)
    model = Recommender(recipe, describe_items(load_store(), recipe), operators=PLAIN_OPERATORS)
    initialize(model, initialization_generators(1))
    return model.eval()


def rank(model: Recommender, *, users: npt.NDArray[np.int64] = EVERYBODY, held_out_events: int = 0) -> UserRanks:
    return concatenate([batch.users for batch in rank_in_batches(model, users=users, held_out_events=held_out_events)])


def rank_in_batches(
    model: Recommender, *, users: npt.NDArray[np.int64] = EVERYBODY, held_out_events: int = 0
) -> list[RankedBatch]:
    return list(rank_users(model, load_store(), users, held_out_events=held_out_events, device=CPU))


def list_events(user: int) -> list[int]:
    store = load_store()
    return [int(item) for item in store.item_ids[store.offsets[user] : store.offsets[user + 1]]]


@pytest.mark.parametrize("kind", KINDS)
def test_evaluating_twice_gives_the_same_rank_to_everybody(kind: str) -> None:
    assert rank(make_ranker(kind)).digest() == rank(make_ranker(kind)).digest()


@pytest.mark.parametrize("kind", KINDS)
def test_neither_order_nor_batch_size_moves_anybody_without_a_near_tie(kind: str) -> None:
    forward = rank(make_ranker(kind))
    backward = rank(make_ranker(kind, eval_batch_size=7), users=EVERYBODY[::-1].copy())
    np.testing.assert_array_equal(forward.user_ids, backward.user_ids[::-1])
    apart = (forward.near_ties == 0) & (backward.near_ties[::-1] == 0)
    assert apart.sum() > 30
    np.testing.assert_array_equal(forward.ranks[apart], backward.ranks[::-1][apart])


@pytest.mark.parametrize("held_out_events", [0, 1])
def test_the_target_is_the_last_event_that_is_not_held_out(held_out_events: int) -> None:
    found = rank(make_ranker(), held_out_events=held_out_events)
    assert found.target_ids.tolist() == [list_events(user)[-1 - held_out_events] for user in range(40)]
    assert found.user_ids.tolist() == load_store().user_ids.tolist()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("filter_all_seen", [False, True])
def test_ranks_are_counted_among_the_items_that_the_filter_leaves(kind: str, filter_all_seen: bool) -> None:
    model, store = make_ranker(kind, filter_all_seen=filter_all_seen), load_store()
    found = rank(model)
    batch = assemble_batch(store, EVERYBODY, held_out_events=0, max_sequence_length=8, output_length=3)
    with torch.no_grad():
        user_BD = model.encode_users(to_evaluation_histories(batch, CPU))
        score_BI = (user_BD @ model.item_table().t()).numpy()
    for user in range(40):
        *history, target = list_events(user)
        seen = set(history if filter_all_seen else history[-8:])
        own = score_BI[user, target]
        distances = [score_BI[user, item] - own for item in store.candidate_ids.tolist() if item not in seen]
        if found.near_ties[user] == 0:
            assert found.ranks[user] == 1 + sum(distance > 0 for distance in distances)


@pytest.mark.parametrize("filter_all_seen", [False, True])
def test_what_is_recommended_is_everybodys_first_ten_of_the_items_that_the_filter_leaves(filter_all_seen: bool) -> None:
    model, store = make_ranker(filter_all_seen=filter_all_seen), load_store()
    batches = rank_in_batches(model)
    batch = assemble_batch(store, EVERYBODY, held_out_events=0, max_sequence_length=8, output_length=3)
    with torch.no_grad():
        user_BD = model.encode_users(to_evaluation_histories(batch, CPU))
        score_BI = (user_BD @ model.item_table().t()).numpy()
    expected: set[int] = set()
    for user in range(40):
        history = list_events(user)[:-1]
        seen = set(history if filter_all_seen else history[-8:])
        unseen = [item for item in store.candidate_ids.tolist() if item not in seen]
        expected |= set(sorted(unseen, key=lambda item: -score_BI[user, item])[:10])
    is_recommended = np.logical_or.reduce([one.is_recommended for one in batches])
    assert len(batches) == 3
    assert set(store.candidate_ids[is_recommended].tolist()) == expected
    assert coverage([one.is_recommended for one in batches]) == len(expected) / len(store.candidate_ids)


def test_coverage_is_that_of_all_users_together_whatever_the_batch_size() -> None:
    small, large = (
        coverage([batch.is_recommended for batch in rank_in_batches(make_ranker(eval_batch_size=size))])
        for size in (7, 40)
    )
    assert small == large
    (first,) = rank_in_batches(make_ranker(), users=EVERYBODY[:1])
    assert coverage([first.is_recommended]) == 10 / len(load_store().candidate_ids) < large


def test_the_filters_differ_for_users_with_a_history_longer_than_the_model_reads() -> None:
    upstream, strict = rank(make_ranker(filter_all_seen=False)), rank(make_ranker(filter_all_seen=True))
    is_long = load_store().lengths > 9
    assert (strict.ranks <= upstream.ranks).all()
    assert (strict.ranks < upstream.ranks)[is_long].any()
    np.testing.assert_array_equal(strict.ranks[~is_long], upstream.ranks[~is_long])


def test_the_model_is_left_in_evaluation_mode_without_gradients() -> None:
    model = make_ranker().train()
    rank(model)
    assert not model.training
    assert all(parameter.grad is None for parameter in model.parameters())


def test_the_target_stands_after_the_history_in_training_and_nowhere_in_evaluation() -> None:
    batch = assemble_batch(load_store(), EVERYBODY, held_out_events=0, max_sequence_length=8, output_length=3)
    training, evaluation = to_training_histories(batch, CPU), to_evaluation_histories(batch, CPU)
    for user in range(len(EVERYBODY)):
        length = int(training.length_B[user])
        *history, target = list_events(user)[-length - 1 :]
        assert training.item_BN[user].tolist() == [*history, target, *[0] * (10 - length)]
        assert evaluation.item_BN[user].tolist() == [*history, *[0] * (11 - length)]
    assert torch.equal(training.time_BN, evaluation.time_BN)
