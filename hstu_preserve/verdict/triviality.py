"""Say which claims mean nothing: those that an order drawn at random meets, too."""

from collections.abc import Iterator
from math import log2

from hstu_preserve.records.claim import Claim, Direction
from hstu_preserve.records.evaluation import EvaluationRecord
from hstu_preserve.records.verdict import Outcome, Verdict
from hstu_preserve.verdict.margins import name_margin
from hstu_preserve.verdict.slack import SLACK

CLAMP = 2500
"""Upstream ranks the top 2,500; a target beyond them has rank 2,501."""


def call_trivial(verdict: Verdict, claim: Claim, *, evaluation: EvaluationRecord) -> Verdict:
    """Return the verdict on a claim; one that says the claim holds is INCONCLUSIVE if every model meets the claim."""
    if verdict.outcome not in {Outcome.REPRODUCED_NUMERIC, Outcome.REPRODUCED_STATISTICAL}:
        return verdict
    why = explain_triviality(claim, num_candidates=evaluation.num_ranked)
    if why is not None:
        return verdict.model_copy(update={"outcome": Outcome.INCONCLUSIVE, "reason": f"{verdict.reason}; {why}"})
    by_chance = expect_by_chance(claim.policy.metric, num_candidates=evaluation.num_ranked)
    # The number of a weak model is a number like others: it holds, and the reader is told what it is worth.
    if claim.value <= by_chance:
        weak = f"no more than an order drawn at random has ({by_chance:.4f})"
        return verdict.model_copy(update={"reason": f"{verdict.reason}; {weak}"})
    return verdict


def explain_triviality(claim: Claim, *, num_candidates: int) -> str | None:
    """Return why a claim says nothing of a model; None if it says something.

    Every metric is better when larger. A margin that reaches from the claimed number down to what an order drawn at
    random has is met by models that know nothing.
    """
    metric, margin = claim.policy.metric, claim.policy.margin or 0.0
    by_chance = expect_by_chance(metric, num_candidates=num_candidates)
    if claim.policy.direction is Direction.MINIMIZE:
        return f"a trivial claim: {metric} is better when larger, and the claim calls smaller better"
    if by_chance >= 1:
        return f"a trivial claim: {metric} is 1 for every order of {num_candidates} candidates"
    if claim.value - margin - SLACK <= by_chance < claim.value:
        chance = f"an order drawn at random, {by_chance:.4f} among {num_candidates} candidates"
        return f"a trivial claim: {metric} of {chance}, is within its margin of {name_margin(claim)}"
    return None


def expect_by_chance(metric: str, *, num_candidates: int) -> float:
    """Return the expected metric of a user whose target stands at each place with the same probability.

    A lower bound: items that the user has seen are not ranked, so that fewer candidates compete.
    """
    metric = metric.partition("_")[0]  # which targets count decides nothing by chance
    return sum(list_gains(metric, num_candidates=num_candidates)) / max(1, num_candidates)


def list_gains(metric: str, *, num_candidates: int) -> Iterator[float]:
    """Yield what a user contributes to the metric for each place of the target, as `evaluation.metrics` defines it."""
    family, _, cutoff = metric.partition("@")
    for rank in range(1, num_candidates + 1):
        if family == "mrr":
            yield 1 / min(rank, CLAMP + 1)
        elif rank > min(int(cutoff), CLAMP):
            return
        else:
            yield 1.0 if family == "hr" else 1 / log2(rank + 1)
