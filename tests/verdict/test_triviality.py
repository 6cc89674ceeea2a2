"""Claims that say nothing of a model are called trivial; a weak number is told apart from them."""

import math

import pytest

from hstu_preserve.records.verdict import Outcome, Rung
from hstu_preserve.verdict.triviality import call_trivial, expect_by_chance, explain_triviality
from tests.record_values import make_claim
from tests.verdict.test_rungs import make_evaluation, make_verdict


@pytest.mark.parametrize(
    ("metric", "value", "margin", "says"),
    [
        ("hr@1000", 1.0, None, "is 1 for every order of 400 candidates"),
        ("hr@500", 1.0, 0.002, "is 1 for every order of 400 candidates"),
        ("hr@200", 0.52, 0.03, "drawn at random, 0.5000 among 400"),
        ("ndcg@10", 0.284, 0.284, "is within its margin of 0.284"),
        ("ndcg@10", 0.284, 0.9, "is within its margin of 0.9"),
        ("mrr", 0.05, 0.04, "drawn at random"),
        ("hr@10_>=4", 0.3, 0.28, "drawn at random, 0.0250"),
    ],
)
def test_a_claim_that_every_order_or_one_by_chance_meets_is_trivial(
    metric: str, value: float, margin: float | None, says: str
) -> None:
    why = explain_triviality(make_claim(value, margin=margin, metric=metric), num_candidates=400)
    assert why is not None
    assert says in why


@pytest.mark.parametrize("metric", ["ndcg@10", "hr@50", "mrr"])
def test_a_claim_that_calls_smaller_better_is_trivial(metric: str) -> None:
    why = explain_triviality(make_claim(0.5, margin=0.001, metric=metric, direction="minimize"), num_candidates=10**5)
    assert why == f"a trivial claim: {metric} is better when larger, and the claim calls smaller better"


@pytest.mark.parametrize(
    ("metric", "value", "margin"),
    [
        ("ndcg@10", 0.284, 0.002),
        ("hr@10", 0.518, 0.4),
        ("hr@200", 0.52, 0.01),
        ("mrr", 0.2, None),
        ("hr@200", 0.4, 0.1),
    ],
)
def test_another_claim_is_not(metric: str, value: float, margin: float | None) -> None:
    assert explain_triviality(make_claim(value, margin=margin, metric=metric), num_candidates=400) is None


def test_chance_is_the_mean_over_all_places() -> None:
    assert expect_by_chance("hr@10", num_candidates=400) == 10 / 400
    assert expect_by_chance("hr@1", num_candidates=1) == 1
    assert expect_by_chance("mrr", num_candidates=3) == pytest.approx((1 + 1 / 2 + 1 / 3) / 3)
    expected = sum(1 / math.log2(rank + 1) for rank in range(1, 11)) / 20
    assert expect_by_chance("ndcg@10", num_candidates=20) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("value", "margin", "outcome", "says"),
    [
        (0.25, 0.125, Outcome.INCONCLUSIVE, "a trivial claim"),
        (0.25, 0.01, Outcome.REPRODUCED_NUMERIC, "a test"),
        (0.1, 0.01, Outcome.REPRODUCED_NUMERIC, "no more than an order drawn at random has (0.2272)"),
    ],
)
def test_only_a_verdict_that_would_say_something_is_changed(
    value: float, margin: float, outcome: Outcome, says: str
) -> None:
    claim = make_claim(value, margin=margin)  # among the 20 candidates of `make_evaluation`
    passed = make_verdict(Rung.EVALUATION_NUMERIC, Outcome.REPRODUCED_NUMERIC)
    judged = call_trivial(passed, claim, evaluation=make_evaluation())
    assert judged.outcome is outcome
    assert says in judged.reason
    failed = make_verdict(Rung.EVALUATION_NUMERIC, Outcome.NOT_REPRODUCED)
    assert call_trivial(failed, claim, evaluation=make_evaluation()) == failed
