"""The kind of evaluation in gin text: one kind has one recipe, and a claim is of its recipe's kind."""

import re
from pathlib import Path

import pytest

from hstu_preserve.records.evaluation_kind import EvaluationKind
from tests.gin_recipes.gin_texts import refuse, resolve_text


@pytest.mark.parametrize("kind", EvaluationKind)
def test_each_kind_is_evaluated_and_claimed(kind: EvaluationKind, tmp_path: Path) -> None:
    resolution = resolve_text(tmp_path, f"eval.kind = {kind.value!r}")
    settings, (policy,) = resolution.recipe.evaluation, resolution.policies
    assert settings.effective_kind is policy.find_kind(settings) is kind


def test_a_filter_by_its_kind_is_the_recipe_that_it_was_before_there_were_kinds(tmp_path: Path) -> None:
    for name, filtered in (("full-all-seen-filtered", True), ("full-window-filtered", False)):
        old = resolve_text(tmp_path, f"eval.filter_all_seen = {filtered}")
        new = resolve_text(tmp_path, f"eval.kind = {name!r}\nclaim.evaluation = {name!r}")
        assert new.recipe.digest() == old.recipe.digest()
        assert new.policies[0].digest() == old.policies[0].digest()
        assert '"kind"' not in old.recipe.evaluation.to_json().decode()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("eval.kind = 'full'", "r.gin:1: eval.kind: .*full-window-filtered.*found 'full'"),
        ("eval.kind = True", r"r.gin:1: eval.kind: .*found True"),
        (
            "eval.kind = 'full-window-filtered'\neval.filter_all_seen = True",
            "eval.kind 'full-window-filtered' contradicts eval.filter_all_seen = True",
        ),
        ("eval.kind = 'full-unfiltered'\neval.filter_all_seen = True", "evaluation.filter_all_seen True contradicts"),
        (
            "eval.kind = 'full-unfiltered'\nclaim.evaluation = 'full-window-filtered'",
            "r.gin:2: claim.evaluation: the claim is of 'full-window-filtered', .* evaluates 'full-unfiltered'",
        ),
        (
            "claim.evaluation = 'sampled-100-training-excluded'",
            "r.gin:1: claim.evaluation: .* and the recipe evaluates 'full-window-filtered'",
        ),
        ("claim.evaluation = 'mine'", "r.gin:1: claim.evaluation: .*found 'mine'"),
        ("eval.max_users = 0", "r.gin:1: eval.max_users"),
    ],
)
def test_what_names_no_kind_or_two_is_refused(text: str, message: str, tmp_path: Path) -> None:
    (line,) = refuse(tmp_path, text)
    assert re.search(message, line), line
