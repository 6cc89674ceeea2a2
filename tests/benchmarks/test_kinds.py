"""The comparison of models under every kind of evaluation: their small recipes, and what it says of their order."""

from pathlib import Path

import pytest

from benchmarks.kinds import MODELS, WINDOW, list_changes, list_rows, shrink, summarize_kind
from benchmarks.recipes import BASE, OTHER_KINDS, list_recipes, make_task
from hstu_preserve.gin_recipes.reader import read_chain
from hstu_preserve.gin_recipes.resolve import resolve
from hstu_preserve.records.evaluation_kind import EvaluationKind

OTHER = "paper-sasrec-ml-1m"


@pytest.mark.parametrize("recipe_id", MODELS)
def test_a_small_recipe_is_of_bases_kind_and_shape(recipe_id: str, tmp_path: Path) -> None:
    task = make_task(recipe_id, seed=7, work=tmp_path, store=tmp_path / "store", shrink=shrink)

    recipe = resolve(read_chain(task.gin, root=task.gin.parent)).recipe

    assert recipe.evaluation.effective_kind is EvaluationKind.WINDOW
    assert (recipe.dataset.max_sequence_length, recipe.dataset.candidates) == (WINDOW, "rated")
    assert (recipe.dataset.min_user_events, recipe.dataset.min_item_events) == (None, None)
    assert recipe.training.random_seed == 7


def test_recipes_of_other_kinds_are_left_to_this_comparison() -> None:
    assert not [one for one in list_recipes() if one.startswith(OTHER_KINDS)]
    assert BASE in list_recipes()


def make_figures(*values: tuple[float, float], kinds: int) -> dict[str, object]:
    """Return a recipe's record: under the first `kinds` kinds the first values, then the second ones."""
    by_kind = {
        kind.value: {"ndcg@10": [pair[0 if place < kinds else 1] for pair in values]}
        for place, kind in enumerate(EvaluationKind)
    }
    return {"seeds": list(range(len(values))), "kinds": by_kind}


def test_a_pair_in_another_order_is_named_once_for_its_kind() -> None:
    recipes = {
        BASE: make_figures((0.30, 0.50), (0.32, 0.52), kinds=3),
        OTHER: make_figures((0.20, 0.60), (0.22, 0.64), kinds=3),
    }
    by_kind = {kind: summarize_kind(recipes, kind) for kind in EvaluationKind}

    rows = list_rows(by_kind)

    assert [row.split(" | ")[0] for row in rows[2:]] == [f"| {MODELS[BASE]}", f"| {MODELS[OTHER]}"]
    assert "0.310" in rows[2]
    assert ", 2 |" in rows[2]
    assert [list_changes(by_kind, kind) for kind in EvaluationKind] == [[], [], [], [[OTHER, BASE]], [[OTHER, BASE]]]
