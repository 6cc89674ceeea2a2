"""The record of an evaluation: every metric is there, in its range, or null."""

import math

import pytest

from hstu_preserve.errors import ContentError
from hstu_preserve.primitives.canonical_json import canonical_dumps
from hstu_preserve.primitives.json_values import Json
from hstu_preserve.primitives.metric_names import METRIC_NAMES
from hstu_preserve.records.evaluation import EvaluationRecord
from tests.record_values import EVALUATION


def read(**changes: Json) -> EvaluationRecord:
    return EvaluationRecord.from_json(canonical_dumps({**EVALUATION, **changes}), source="metrics.json")


@pytest.mark.parametrize("lacking", ["mrr", "ndcg@10", "hr@50_>=4"])
def test_a_curve_without_one_of_the_metrics_is_refused_by_its_name(lacking: str) -> None:
    metrics: dict[str, Json] = {name: 0.5 for name in METRIC_NAMES if name != lacking}
    with pytest.raises(ContentError, match=rf"^metrics\.json: metrics: lacks {lacking}$"):
        read(metrics=metrics)


@pytest.mark.parametrize(
    ("name", "value"), [("mrr", 1.5), ("ndcg@10", -0.1), ("hr@1", 1e300), ("hr@1", True), ("invented", 0.5)]
)
def test_a_metric_that_is_none_is_refused(name: str, value: Json) -> None:
    with pytest.raises(ContentError, match=r"^metrics\.json: metrics"):
        read(metrics={**dict.fromkeys(METRIC_NAMES, 0.5), name: value})


def test_a_mean_over_nobody_has_no_value_that_could_be_claimed() -> None:
    record = read(metrics={**dict.fromkeys(METRIC_NAMES, 0.5), "mrr_>=4": None})
    assert record.value_of("mrr") == 0.5
    with pytest.raises(ContentError, match="mrr_>=4 is a mean over nobody"):
        record.value_of("mrr_>=4")


def test_a_record_without_ties_keeps_the_text_that_it_had_before_bounds_were_recorded() -> None:
    assert read().to_json() == canonical_dumps(EVALUATION)
    bounds: Json = {"mrr": {"ties_for": 1.0, "ties_against": math.ldexp(1, -4)}}
    assert b'"ties":{"mrr":' in read(ties=bounds, num_tied=3).to_json()
