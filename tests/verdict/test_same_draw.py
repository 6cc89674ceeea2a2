"""One retraining with the recorded seed: the same draw, and never a statement on other seeds."""

import math
import re
from collections.abc import Sequence

import pytest

from hstu_preserve.primitives.canonical_json import canonical_dumps
from hstu_preserve.records.evaluation import EvaluationRecord
from hstu_preserve.records.verdict import Outcome, Rung, Verdict
from hstu_preserve.verdict.same_draw import LossComparison, judge_training_bitwise, judge_training_numeric
from tests.record_values import EVALUATION, make_claim

ELSEWHERE = ["cpu_capability: AVX2 here, AVX512 recorded"]
SHA256, OTHER_SHA256 = "a" * 64, "b" * 64
NEAR = (0.0, 1e-8, 2e-7, *[1e-7] * 36)


def judge(
    value: float,
    *,
    claimed: float = 0.284,
    margin: float | None = 0.002,
    losses: Sequence[float] = NEAR,
    num_steps: int | None = None,
    num_recorded: int | None = None,
    differences: Sequence[str] = ELSEWHERE,
) -> Verdict:
    verdict = judge_training_numeric(
        make_claim(claimed, margin=margin),
        value,
        losses=LossComparison(
            differences=losses,
            num_steps=len(losses) if num_steps is None else num_steps,
            num_recorded=len(losses) if num_recorded is None else num_recorded,
        ),
        environment_differences=differences,
    )
    assert (verdict.rung, verdict.claim, verdict.is_required) == (Rung.TRAINING_NUMERIC, "ndcg@10", True)
    assert Verdict.from_json(verdict.to_json(), source="test") == verdict
    return verdict


@pytest.mark.parametrize(
    ("verdict", "outcome", "reason"),
    [
        (
            judge(0.284),
            Outcome.REPRODUCED_NUMERIC,
            (
                "the recorded seed again: ndcg@10 0.2840, claimed 0.2840; losses within 2e-07 over 39 steps; one draw"
                " made twice, which says nothing of other seeds"
            ),
        ),
        (
            judge(0.284, losses=[0.0] * 39),
            Outcome.REPRODUCED_NUMERIC,
            (
                "the recorded seed again: ndcg@10 0.2840, claimed 0.2840; losses to the bit over 39 steps; one draw "
                "made twice, "
                "which says nothing of other seeds"
            ),
        ),
        (
            judge(0.2, losses=[0.0, 0.04]),
            Outcome.NOT_REPRODUCED,
            (
                "the recorded seed again: the loss of step 2 differs by 4e-02 of its value, the claim's tolerance is "
                "0.001 (ndcg@10 0.2000, claimed 0.2840)"
            ),
        ),
        (
            judge(0.29, differences=[]),
            Outcome.NOT_REPRODUCED,
            (
                "the recorded seed again: ndcg@10 0.2900, claimed 0.2840, 0.0060 apart, the margin is 0.002; losses "
                "within 2e-07 over 39 steps"
            ),
        ),
        (
            judge(0.29),
            Outcome.INCONCLUSIVE,
            (
                "the recorded seed again: ndcg@10 0.2900, claimed 0.2840, 0.0060 apart, the margin is 0.002; losses "
                "within 2e-07 over 39 steps; in other arithmetic (cpu_capability: AVX2 here, AVX512 recorded) a run "
                "drifts, which refutes nothing"
            ),
        ),
        (
            judge(0.29, margin=0.1),
            Outcome.REPRODUCED_NUMERIC,
            (
                "the recorded seed again: ndcg@10 0.2900, claimed 0.2840, within 0.1 (a margin of 35 % of the claim);"
                " losses within 2e-07 over 39 steps; one draw made twice, which says nothing of other seeds"
            ),
        ),
        (
            judge(0.29, margin=None),
            Outcome.INCONCLUSIVE,
            (
                "the recorded seed again: ndcg@10 0.2900, claimed 0.2840; losses within 2e-07 over 39 steps; the "
                "claim fixed no margin"
            ),
        ),
        (
            judge(0.284, num_steps=40),
            Outcome.NOT_REPRODUCED,
            "the recorded seed again: the first epoch took 40 steps, recorded are 39 (ndcg@10 0.2840, claimed 0.2840)",
        ),
    ],
)
def test_the_sentences(verdict: Verdict, outcome: Outcome, reason: str) -> None:
    assert (verdict.outcome, verdict.reason) == (outcome, reason)


def test_a_difference_of_the_margin_is_within_it_however_it_is_rounded() -> None:
    assert 0.520 - 0.518 > 0.002
    assert judge(0.520, claimed=0.518, losses=[0.001 + 1e-13]).outcome is Outcome.REPRODUCED_NUMERIC


@pytest.mark.parametrize(
    ("step", "differences", "outcome"),
    [
        (9, ELSEWHERE, Outcome.NOT_REPRODUCED),
        (10, ELSEWHERE, Outcome.INCONCLUSIVE),
        (10, [], Outcome.NOT_REPRODUCED),
    ],
)
def test_later_losses_refute_nothing_in_other_arithmetic(
    step: int, differences: Sequence[str], outcome: Outcome
) -> None:
    losses = [0.0] * 20
    losses[step] = 0.0011
    assert judge(0.284, losses=losses, differences=differences).outcome is outcome


@pytest.mark.parametrize("loss", [math.inf, math.nan])
def test_a_loss_that_is_no_number_is_not_the_recorded_one(loss: float) -> None:
    assert judge(0.284, losses=[loss]).outcome is Outcome.NOT_REPRODUCED


def test_a_run_without_steps_is_no_run() -> None:
    assert judge(0.284, losses=[]).outcome is Outcome.NOT_REPRODUCED


@pytest.mark.parametrize(
    ("state_sha256", "ranks_sha256", "differences", "outcome", "says"),
    [
        (SHA256, SHA256, [], Outcome.REPRODUCED_BITWISE, "the same weights"),
        (SHA256, SHA256, ELSEWHERE, Outcome.REPRODUCED_BITWISE, "the same weights"),
        (OTHER_SHA256, SHA256, [], Outcome.NOT_REPRODUCED, "yet the final state is another"),
        (SHA256, OTHER_SHA256, [], Outcome.NOT_REPRODUCED, "yet the same final state has another evaluation"),
        (OTHER_SHA256, SHA256, ELSEWHERE, Outcome.NOT_RUN, re.escape(ELSEWHERE[0])),
    ],
)
def test_a_retrained_state_is_asked_for_bit_by_bit_only_where_the_arithmetic_is_the_recorded_one(
    state_sha256: str, ranks_sha256: str, differences: list[str], outcome: Outcome, says: str
) -> None:
    recorded = EvaluationRecord.from_json(canonical_dumps({**EVALUATION, "ranks_sha256": SHA256}), source="test")
    verdict = judge_training_bitwise(
        state_sha256=state_sha256,
        recorded_sha256=SHA256,
        found=recorded.model_copy(update={"ranks_sha256": ranks_sha256}),
        recorded=recorded,
        environment_differences=differences,
        training_path="reference",
    )
    assert (verdict.rung, verdict.outcome) == (Rung.TRAINING_BITWISE, outcome)
    assert verdict.is_required is (outcome is not Outcome.NOT_RUN)
    assert re.search(says, verdict.reason)
