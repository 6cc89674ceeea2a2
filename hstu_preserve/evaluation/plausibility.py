"""Say what no evaluation can give: figures that no ranks have, whatever the model."""

from collections.abc import Iterator
from itertools import pairwise

from hstu_preserve.evaluation.metrics import HIT_RATE_CUTOFFS, NDCG_CUTOFFS
from hstu_preserve.primitives.metric_names import LIKED_SUFFIX, METRIC_NAMES
from hstu_preserve.records.evaluation import EvaluationRecord

SLACK = 1e-9
"""Rounding of a mean over users in float64."""


def list_impossibilities(record: EvaluationRecord) -> Iterator[str]:
    """Yield each figure of an evaluation that contradicts another one of it.

    The ranks of a run's earlier epochs are not kept, so that this is all that can be asked of their figures.
    """
    metrics = record.metrics
    if metrics.keys() != set(METRIC_NAMES):
        yield f"the metrics are {', '.join(sorted(metrics))}, expected {', '.join(sorted(METRIC_NAMES))}"
        return
    if empty := [name for name, value in metrics.items() if value is None and not name.endswith(LIKED_SUFFIX)]:
        yield f"{', '.join(empty)} of {record.num_users} users: no value, which only a mean over nobody lacks"
        return
    outside = [name for name, value in metrics.items() if value is not None and not 0 <= value <= 1]
    yield from (f"{name} {metrics[name]} is not between 0 and 1" for name in outside)
    for family, cutoffs in (("hr", HIT_RATE_CUTOFFS), ("ndcg", NDCG_CUTOFFS)):
        for smaller, larger in pairwise(cutoffs):
            yield from list_if_more(record, f"{family}@{smaller}", f"{family}@{larger}")
    for cutoff in NDCG_CUTOFFS:
        yield from list_if_more(record, f"ndcg@{cutoff}", f"hr@{cutoff}")
    yield from list_if_more(record, "hr@1", "ndcg@1")
    yield from list_if_more(record, "hr@1", "mrr")
    yield from list_broken_users(record)
    yield from list_impossible_counts(record)


def list_if_more(record: EvaluationRecord, smaller: str, larger: str) -> Iterator[str]:
    """Yield a metric that exceeds another one that bounds it."""
    value, bound = record.value_of(smaller), record.value_of(larger)
    if value > bound + SLACK:
        yield f"{smaller} {value} is more than {larger} {bound}"


def list_broken_users(record: EvaluationRecord) -> Iterator[str]:
    """Yield each hit rate that is no whole number of users."""
    for name in (f"hr@{cutoff}" for cutoff in HIT_RATE_CUTOFFS):
        hits = record.value_of(name) * record.num_users
        if abs(hits - round(hits)) > SLACK * max(1, record.num_users):
            yield f"{name} {record.metrics[name]} of {record.num_users} users is no whole number of them"


def list_impossible_counts(record: EvaluationRecord) -> Iterator[str]:
    """Yield each count that exceeds the users, and a coverage that is no whole number of candidates."""
    for name in ("num_clamped", "num_unrankable", "num_tied", "num_nearly_tied"):
        if getattr(record, name) > record.num_users:
            yield f"{name} {getattr(record, name)} is more than the {record.num_users} users"
    if record.num_tied > record.num_nearly_tied:
        yield f"num_tied {record.num_tied} is more than num_nearly_tied {record.num_nearly_tied}"
    if record.ranking is not None and record.ranking.num_checked > record.num_users:
        yield f"num_checked {record.ranking.num_checked} is more than the {record.num_users} users"
    covered = record.coverage_at_10 * record.num_candidates
    if abs(covered - round(covered)) > SLACK * max(1, record.num_candidates):
        yield f"coverage_at_10 {record.coverage_at_10} of {record.num_candidates} candidates is no whole number of them"
