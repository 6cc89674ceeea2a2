"""Every rung's judgement, and the exit code that verdicts come to."""

import math
import re
from itertools import permutations

import pytest

from hstu_preserve.primitives.canonical_json import canonical_dumps
from hstu_preserve.primitives.json_values import Json
from hstu_preserve.primitives.metric_names import METRIC_NAMES
from hstu_preserve.records.contents import Finding, FindingClass
from hstu_preserve.records.environment import NumericsRecord
from hstu_preserve.records.evaluation import EvaluationRecord
from hstu_preserve.records.verdict import Outcome, Rung, Verdict
from hstu_preserve.verdict.rank_moves import RankComparison
from hstu_preserve.verdict.resumption import ResumeComparison, judge_resume
from hstu_preserve.verdict.rungs import (
    choose_exit_code,
    judge_bytes,
    judge_evaluation_bitwise,
    not_run,
)
from tests.record_values import EVALUATION

SHA256, OTHER_SHA256 = "a" * 64, "b" * 64
ELSEWHERE = ["torch: 2.12 here, 2.13 recorded"]
CLAIMED = 0.25
SAME_RANKS = RankComparison(num_users=10, same_users=True, num_moved=0, num_moved_without_near_tie=0, largest_move=0)
MOVED_RANKS = RankComparison(num_users=10, same_users=True, num_moved=3, num_moved_without_near_tie=1, largest_move=7)
OTHER_USERS = RankComparison(num_users=10, same_users=False, num_moved=0, num_moved_without_near_tie=0, largest_move=0)


def make_evaluation(ndcg: float = CLAIMED, *, ranks_sha256: str = SHA256) -> EvaluationRecord:
    metrics: Json = {**dict.fromkeys(METRIC_NAMES, 0.5), "ndcg@10": ndcg}
    value: Json = {**EVALUATION, "metrics": metrics, "ranks_sha256": ranks_sha256}
    return EvaluationRecord.from_json(canonical_dumps(value), source="test")


def facts(verdict: Verdict) -> dict[str, object]:
    return {fact.name: fact.value for fact in verdict.evidence}


def make_finding(path: str) -> Finding:
    return Finding(finding_class=FindingClass.CHANGED, path=path, expected=None, found=None)


def make_verdict(rung: Rung, outcome: Outcome, *, is_required: bool = True) -> Verdict:
    return Verdict(rung=rung, outcome=outcome, claim=None, reason="a test", evidence=(), is_required=is_required)


def test_bytes_without_findings_are_the_packed_bytes_and_nobody_signed_them() -> None:
    verdict = judge_bytes([], num_members=7, identity=SHA256)
    assert verdict.outcome is Outcome.REPRODUCED_BITWISE
    assert verdict.is_required
    assert "all 7 members" in verdict.reason
    assert "integrity only" in verdict.reason
    assert facts(verdict) == {"identity": SHA256, "findings": 0}


@pytest.mark.parametrize(("paths", "reason"), [(["a"], "a: changed"), (["a", "b", "c"], "a: changed and 2 more")])
def test_bytes_with_findings_are_not_and_the_first_is_named(paths: list[str], reason: str) -> None:
    verdict = judge_bytes([make_finding(path) for path in paths], num_members=7, identity=None)
    assert (verdict.rung, verdict.outcome, verdict.reason) == (Rung.BYTES, Outcome.NOT_REPRODUCED, reason)
    assert facts(verdict) == {"identity": None, "findings": len(paths)}


@pytest.mark.parametrize("differences", [[], ELSEWHERE])
def test_equal_ranks_are_bitwise_reproduced_in_any_environment(differences: list[str]) -> None:
    verdict = judge_evaluation_bitwise(
        make_evaluation(), make_evaluation(), comparison=SAME_RANKS, environment_differences=differences
    )
    assert verdict.outcome is Outcome.REPRODUCED_BITWISE
    assert verdict.is_required
    assert facts(verdict)["users"] == 10


@pytest.mark.parametrize(
    "found", [make_evaluation(ranks_sha256=OTHER_SHA256), make_evaluation(0.250001)], ids=["ranks", "a metric"]
)
def test_other_ranks_or_metrics_in_the_recorded_environment_are_not_reproduced(found: EvaluationRecord) -> None:
    verdict = judge_evaluation_bitwise(found, make_evaluation(), comparison=MOVED_RANKS, environment_differences=[])
    assert verdict.outcome is Outcome.NOT_REPRODUCED
    assert verdict.is_required
    assert "3 of 10 users moved" in verdict.reason
    assert facts(verdict)["largest_move"] == 7


def test_a_ranking_of_other_users_is_said_to_be_one() -> None:
    verdict = judge_evaluation_bitwise(
        make_evaluation(ranks_sha256=OTHER_SHA256),
        make_evaluation(),
        comparison=OTHER_USERS,
        environment_differences=[],
    )
    assert verdict.outcome is Outcome.NOT_REPRODUCED
    assert "other users or targets" in verdict.reason


def test_another_environment_is_not_asked_for_equal_ranks_and_is_named() -> None:
    verdict = judge_evaluation_bitwise(
        make_evaluation(ranks_sha256=OTHER_SHA256),
        make_evaluation(),
        comparison=MOVED_RANKS,
        environment_differences=ELSEWHERE,
    )
    assert verdict.outcome is Outcome.NOT_RUN
    assert not verdict.is_required
    assert ELSEWHERE[0] in verdict.reason


def compare(
    *,
    num_steps: int = 5,
    num_recorded: int = 5,
    num_equal: int = 5,
    largest: float = 0.0,
    state_sha256: str | None = SHA256,
) -> ResumeComparison:
    return ResumeComparison(
        checkpoint="tiny_ep1",
        num_steps=num_steps,
        num_recorded=num_recorded,
        num_equal=num_equal,
        largest_difference=largest,
        state_sha256=state_sha256,
        recorded_sha256=SHA256,
        training_path="reference",
    )


@pytest.mark.parametrize(
    ("comparison", "outcome", "says"),
    [
        (compare(), Outcome.REPRODUCED_BITWISE, "5 steps to the end of the run .* and the same final state"),
        (compare(state_sha256=None), Outcome.REPRODUCED_BITWISE, "5 steps as far as was asked .* to the bit$"),
        (compare(num_equal=3, largest=1e-7), Outcome.NOT_REPRODUCED, "step 4 of 5 has another loss"),
        (compare(state_sha256=OTHER_SHA256), Outcome.NOT_REPRODUCED, "the final state is another"),
        (compare(num_recorded=6), Outcome.NOT_REPRODUCED, "5 steps were taken where 6 are recorded"),
        (compare(num_steps=0, num_recorded=0, num_equal=0), Outcome.NOT_REPRODUCED, "yet"),
    ],
)
def test_a_resumed_run_is_judged_bit_by_bit_in_the_recorded_environment(
    comparison: ResumeComparison, outcome: Outcome, says: str
) -> None:
    (verdict,) = judge_resume(comparison, tolerance=0.5, environment_differences=[])
    assert (verdict.rung, verdict.outcome, verdict.is_required) == (Rung.RESUME_BITWISE, outcome, True)
    assert re.search(says, verdict.reason)
    assert facts(verdict)["num_equal"] == comparison.num_equal


@pytest.mark.parametrize(
    ("largest", "outcome", "shown"),
    [
        (0.125, Outcome.REPRODUCED_NUMERIC, 0.125),
        (0.125 + 1e-13, Outcome.REPRODUCED_NUMERIC, 0.125 + 1e-13),
        (0.126, Outcome.NOT_REPRODUCED, 0.126),
        (math.inf, Outcome.NOT_REPRODUCED, "not finite"),
    ],
)
def test_a_resumed_run_elsewhere_is_judged_by_its_first_losses(largest: float, outcome: Outcome, shown: object) -> None:
    comparison = compare(num_equal=0, largest=largest, state_sha256=OTHER_SHA256)
    bitwise, numeric = judge_resume(comparison, tolerance=0.125, environment_differences=ELSEWHERE)
    assert (bitwise.outcome, bitwise.is_required) == (Outcome.NOT_RUN, False)
    assert ELSEWHERE[0] in bitwise.reason
    assert (numeric.rung, numeric.outcome, numeric.is_required) == (Rung.RESUME_NUMERIC, outcome, True)
    assert facts(numeric)["largest_difference"] == shown
    assert Verdict.from_json(numeric.to_json(), source="test") == numeric


def test_a_resumed_run_that_is_equal_elsewhere_needs_no_second_rung() -> None:
    (verdict,) = judge_resume(compare(), tolerance=0.0, environment_differences=ELSEWHERE)
    assert verdict.outcome is Outcome.REPRODUCED_BITWISE


def test_a_rung_that_could_not_be_run_is_required_and_says_why() -> None:
    verdict = not_run(Rung.TRAINING_BITWISE, "there is no data")
    assert (verdict.outcome, verdict.reason, verdict.is_required) == (Outcome.NOT_RUN, "there is no data", True)


HELD = make_verdict(Rung.EVALUATION_NUMERIC, Outcome.REPRODUCED_NUMERIC)
OPEN = make_verdict(Rung.TRAINING_STATISTICAL, Outcome.INCONCLUSIVE)
FAILED = make_verdict(Rung.EVALUATION_NUMERIC, Outcome.NOT_REPRODUCED)
DAMAGED = make_verdict(Rung.BYTES, Outcome.NOT_REPRODUCED)


@pytest.mark.parametrize(
    ("verdicts", "code"),
    [
        ([HELD], 0),
        ([make_verdict(Rung.BYTES, Outcome.REPRODUCED_BITWISE), HELD], 0),
        ([make_verdict(Rung.TRAINING_STATISTICAL, Outcome.REPRODUCED_STATISTICAL)], 0),
        ([OPEN], 6),
        ([not_run(Rung.TRAINING_BITWISE, "no data")], 6),
        ([HELD, OPEN], 6),
        ([FAILED], 5),
        ([HELD, OPEN, FAILED], 5),
        ([DAMAGED], 3),
        ([HELD, OPEN, FAILED, DAMAGED], 3),
    ],
)
def test_the_exit_code_is_the_first_of_damaged_refuted_and_open(verdicts: list[Verdict], code: int) -> None:
    assert {choose_exit_code(order) for order in permutations(verdicts)} == {code}


@pytest.mark.parametrize("outcome", list(Outcome))
def test_a_rung_that_is_not_required_decides_nothing(outcome: Outcome) -> None:
    optional = make_verdict(Rung.EVALUATION_BITWISE, outcome, is_required=False)
    assert choose_exit_code([HELD, optional]) == 0
    assert choose_exit_code([OPEN, optional]) == 6


def test_no_required_verdict_at_all_is_no_success() -> None:
    assert choose_exit_code([]) == 6
    assert choose_exit_code([make_verdict(Rung.BYTES, Outcome.REPRODUCED_BITWISE, is_required=False)]) == 6


NUMERICS: dict[str, Json] = {
    "torch": "2.13.0",
    "device": "cpu",
    "cpu_capability": "AVX2",
    "processor": "Abacus 2",
    "threads": 2,
    "code_path": "fbgemm",
    "dtype": "float32",
    "tf32": False,
    "deterministic_algorithms": True,
    "processes": 1,
}
CHANGES: dict[str, Json] = {
    "torch": "2.12.0",
    "device": "H100",
    "cpu_capability": "AVX512",
    "processor": "Abacus 1",
    "threads": 3,
    "code_path": "plain",
    "dtype": "bfloat16",
    "tf32": True,
    "deterministic_algorithms": False,
    "processes": 2,
}


def make_numerics(**changes: Json) -> NumericsRecord:
    return NumericsRecord.from_json(canonical_dumps(NUMERICS | changes), source="test")


@pytest.mark.parametrize("name", list(NumericsRecord.model_fields))
def test_each_fact_of_the_arithmetic_is_a_difference_when_it_differs(name: str) -> None:
    here = make_numerics(**{name: CHANGES[name]})
    assert here.list_differences(make_numerics()) == [f"{name}: {CHANGES[name]} here, {NUMERICS[name]} recorded"]


def test_equal_arithmetic_has_no_differences() -> None:
    assert make_numerics().list_differences(make_numerics()) == []
