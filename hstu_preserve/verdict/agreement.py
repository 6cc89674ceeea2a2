"""Judge retrainings with other seeds against the recorded runs, by one interval for the difference of their means."""

from collections.abc import Sequence
from dataclasses import dataclass

from hstu_preserve.primitives.wording import count, list_some
from hstu_preserve.records.claim import Claim
from hstu_preserve.records.retraining.agreement import Agreement, RunValue
from hstu_preserve.records.retraining.plan import Look
from hstu_preserve.records.verdict import Fact, Outcome, Rung, Verdict, list_facts
from hstu_preserve.verdict.agreement_words import (
    count_places,
    declared_spread,
    describe_agreement,
    list_remarks,
    take_interval,
)
from hstu_preserve.verdict.slack import SLACK
from hstu_preserve.verdict.statistics import Interval, Place, Spread, compare, mean, pool, power


@dataclass(frozen=True, kw_only=True)
class Floor:
    """The scatter over seeds that the finite number of users alone causes, a lower bound of the whole.

    Attributes:
        value: A standard deviation of the metric.
        num_users: Of whom it is the mean.
    """

    value: float
    num_users: int


@dataclass(frozen=True, kw_only=True)
class Terms:
    """How a claim is judged.

    Attributes:
        margin: On either side of zero; None if the claim fixed none and the user named none.
        looks: When the interval is looked at; the last is at all retrainings.
        departures: How this differs from what claim or plan fixed before, in words: it is exploratory then.
    """

    margin: float | None
    looks: Sequence[Look]
    departures: Sequence[str] = ()


def find_agreement(
    reruns: Sequence[RunValue], references: Sequence[RunValue], *, claim: Claim, terms: Terms, floor: Floor | None
) -> Agreement | None:
    """Return the agreement at the first look that decides, else at the last one that enough runs are there for.

    Args:
        reruns: In the order of the plan.
        references: The recorded runs, the claimed one first.
        claim: Which metric, and the declared spread.
        terms: The margin and the looks.
        floor: Of the scatter; None if the ranks of two runs are not there.

    Returns:
        None if too few runs are there even for the first look.
    """
    found = None
    for number, look in enumerate(terms.looks, start=1):
        if len(reruns) < look.num_reruns:
            break
        found = agree(reruns, references, claim=claim, terms=terms, floor=floor, number=number)
        if is_decided(found):
            break
    return found


def agree(
    reruns: Sequence[RunValue],
    references: Sequence[RunValue],
    *,
    claim: Claim,
    terms: Terms,
    floor: Floor | None,
    number: int,
) -> Agreement:
    """Return the agreement at one look, by its number from 1."""
    look = terms.looks[number - 1]
    looked_at = tuple(reruns[: look.num_reruns])
    groups = [[run.value for run in runs] for runs in (looked_at, references)]
    interval = compare_draws(*groups, declared=declared_spread(claim.policy), level=look.level)
    return Agreement(
        reruns=looked_at,
        references=tuple(references),
        difference=mean(groups[0]) - mean(groups[1]),
        half_width=None if interval is None else interval.half_width,
        level=look.level,
        spread=None if interval is None else interval.spread.value,
        degrees=None if interval is None else interval.spread.degrees,
        floor=None if floor is None else floor.value,
        num_users=0 if floor is None else floor.num_users,
        margin=terms.margin,
        power=estimate_power(
            terms.margin,
            num_reruns=look.num_reruns,
            references=groups[1],
            declared=declared_spread(claim.policy),
            level=look.level,
        ),
        look=number,
        looks=len(terms.looks),
    )


def compare_draws(
    reruns: Sequence[float], references: Sequence[float], *, declared: Spread | None, level: float
) -> Interval | None:
    """Return the interval, values that are equal to the bit being counted as one draw: copies know of no scatter.

    All runs of both sides being equal is left as it is, since then no scatter at all is what there is to say.
    """
    if len({*reruns, *references}) == 1:
        return compare(reruns, references, declared=declared, level=level)
    return compare(count_once(reruns), count_once(references), declared=declared, level=level)


def count_once(values: Sequence[float]) -> Sequence[float]:
    """Return one value if all are equal to the bit, else all."""
    return values[:1] if len(set(values)) == 1 else values


def estimate_power(
    margin: float | None, *, num_reruns: int, references: Sequence[float], declared: Spread | None, level: float
) -> float | None:
    """Return how often so many retrainings of an equal recipe come out inside, by what was known before them."""
    known = pool([references], declared=declared)
    if margin is None or known is None or known.value == 0:
        return None
    return power(
        margin,
        num_reruns=num_reruns,
        num_references=len(references),
        spread=known.value,
        degrees=known.degrees + num_reruns - 1,
        level=level,
    )


def is_decided(agreement: Agreement) -> bool:
    """Whether the interval lies on one side of the margin."""
    return find_place(agreement) in {Place.INSIDE, Place.OUTSIDE}


def find_place(agreement: Agreement) -> Place | None:
    """Return where the interval lies; None if there is no interval, no margin or no scatter at all."""
    interval = take_interval(agreement)
    if interval is None or agreement.margin is None or interval.spread.value == 0:
        return None
    return interval.place(agreement.margin)


OUTCOMES = {
    Place.INSIDE: Outcome.REPRODUCED_STATISTICAL,
    Place.OUTSIDE: Outcome.NOT_REPRODUCED,
    Place.ACROSS: Outcome.INCONCLUSIVE,
    None: Outcome.INCONCLUSIVE,
}


def judge_agreement(agreement: Agreement, claim: Claim, *, terms: Terms) -> Verdict:
    """Judge retrainings with other seeds, as the interval lies; what is exploratory cannot pass."""
    outcome = Outcome.INCONCLUSIVE if terms.departures else OUTCOMES[find_place(agreement)]
    parts = [
        *([f"exploratory: {list_some(terms.departures, at_most=3, separator='; ')}"] if terms.departures else []),
        describe_agreement(agreement, claim),
        *list_remarks(agreement, claim),
    ]
    return Verdict(
        rung=Rung.TRAINING_STATISTICAL,
        outcome=outcome,
        claim=claim.policy.name,
        reason="; ".join(parts),
        evidence=list_evidence(agreement, claim),
        is_required=True,
        agreement=agreement,
    )


def list_evidence(agreement: Agreement, claim: Claim) -> tuple[Fact, ...]:
    """Return the figures of an agreement as facts."""
    return list_facts(
        metric=claim.policy.metric,
        retrainings=len(agreement.reruns),
        recorded=len(agreement.references),
        difference=agreement.difference,
        half_width=agreement.half_width,
        level=agreement.level,
        spread=agreement.spread,
        degrees=agreement.degrees,
        floor=agreement.floor,
        margin=agreement.margin,
        power=agreement.power,
        look=agreement.look,
        looks=agreement.looks,
    )


def find_departure(claim: Claim, margin: float | None) -> str | None:
    """Return how a margin is wider than the claim fixed before its run, in words; None if it is not."""
    fixed = claim.policy.margin
    if margin is None or (fixed is not None and margin <= fixed + SLACK):
        return None
    places = count_places(fixed or margin)
    before = "none" if fixed is None else f"±{fixed:.{places}f}"
    return f"judged by ±{margin:.{places}f}, the claim fixed {before} before its run"


def judge_missing(
    claim: Claim,
    *,
    num_there: int,
    num_planned: int,
    lasts: str | None,
    then: str = "",
    power: float | None = None,
) -> Verdict:
    """Return that retrainings are still to be made, and how long they take.

    Args:
        claim: Not judged yet.
        num_there: Retrainings that are finished.
        num_planned: Of how many.
        lasts: How long one takes, in words; None if nobody recorded it.
        then: What else is known, in words.
        power: How often an equal recipe will come out inside; None if that cannot be said.
    """
    missing = num_planned - num_there
    cost = f"about {missing} × {lasts}" if lasts is not None else "nobody recorded how long one takes"
    rest = f"goes on ({cost})" if missing else "judges them"
    planned = f"{count(num_planned, 'retraining')} {'is' if num_planned == 1 else 'are'}"
    return Verdict(
        rung=Rung.TRAINING_STATISTICAL,
        outcome=Outcome.NOT_RUN,
        claim=claim.policy.name,
        reason=f"{num_there} of {planned} there; the same command without --dry-run {rest}{then}",
        evidence=list_facts(retrainings=num_there, planned=num_planned, power=power),
        is_required=True,
    )
