"""The kinds of evaluation: which items are filtered or drawn, and how a target ranks among few."""

from functools import cache

import numpy as np
import numpy.typing as npt
import pytest
import torch

from hstu_preserve.compute.determinism import initialization_generators, make_generator
from hstu_preserve.data.batches import assemble_batch
from hstu_preserve.data.split import Part
from hstu_preserve.data.store import Store
from hstu_preserve.errors import ContentError
from hstu_preserve.evaluation.evaluated import Evaluated
from hstu_preserve.evaluation.kinds import draw_candidates, require_enough_candidates
from hstu_preserve.evaluation.one_evaluation import evaluate_model
from hstu_preserve.evaluation.ranking import MISS, CandidateIndex
from hstu_preserve.evaluation.ranks import BatchRanks
from hstu_preserve.evaluation.sampled_ranking import rank_sampled
from hstu_preserve.inputs.histories import to_evaluation_histories
from hstu_preserve.inputs.items import describe_items
from hstu_preserve.model.initialization import initialize
from hstu_preserve.model.jagged import PLAIN_OPERATORS
from hstu_preserve.model.recommender import Recommender
from hstu_preserve.primitives.json_values import Json
from hstu_preserve.primitives.voice import SILENT
from hstu_preserve.records.evaluation_kind import EvaluationKind
from hstu_preserve.records.recipe import Recipe
from hstu_preserve.reruns.other_kinds import evaluate_others
from tests.data.stores_in_memory import synthesize
from tests.factories import make_recipe

CPU = torch.device("cpu")
EVERYBODY = np.arange(30)
SAMPLED = [kind for kind in EvaluationKind if kind.is_sampled]


@cache
def load_store() -> Store:
    return synthesize(seed=7, num_users=30, num_items=400, num_ratings=500)


def evaluate_under(kind: EvaluationKind, **changes: dict[str, Json]) -> Recipe:
    recipe = make_recipe(**changes)
    return recipe.model_copy(update={"evaluation": recipe.evaluation.under(kind)})


def make_ranker(recipe: Recipe) -> Recommender:
    model = Recommender(recipe, describe_items(load_store(), recipe), operators=PLAIN_OPERATORS)
    initialize(model, initialization_generators(1))
    return model.eval()


def evaluate(recipe: Recipe, *, part: Part = Part.TEST, epoch: int = 0) -> Evaluated:
    ranker, store = make_ranker(recipe), load_store()
    return evaluate_model(ranker, store, part=part, epoch=epoch, num_batches=None, voice=SILENT)


def draw(
    kind: EvaluationKind,
    *,
    users: npt.NDArray[np.int64] = EVERYBODY,
    held_out_events: int = 0,
    protocol: str = "validated",
    seed: int = 42,
) -> npt.NDArray[np.int64]:
    store = load_store()
    recipe = make_recipe(dataset={"protocol": protocol}, training={"random_seed": seed})
    batch = assemble_batch(store, users, held_out_events=held_out_events, max_sequence_length=8, output_length=3)
    return draw_candidates(
        recipe,
        kind,
        store,
        users,
        batch=batch,
        candidates=store.candidate_ids.astype(np.int64),
        held_out_events=held_out_events,
    )


def list_events(user: int) -> list[int]:
    store = load_store()
    return [int(item) for item in store.item_ids[store.offsets[user] : store.offsets[user + 1]]]


@pytest.mark.parametrize("held_out_events", [0, 1])
@pytest.mark.parametrize("kind", SAMPLED)
def test_each_candidate_is_drawn_again_while_it_is_excluded(kind: EvaluationKind, held_out_events: int) -> None:
    store, drawn = load_store(), draw(kind, held_out_events=held_out_events)
    part = Part.VALIDATION if held_out_events else Part.TEST
    for user in range(30):
        events = list_events(user)
        known = events[:-2] if kind is EvaluationKind.SAMPLED_UNSEEN else events[: len(events) - held_out_events]
        generator = make_generator(42, "sampled_candidates", part.value, int(store.user_ids[user]))
        stream = torch.randint(len(store.candidate_ids), (50_000,), generator=generator).tolist()
        items = [int(store.candidate_ids[place]) for place in stream]
        expected = [item for item in items if item not in known][:100]
        assert drawn[user].tolist() == [events[-1 - held_out_events], *expected]


@pytest.mark.parametrize("kind", SAMPLED)
def test_a_draw_is_the_users_own_in_every_batch_and_order(kind: EvaluationKind) -> None:
    whole, some = draw(kind), draw(kind, users=np.array([20, 3, 11]))
    np.testing.assert_array_equal(whole[[20, 3, 11]], some)
    assert (whole[:, 1:] != draw(kind, seed=43)[:, 1:]).any(1).all()
    assert (whole[:, 1:] != draw(kind, held_out_events=1)[:, 1:]).any(1).all()
    assert len({tuple(row[1:]) for row in whole.tolist()}) == 30


def test_only_one_of_the_kinds_draws_the_target_itself() -> None:
    unseen, unknown = (draw(kind) for kind in SAMPLED)
    assert (unseen[:, 1:] == unseen[:, :1]).any()
    assert not (unknown[:, 1:] == unknown[:, :1]).any()


def rank(*scores: float, tolerance: float | None = None) -> BatchRanks:
    """Rank the first of some items, of which these are the scores."""
    items = torch.arange(1, len(scores) + 1)
    index = CandidateIndex(items, torch.tensor(scores)[:, None], max_item_id=len(items))
    return rank_sampled(torch.ones(1, 1), index=index, item_BK=items[None], tolerance=tolerance)


@pytest.mark.parametrize(
    ("others", "place", "ties", "near_ties"),
    [
        ([0.7, 0.5, 0.1], 2, 1, 1),
        ([0.1, 0.2, 0.3], 1, 0, 0),
        ([0.9, float("nan"), 0.5000001], 4, 0, 1),
        ([0.5, 0.5, 0.4999999], 1, 2, 3),
    ],
)
def test_a_target_ranks_after_the_items_that_score_strictly_higher(
    others: list[float], place: int, ties: int, near_ties: int
) -> None:
    found = rank(0.5, *others)
    assert found.is_recommended.tolist() == [True] * 4
    assert (int(found.rank), int(found.rank_topk)) == (place, place)
    assert (int(found.ties), int(found.near_ties), found.within) == (ties, near_ties, None)


def test_items_within_the_tolerance_are_counted_if_it_is_asked_for() -> None:
    within = rank(0.5, 0.9, 0.59, 0.41, 0.39, tolerance=0.2).within  # times the median norm, 0.5
    assert within is not None
    assert int(within) == 2


def test_a_target_scored_nan_or_no_candidate_is_a_miss() -> None:
    index = CandidateIndex(torch.tensor([2, 3]), torch.eye(2), max_item_id=3)
    items = torch.tensor([[1, 2, 3], [2, 3, 3]])
    found = rank_sampled(torch.tensor([[0.1, 0.2], [float("nan"), 0.2]]), index=index, item_BK=items)
    assert found.rank.tolist() == [0, 0]
    assert found.rank_topk.tolist() == [MISS, MISS]
    assert found.ties.tolist() == [0, 0]


@pytest.mark.parametrize("kind", EvaluationKind)
def test_every_kind_ranks_among_its_own_items(kind: EvaluationKind) -> None:
    recipe = evaluate_under(kind, evaluation={"eval_batch_size": 7})
    model, store, found = make_ranker(recipe), load_store(), evaluate(recipe)
    batch = assemble_batch(store, EVERYBODY, held_out_events=0, max_sequence_length=8, output_length=3)
    with torch.no_grad():
        score_BI = model.encode_users(to_evaluation_histories(batch, CPU)) @ model.item_table().t()
    drawn = draw(kind, protocol="upstream") if kind.is_sampled else None
    seen = {EvaluationKind.WINDOW: -8, EvaluationKind.ALL_SEEN: -1000}
    for user in range(30):
        *history, target = list_events(user)
        filtered = set(history[seen[kind] :]) if kind in seen else set()
        among = [item for item in store.candidate_ids.tolist() if item not in filtered]
        among = among if drawn is None else drawn[user, 1:].tolist()
        higher = sum(bool(score_BI[user, item] > score_BI[user, target]) for item in among)
        if found.ranks.near_ties[user] == 0:
            assert found.ranks.ranks[user] == 1 + higher
    assert found.record.effective_kind is kind
    assert found.record.coverage_at_10 > 0


def test_other_kinds_are_evaluated_with_the_same_weights_and_leave_the_model_as_it_is() -> None:
    own = evaluate_under(EvaluationKind.UNFILTERED)
    model = make_ranker(own)
    others = evaluate_others(model, load_store(), kinds=[*EvaluationKind], epoch=3, voice=SILENT)
    assert [one.effective_kind for one in others] == [one for one in EvaluationKind if one.value != "full-unfiltered"]
    assert model.recipe == own
    for one in others:
        assert evaluate(evaluate_under(one.effective_kind), epoch=3).record == one


def test_as_many_users_are_evaluated_as_the_recipe_allows_the_same_each_time() -> None:
    recipe = make_recipe(evaluation={"max_users": 12}, dataset={"protocol": "validated"})
    parts = ((Part.TEST, 0), (Part.TEST, 1), (Part.VALIDATION, 0))
    found = [evaluate(recipe, part=part, epoch=epoch) for part, epoch in parts]
    test, later, validation = (one.ranks.user_ids.tolist() for one in found)
    assert len(test) == found[0].record.num_users == 12
    assert test == sorted(test) == later != validation


def test_fewer_items_than_are_drawn_are_refused() -> None:
    recipe = evaluate_under(EvaluationKind.SAMPLED_UNSEEN)
    require_enough_candidates(recipe, num_candidates=101, data_name="tiny")
    require_enough_candidates(make_recipe(), num_candidates=100, data_name="tiny")
    with pytest.raises(ContentError, match=r"^eval\.kind sampled-100-training-excluded: tiny has 100 candidates"):
        require_enough_candidates(recipe, num_candidates=100, data_name="tiny")


def test_a_user_who_has_everything_leaves_nothing_to_draw() -> None:
    store = load_store()
    batch = assemble_batch(store, EVERYBODY[:1], held_out_events=0, max_sequence_length=8, output_length=3)
    with pytest.raises(ContentError, match=r"^eval\.kind sampled-100-held-out-excluded: user \d+ has every one of"):
        draw_candidates(
            make_recipe(),
            EvaluationKind.SAMPLED_UNKNOWN,
            store,
            EVERYBODY[:1],
            batch=batch,
            candidates=np.array(list_events(0)),
            held_out_events=0,
        )


def test_what_a_sampled_evaluation_recommends_are_the_first_ten_of_the_drawn_items() -> None:
    index = CandidateIndex(torch.arange(1, 31), torch.linspace(1, 0, 30)[:, None], max_item_id=30)
    items = torch.cat([torch.arange(20, 31), torch.arange(20, 31)]).view(2, 11)
    found = rank_sampled(torch.ones(2, 1), index=index, item_BK=items)
    assert (found.is_recommended.nonzero().flatten() + 1).tolist() == list(range(20, 30))
