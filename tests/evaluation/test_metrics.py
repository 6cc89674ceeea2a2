"""Metrics against their formulas, written out."""

import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hstu_preserve.evaluation.metrics import compute_metrics, coverage, exact_reciprocal_rank
from hstu_preserve.evaluation.ranking import MISS
from hstu_preserve.evaluation.ranks import UserRanks
from hstu_preserve.primitives.metric_names import METRIC_NAMES

clamped_ranks = st.integers(1, 12) | st.integers(1, MISS) | st.sampled_from((1, 10, 50, 100, 200, 500, 1000, MISS))
users = st.lists(st.tuples(clamped_ranks, st.integers(1, 10)), min_size=1, max_size=30)


def make_ranks(rows: list[tuple[int, int]], *, exact: list[int] | None = None) -> UserRanks:
    """Return users of the given (clamped rank, half stars)."""
    zeros = np.zeros(len(rows), dtype=np.int64)
    clamped = np.array([rank for rank, _ in rows], dtype=np.int64)
    return UserRanks(
        user_ids=np.arange(len(rows)),
        target_ids=zeros,
        target_half_stars=np.array([stars for _, stars in rows], dtype=np.int64),
        ranks=clamped if exact is None else np.array(exact, dtype=np.int64),
        ranks_topk=clamped,
        ties=zeros,
        near_ties=zeros,
    )


def explain(name: str, ranks: list[int]) -> float | None:
    """Compute a metric by its formula."""
    if not ranks:
        return None
    kind, _, cutoff = name.partition("@")
    gains: dict[str, Callable[[int], float]] = {
        "hr": lambda rank: 1.0,
        "ndcg": lambda rank: 1 / math.log2(rank + 1),
        "mrr": lambda rank: 1 / rank,
    }
    limit = int(cutoff) if cutoff else math.inf
    return math.fsum(gains[kind](rank) for rank in ranks if rank <= limit) / len(ranks)


@given(users)
def test_every_metric_is_its_formula(rows: list[tuple[int, int]]) -> None:
    everybody = [rank for rank, _ in rows]
    liked = [rank for rank, half_stars in rows if half_stars >= 8]
    expected = {
        name: explain(name.removesuffix("_>=4"), liked if name.endswith("_>=4") else everybody) for name in METRIC_NAMES
    }
    found = compute_metrics(make_ranks(rows))
    assert {name for name, value in found.items() if value is None} == {
        name for name, value in expected.items() if value is None
    }
    for name, value in expected.items():
        assert value is None or found[name] == pytest.approx(value, rel=1e-12)


def test_the_liked_are_those_with_four_stars_or_more() -> None:
    metrics = compute_metrics(make_ranks([(1, 8), (MISS, 7), (2, 10)]))
    assert metrics["hr@10_>=4"] == 1.0
    assert metrics["hr@10"] == pytest.approx(2 / 3)


def test_metrics_of_no_liked_target_are_null_without_a_warning() -> None:
    metrics = compute_metrics(make_ranks([(1, 2), (3, 7)]))
    assert [metrics[name] for name in METRIC_NAMES if name.endswith("_>=4")] == [None] * 4


def test_metrics_of_nobody_are_null_without_a_warning() -> None:
    assert set(compute_metrics(make_ranks([])).values()) == {None}
    assert exact_reciprocal_rank(make_ranks([])) is None


def test_a_miss_counts_a_little_for_upstreams_mrr_and_exactly_for_ours() -> None:
    ranks = make_ranks([(1, 8), (MISS, 8), (MISS, 8)], exact=[1, 5000, 0])
    assert compute_metrics(ranks)["mrr"] == pytest.approx((1 + 2 / 2501) / 3)
    assert exact_reciprocal_rank(ranks) == pytest.approx((1 + 1 / 5000 + 0) / 3)


@given(st.lists(st.lists(st.booleans(), min_size=4, max_size=4), min_size=1, max_size=5))
def test_coverage_is_the_share_of_candidates_that_any_batch_recommends(batches: list[list[bool]]) -> None:
    covered = sum(any(one) for one in zip(*batches, strict=True))
    assert coverage([np.array(batch) for batch in batches]) == covered / 4
