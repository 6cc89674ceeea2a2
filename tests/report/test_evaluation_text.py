"""What a person reads of an evaluation: ties, agreement, means over nobody."""

import pytest
from rich.console import Console

from hstu_preserve.primitives.json_values import Json
from hstu_preserve.primitives.metric_names import METRIC_NAMES
from hstu_preserve.records.results import EvaluationResult
from hstu_preserve.report.runs import describe_evaluation
from tests.record_values import EVALUATION


def read_text(*, users_compared: int, agree: bool = True, **changes: Json) -> str:
    """Return the text of an evaluation of 10 users."""
    evaluation = {**EVALUATION, **changes}
    record = EvaluationResult.model_validate(
        {
            "target": "x",
            "checkpoint": "x",
            "evaluation": evaluation,
            "evaluators_agree": agree,
            "users_compared": users_compared,
            "environment": {"python": "3", "platform": "x", "machine": "x", "packages": {}, "numerics": None},
            "ranks_path": None,
            "warnings": [],
        },
        strict=False,
    )
    console = Console(width=400)
    with console.capture() as capture:
        console.print(describe_evaluation(record))
    return capture.get()


@pytest.mark.parametrize(
    ("users_compared", "agree", "expected"),
    [
        (10, True, "agree on 10 of 10 users\n"),
        (7, True, "agree on 7 of 10 users; the others have an exact tie or a target beyond the top 2,500"),
        (0, True, "not comparable: each of 10 users has an exact tie or a target beyond the top 2,500"),
        (7, False, "DISAGREE: please report this"),
    ],
)
def test_agreement_is_told_with_the_number_of_users_compared(users_compared: int, agree: bool, expected: str) -> None:
    text = "\n".join(line.rstrip() for line in read_text(users_compared=users_compared, agree=agree).splitlines())
    assert f"evaluators  {expected}" in f"{text}\n"


def test_ties_are_told_with_the_place_of_a_tied_target_and_the_bounds_of_each_metric() -> None:
    bounds: Json = {name: {"ties_for": 1.0, "ties_against": 0.125} for name in (*METRIC_NAMES, "exact_mrr")}
    text = read_text(users_compared=7, num_tied=3, ties=bounds)
    assert "an exact rank is the first place among equals" in text
    rows = [line.split() for line in text.splitlines()]
    for name in ("mrr", "ndcg@10", "hr@10_>=4", "exact_mrr"):
        assert [name, "0.500000", "1.000000", "0.125000"] in rows


def test_a_mean_over_nobody_is_no_number() -> None:
    text = read_text(users_compared=10, metrics={**dict.fromkeys(METRIC_NAMES, 0.25), "mrr_>=4": None})
    assert ["mrr_>=4", "over", "nobody"] in [line.split() for line in text.splitlines()]
