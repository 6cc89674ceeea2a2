"""What a claim must say, before the run and after it."""

import math

import pytest
from pydantic import ValidationError

from hstu_preserve.errors import ContentError
from hstu_preserve.primitives.canonical_json import canonical_dumps
from hstu_preserve.primitives.json_values import Json
from hstu_preserve.primitives.metric_names import METRIC_NAMES
from hstu_preserve.records.claim import Claim, ClaimPolicy

POLICY: dict[str, Json] = {
    "name": "headline",
    "metric": "ndcg@10",
    "direction": "maximize",
    "protocol": "validated",
    "selection_rule": "best-on-validation",
    "margin": 0.01,
    "margin_derivation": "twice the spread over five seeds",
    "loss_tolerance": 0.001,
    "seeds": [42, 43],
}


def read_policy(**changes: Json) -> ClaimPolicy:
    return ClaimPolicy.from_json(canonical_dumps(POLICY | changes), source="test")


@pytest.mark.parametrize("metric", METRIC_NAMES)
def test_every_metric_of_upstreams_can_be_claimed(metric: str) -> None:
    assert read_policy(metric=metric).metric == metric


@pytest.mark.parametrize(
    "metric", ["ndcg@7", "NDCG@10", "hr@10 ", "hr@10\n", "xhr@10", "ndcg@10_>=5", "hr@100_>=4", ""]
)
def test_no_other_metric_can(metric: str) -> None:
    with pytest.raises(ContentError, match="metric: "):
        read_policy(metric=metric)


@pytest.mark.parametrize(
    ("margin", "derivation"), [(0.01, None), (None, "out of thin air")], ids=["margin alone", "derivation alone"]
)
def test_a_margin_says_where_it_comes_from(margin: float | None, derivation: str | None) -> None:
    with pytest.raises(ContentError, match="margin and margin_derivation are given together or not at all"):
        read_policy(margin=margin, margin_derivation=derivation)


def test_a_claim_may_have_no_margin() -> None:
    assert read_policy(margin=None, margin_derivation=None).margin is None


SPREAD: dict[str, Json] = {"spread": 0.00071, "spread_degrees": 4, "spread_derivation": "three models, published twice"}


def test_a_claim_may_state_its_spread() -> None:
    policy = read_policy(**SPREAD)
    assert (policy.spread, policy.spread_degrees) == (0.00071, 4)
    assert ClaimPolicy.from_json(policy.to_json(), source="test") == policy


@pytest.mark.parametrize("lacking", SPREAD)
def test_a_spread_says_where_it_comes_from_and_how_well_it_is_known(lacking: str) -> None:
    with pytest.raises(ContentError, match="spread, spread_degrees and spread_derivation are given together"):
        read_policy(**SPREAD | {lacking: None})


@pytest.mark.parametrize("changes", [{"spread": 0.0}, {"spread_degrees": 0}, {"spread_derivation": " "}])
def test_a_spread_that_says_nothing_is_refused(changes: dict[str, Json]) -> None:
    with pytest.raises(ContentError, match=next(iter(changes))):
        read_policy(**SPREAD | changes)


def test_a_policy_from_before_the_spread_keeps_its_text() -> None:
    assert read_policy().to_json() == canonical_dumps(POLICY)


def test_the_best_epoch_on_validation_needs_a_validation_part() -> None:
    with pytest.raises(ContentError, match="best-on-validation exists only under protocol validated"):
        read_policy(protocol="upstream")


def test_the_last_epoch_is_not_what_a_validated_run_reports() -> None:
    with pytest.raises(ContentError, match="final-epoch is not what protocol validated reports"):
        read_policy(protocol="validated", selection_rule="final-epoch")


@pytest.mark.parametrize(
    ("protocol", "rule"), [("upstream", "final-epoch"), ("upstream", "best-on-test"), ("validated", "best-on-test")]
)
def test_the_other_rules_exist(protocol: str, rule: str) -> None:
    assert read_policy(protocol=protocol, selection_rule=rule).selection_rule == rule


@pytest.mark.parametrize("margin", [-0.01, math.nan, math.inf])
def test_a_margin_is_a_finite_distance(margin: float) -> None:
    with pytest.raises(ValidationError, match="margin"):
        ClaimPolicy.model_validate({**read_policy().model_dump(), "margin": margin})


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_claimed_value_is_finite(value: float) -> None:
    with pytest.raises(ValidationError, match="value"):
        Claim(policy=read_policy(), value=value, epoch=1)


@pytest.mark.parametrize("changes", [{"seeds": [-1]}, {"seeds": [1.5]}, {"direction": "up"}, {"margin": "0.01"}])
def test_a_policy_of_other_types_is_refused(changes: dict[str, Json]) -> None:
    with pytest.raises(ContentError):
        read_policy(**changes)


def test_an_epoch_is_counted_from_zero() -> None:
    assert Claim(policy=read_policy(), value=0.5, epoch=0).epoch == 0
    with pytest.raises(ValidationError, match="epoch"):
        Claim(policy=read_policy(), value=0.5, epoch=-1)
