"""The fast path of an evaluation as a whole, held against the reference path."""

from dataclasses import fields

import numpy as np
import pytest

from hstu_preserve.compute.determinism import initialization_generators
from hstu_preserve.compute.world import World
from hstu_preserve.data.split import Part
from hstu_preserve.errors import UsageError
from hstu_preserve.evaluation.evaluated import Evaluated
from hstu_preserve.evaluation.grouped import counting
from hstu_preserve.evaluation.grouped import users as grouped_users
from hstu_preserve.evaluation.one_evaluation import count_comparable, evaluate_model, evaluators_agree
from hstu_preserve.evaluation.paths import VARIABLE, choose_ranking_path
from hstu_preserve.evaluation.plausibility import list_impossibilities
from hstu_preserve.inputs.items import describe_items
from hstu_preserve.model.initialization import initialize
from hstu_preserve.model.jagged import PLAIN_OPERATORS
from hstu_preserve.model.recommender import Recommender
from hstu_preserve.primitives.json_values import Json
from hstu_preserve.primitives.voice import SILENT
from hstu_preserve.records.evaluation import RankingPath
from tests.data.stores_in_memory import synthesize
from tests.model.tiny_models import KINDS, make_model_recipe

STORE = synthesize(seed=7, num_users=40, num_items=60, num_ratings=600)
BATCH = 6


def evaluate(
    path: RankingPath,
    *,
    kind: str = "HSTU",
    part: Part = Part.TEST,
    num_batches: int | None = None,
    filter_all_seen: bool = False,
    components: dict[str, dict[str, Json]] | None = None,
) -> Evaluated:
    evaluation: dict[str, Json] = {"eval_batch_size": BATCH, "filter_all_seen": filter_all_seen}
    protocol = "validated" if part is Part.VALIDATION else "upstream"
    recipe = make_model_recipe(kind, dataset={"protocol": protocol}, evaluation=evaluation, **(components or {}))
    model = Recommender(recipe, describe_items(STORE, recipe), operators=PLAIN_OPERATORS)
    initialize(model, initialization_generators(1))
    return evaluate_model(
        model,
        STORE,
        part=part,
        epoch=3,
        num_batches=num_batches,
        ranking_path=path,
        tolerance=0.01,
        voice=SILENT,
    )


def require_same(expected: Evaluated, found: Evaluated) -> None:
    for field in fields(expected.ranks):
        one, other = getattr(expected.ranks, field.name), getattr(found.ranks, field.name)
        np.testing.assert_array_equal(one, other, err_msg=field.name)
    assert expected.within is not None
    assert found.within is not None
    np.testing.assert_array_equal(expected.within, found.within)
    assert found.record.model_copy(update={"ranking": None}) == expected.record
    assert expected.record.ranking is None


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("part", [Part.TEST, Part.VALIDATION])
@pytest.mark.parametrize("num_batches", [None, 2])
def test_every_user_has_the_reference_paths_rank_in_the_recorded_order(
    kind: str, part: Part, num_batches: int | None
) -> None:
    expected, found = (evaluate(path, kind=kind, part=part, num_batches=num_batches) for path in RankingPath)
    assert (expected.ranks.near_ties == 0).all()  # so that no rounding can move anybody
    require_same(expected, found)


@pytest.mark.parametrize("filter_all_seen", [False, True])
def test_the_components_of_the_best_published_recipe_rank_everybody_alike(filter_all_seen: bool) -> None:
    components: dict[str, dict[str, Json]] = {
        "prism": {},
        "input_compression": {},
        "time_decay": {},
        "hard_negatives": {},
        "pop_debias": {"mode": "logit_adjust"},
    }
    expected, found = (evaluate(path, filter_all_seen=filter_all_seen, components=components) for path in RankingPath)
    require_same(expected, found)


def test_the_record_says_which_users_upstreams_evaluator_ranked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grouped_users, "CHECKED_EVERY", 3)
    found = evaluate(RankingPath.GROUPED)
    # 40 users are 7 batches of 6, the last one of 4: the first, fourth and seventh are checked.
    assert found.record.ranking is not None
    assert found.record.ranking.num_checked == found.is_checked.sum() == 6 + 6 + 4
    assert count_comparable(found.ranks, is_checked=found.is_checked) == 16
    lengths = np.minimum(STORE.lengths - 1, 8)
    assert lengths[found.is_checked].min() == lengths.min()
    assert lengths[found.is_checked].max() == lengths.max()
    assert list(list_impossibilities(found.record)) == []


def test_several_processes_check_the_batches_that_one_alone_would() -> None:
    recipe = make_model_recipe("HSTU")
    model = Recommender(recipe, describe_items(STORE, recipe), operators=PLAIN_OPERATORS)
    worlds = [World(rank=rank, size=3) for rank in range(3)]
    steps = [grouped_users.make_steps(model, world=world) for world in worlds]
    checked = [number for number in range(60) if steps[number % 3].is_checked(number // 3)]
    assert checked == [0, 16, 32, 48]


def test_counted_ranks_that_are_wrong_do_not_agree_with_upstreams_evaluator(monkeypatch: pytest.MonkeyPatch) -> None:
    assert evaluators_agree(evaluate(RankingPath.GROUPED).ranks)
    # A single candidate, as the target is for itself, is still counted well.
    monkeypatch.setattr(counting, "count", lambda holds_BI: holds_BI.sum(1) + (holds_BI.sum(1) > 1))
    assert not evaluators_agree(evaluate(RankingPath.GROUPED).ranks)


def test_the_fast_path_gives_the_same_bits_twice() -> None:
    first, second = evaluate(RankingPath.GROUPED), evaluate(RankingPath.GROUPED)
    assert first.record == second.record


def test_more_checked_users_than_users_are_impossible() -> None:
    record = evaluate(RankingPath.GROUPED).record
    assert record.ranking is not None
    forged = record.model_copy(update={"ranking": record.ranking.model_copy(update={"num_checked": 41})})
    assert list(list_impossibilities(forged)) == ["num_checked 41 is more than the 40 users"]


def test_a_processor_takes_the_fast_path_unless_the_environment_names_another(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    assert choose_ranking_path("cpu") is RankingPath.GROUPED
    assert choose_ranking_path("cuda") is RankingPath.REFERENCE
    monkeypatch.setenv(VARIABLE, "auto")
    assert choose_ranking_path("cpu") is RankingPath.GROUPED
    monkeypatch.setenv(VARIABLE, "reference")
    assert choose_ranking_path("cpu") is RankingPath.REFERENCE
    monkeypatch.setenv(VARIABLE, "fastest")
    with pytest.raises(UsageError, match="=fastest: no such path; choose one of auto, reference, grouped-1"):
        choose_ranking_path("cpu")
