"""The evaluation's numeric rung: ranks within near-ties are the recorded weights', others are not."""

import pytest

from hstu_preserve.primitives.canonical_json import canonical_dumps
from hstu_preserve.primitives.json_values import Json
from hstu_preserve.primitives.metric_names import METRIC_NAMES
from hstu_preserve.records.evaluation import EvaluationRecord
from hstu_preserve.records.verdict import Outcome, Rung, Verdict
from hstu_preserve.verdict.near_ties import judge_evaluation_numeric
from hstu_preserve.verdict.number_formats import TOLERANCES, FormatPair, NumberFormat, find_format
from hstu_preserve.verdict.rank_moves import Effect, RankMoves
from tests.gin_recipes.test_gin_writer import resolve_text
from tests.record_values import EVALUATION, make_claim

FLOAT32, TF32, BFLOAT16 = NumberFormat.FLOAT32, NumberFormat.TF32, NumberFormat.BFLOAT16


def make_evaluation(ndcg: float) -> EvaluationRecord:
    metrics: Json = {**dict.fromkeys(METRIC_NAMES, 0.5), "ndcg@10": ndcg}
    return EvaluationRecord.from_json(canonical_dumps({**EVALUATION, "metrics": metrics}), source="test")


def make_moves(
    *, users: int = 500, moved: int = 0, beyond: int = 0, same_users: bool = True, difference: float = 0.0
) -> RankMoves:
    effect = Effect(difference=difference, standard_error=abs(difference), num_users=users)
    return RankMoves(
        num_users=users,
        same_users=same_users,
        num_moved=moved,
        num_moved_without_near_tie=0,
        largest_move=7,
        num_beyond=beyond,
        effects={"ndcg@10": effect} if same_users else {},
    )


def judge(
    moves: RankMoves,
    *,
    value: float = 0.284,
    recorded: NumberFormat = FLOAT32,
    present: NumberFormat = FLOAT32,
    margin: float | None = 0.002,
    agree: bool = True,
) -> Verdict:
    verdict = judge_evaluation_numeric(
        make_claim(0.284, margin=margin),
        make_evaluation(value),
        moves=moves,
        formats=FormatPair(recorded=recorded, present=present),
        evaluators_agree=agree,
    )
    assert (verdict.rung, verdict.claim, verdict.is_required) == (Rung.EVALUATION_NUMERIC, "ndcg@10", True)
    assert Verdict.from_json(verdict.to_json(), source="test") == verdict
    return verdict


@pytest.mark.parametrize(
    ("verdict", "outcome", "reason"),
    [
        (
            judge(make_moves(moved=1)),
            Outcome.REPRODUCED_NUMERIC,
            "ndcg@10 0.2840 as claimed; 1 of 500 users moved, none further than its near-ties (1e-05, float32)",
        ),
        (judge(make_moves()), Outcome.REPRODUCED_NUMERIC, "ndcg@10 0.2840 as claimed; none of 500 users moved"),
        (
            judge(make_moves(moved=3, beyond=2, difference=0.0001), value=0.2841),
            Outcome.REPRODUCED_NUMERIC,
            (
                "ndcg@10 0.2841, claimed 0.2840; 3 of 500 users moved, 2 further than its near-ties (1e-05, float32),"
                " limit 2"
            ),
        ),
        (
            judge(make_moves(moved=80), recorded=TF32, present=TF32),
            Outcome.REPRODUCED_NUMERIC,
            (
                "ndcg@10 0.2840 as claimed; 80 of 500 users moved, none further than its near-ties (1e-03, TF32); "
                "this pair of formats sees changes of 1 % of the weights, not smaller ones"
            ),
        ),
        (
            judge(make_moves(moved=49, beyond=49, difference=-0.0001), value=0.2839),
            Outcome.NOT_REPRODUCED,
            (
                "49 of 500 users moved further than their near-ties (1e-05) allow, limit 2: other weights than those "
                "behind the recorded ranks (ndcg@10 0.2839, claimed 0.2840)"
            ),
        ),
        (
            judge(make_moves(users=943, moved=600, beyond=11), recorded=BFLOAT16),
            Outcome.INCONCLUSIVE,
            (
                "recorded with bfloat16 scores, ranked here in float32: 11 of 943 users moved further than 8e-03 "
                "allows, limit 4; this pair of formats sees changes of 5 % of the weights, not smaller ones"
            ),
        ),
        (
            judge(make_moves(users=943, moved=600, beyond=63), recorded=BFLOAT16),
            Outcome.NOT_REPRODUCED,
            (
                "63 of 943 users moved further than their near-ties (8e-03) allow, limit 4: other weights than those "
                "behind the recorded ranks (ndcg@10 0.2840 as claimed)"
            ),
        ),
        (
            judge(make_moves(same_users=False)),
            Outcome.NOT_REPRODUCED,
            "other users or targets were ranked than are recorded (ndcg@10 0.2840 as claimed)",
        ),
    ],
)
def test_the_sentences(verdict: Verdict, outcome: Outcome, reason: str) -> None:
    assert (verdict.outcome, verdict.reason) == (outcome, reason)


@pytest.mark.parametrize(
    ("users", "beyond", "passes"), [(100, 1, True), (100, 2, False), (400, 2, True), (943, 4, True), (943, 5, False)]
)
def test_one_user_in_two_hundred_and_one_at_least_may_move_further(users: int, beyond: int, passes: bool) -> None:
    verdict = judge(make_moves(users=users, moved=beyond, beyond=beyond))
    assert (verdict.outcome is Outcome.REPRODUCED_NUMERIC) is passes


@pytest.mark.parametrize("margin", [None, 0.0, 0.9])
def test_the_claims_margin_decides_nothing(margin: float | None) -> None:
    assert judge(make_moves(moved=1), value=0.2841, margin=margin).outcome is Outcome.REPRODUCED_NUMERIC
    assert judge(make_moves(moved=49, beyond=49), margin=margin).outcome is Outcome.NOT_REPRODUCED


def test_a_model_whose_candidates_are_all_near_ties_does_not_pass_with_another_metric() -> None:
    effect = Effect(difference=-0.7, standard_error=0.01, num_users=500)
    moves = RankMoves(
        num_users=500,
        same_users=True,
        num_moved=500,
        num_moved_without_near_tie=0,
        largest_move=900,
        num_beyond=0,
        effects={"ndcg@10": effect},
    )
    verdict = judge(moves, value=0.01)
    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert "the scores are too much alike" in verdict.reason


def test_evaluators_that_disagree_reproduce_nothing() -> None:
    verdict = judge(make_moves(), agree=False)
    assert verdict.outcome is Outcome.NOT_REPRODUCED
    assert "bug of this program" in verdict.reason


@pytest.mark.parametrize(
    ("recorded", "present", "coarser"),
    [(FLOAT32, FLOAT32, FLOAT32), (TF32, FLOAT32, TF32), (FLOAT32, TF32, TF32), (TF32, BFLOAT16, BFLOAT16)],
)
def test_the_coarser_format_decides_the_tolerance(
    recorded: NumberFormat, present: NumberFormat, coarser: NumberFormat
) -> None:
    pair = FormatPair(recorded=recorded, present=present)
    assert (pair.coarser, pair.tolerance) == (coarser, TOLERANCES[coarser])


@pytest.mark.parametrize(
    ("bfloat16", "tf32", "device", "expected"),
    [
        (False, True, "cpu", FLOAT32),
        (False, True, "NVIDIA H100", TF32),
        (False, True, None, TF32),
        (False, False, None, FLOAT32),
        (True, False, "cpu", BFLOAT16),
    ],
)
def test_the_recipe_and_the_device_decide_the_format(
    bfloat16: bool, tf32: bool, device: str | None, expected: NumberFormat
) -> None:
    recipe = resolve_text(f"train_fn.main_module_bf16 = {bfloat16}\ntrain_fn.enable_tf32 = {tf32}").recipe
    assert find_format(recipe, device=device) is expected
