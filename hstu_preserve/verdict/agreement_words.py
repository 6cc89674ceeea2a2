"""Say in one sentence how retrainings agree with the recorded runs, and what would decide if they do not yet."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from hstu_preserve.primitives.wording import count, list_some
from hstu_preserve.records.claim import Claim, ClaimPolicy, Direction
from hstu_preserve.records.retraining.agreement import Agreement, RunValue
from hstu_preserve.records.retraining.plan import MAX_RETRAININGS
from hstu_preserve.verdict.margins import describe_width
from hstu_preserve.verdict.slack import SLACK
from hstu_preserve.verdict.statistics import Interval, Place, Spread, mean, power, quantile

WANTED_POWER = 0.95
"""Of how many more retrainings are named."""
SUGGESTED_POWER = 0.90
"""Of the numbers of runs on both sides that are named where retrainings alone never suffice."""
MOST_SUGGESTED = 40
"""Runs on both sides together that a sentence suggests."""
LEAST_SHOWN = 0.005
"""A share of cases that is printed as 1 %."""


def worst_value(policy: ClaimPolicy) -> float:
    """Return what a run counts whose loss became no number: every metric is a share."""
    return 0.0 if policy.direction is Direction.MAXIMIZE else 1.0


def declared_spread(policy: ClaimPolicy) -> Spread | None:
    """Return the spread that the claim states."""
    if policy.spread is None or policy.spread_degrees is None:
        return None
    return Spread(value=policy.spread, degrees=policy.spread_degrees)


def take_interval(agreement: Agreement) -> Interval | None:
    """Return the interval of an agreement."""
    if agreement.half_width is None or agreement.spread is None or agreement.degrees is None:
        return None
    spread = Spread(value=agreement.spread, degrees=agreement.degrees)
    return Interval(difference=agreement.difference, half_width=agreement.half_width, spread=spread)


def describe_agreement(agreement: Agreement, claim: Claim) -> str:
    """Return where the interval lies, and what would decide if it lies across a margin."""
    places = count_places(agreement.margin)
    interval = take_interval(agreement)
    if interval is None:
        return describe_unknown_scatter(agreement, places=places)
    heads = (
        f"{describe_group(agreement.reruns, 'retraining', places=places)}, against "
        f"{describe_group(agreement.references, 'recorded', places=places)}"
    )
    if interval.spread.value == 0:
        return f"{heads}: no scatter at all: the seed decides nothing here, or the runs are copies"
    low, high = interval.difference - interval.half_width, interval.difference + interval.half_width
    figures = (
        f"{heads}: difference {signed(interval.difference, places)}, {describe_level(agreement.level)} interval "
        f"{signed(low, places)} to {signed(high, places)}"
    )
    if agreement.margin is None:
        return f"{figures}; the claim fixed no margin"
    bound = f"±{agreement.margin:.{places}f}{describe_width(agreement.margin, claim.value)}"
    place = interval.place(agreement.margin)
    if place is not Place.ACROSS:
        return f"{figures}, {place.value} {bound}"
    crossed = describe_crossed(low, high, margin=agreement.margin, places=places, claim=claim)
    return f"{figures} crosses {crossed}; {advise(agreement, claim)}"


def describe_unknown_scatter(agreement: Agreement, *, places: int) -> str:
    """Return what one retraining says against one recorded run, when nobody knows how far seeds scatter."""
    one, other = agreement.reruns[0].value, agreement.references[0].value
    return (
        f"one retraining {one:.{places}f} against one recorded {other:.{places}f}, {abs(one - other):.{places}f} "
        "apart; nothing is known of the scatter over seeds, so that this is neither near nor far; --seeds 3, or "
        "claim.spread"
    )


def describe_group(runs: Sequence[RunValue], noun: str, *, places: int) -> str:
    """Return how many runs there are, and their mean: `5 retrainings, mean 0.1944`."""
    named = f"{len(runs)} {noun}" if noun == "recorded" else count(len(runs), noun)
    average = mean([run.value for run in runs])
    return f"{named}, {'mean ' if len(runs) > 1 else ''}{average:.{places}f}"


def describe_crossed(low: float, high: float, *, margin: float, places: int, claim: Claim) -> str:
    """Return which ends of the margin lie within the interval."""
    ends = [end for end in (-margin, margin) if low < end - SLACK and high > end + SLACK] or [
        math.copysign(margin, low + high)
    ]
    return f"{' and '.join(signed(end, places) for end in ends)}{describe_width(margin, claim.value)}"


def describe_level(level: float) -> str:
    """Return a level as it is printed: `90 %`."""
    return f"{100 * level:.0f} %"


def signed(value: float, places: int) -> str:
    """Return a figure with its sign, a true minus."""
    return f"{value:+.{places}f}".replace("-", "−")


def count_places(margin: float | None) -> int:
    """Return with how many decimals figures are shown: four, or as many as give the margin two digits."""
    if not margin:
        return 4
    return max(4, 1 - math.floor(math.log10(margin)))


def advise(agreement: Agreement, claim: Claim) -> str:
    """Return what would decide: more retrainings, or more recorded runs if no number of retrainings would."""
    assert agreement.margin is not None
    assert agreement.spread is not None
    assert agreement.degrees is not None
    num_reruns, num_references = len(agreement.reruns), len(agreement.references)
    more = find_sufficient(agreement, least=num_reruns + 1)
    if more is not None:
        cases = f"{100 * WANTED_POWER:.0f} % of cases"
        return f"{count_more(more - num_reruns)} would decide in {cases} if the recipes are equal"
    limit = bound_power(agreement.margin, num_references=num_references, spread=agreement.spread)
    ratio = agreement.margin / agreement.spread
    against = "one recorded run" if num_references == 1 else f"{num_references} recorded runs"
    share = f" in more than {100 * limit:.0f} % of cases" if limit >= LEAST_SHOWN else ""
    sentence = f"the margin is {ratio:.2g} times the spread: against {against} no number of retrainings decides{share}"
    pair = suggest_runs(ratio, least_reruns=num_reruns, least_references=num_references + 1, claim=claim)
    if pair is None:
        return f"{sentence}; more than {MOST_SUGGESTED} runs on both sides together would be needed"
    return (
        f"{sentence}; {pair.num_references} recorded runs and {pair.num_reruns} retrainings would in "
        f"{100 * pair.power:.0f} %"
    )


def count_more(number: int) -> str:
    """Return `1 more retraining`, `2 more retrainings`."""
    return f"{number} more {'retraining' if number == 1 else 'retrainings'}"


def find_sufficient(agreement: Agreement, *, least: int) -> int | None:
    """Return how many retrainings decide in 95 % of cases if the recipes are equal; None if no number up to 99 does."""
    assert agreement.margin is not None
    assert agreement.spread is not None
    assert agreement.degrees is not None
    others = agreement.degrees - (len(agreement.reruns) - 1)
    for number in range(least, MAX_RETRAININGS + 1):
        found = power(
            agreement.margin,
            num_reruns=number,
            num_references=len(agreement.references),
            spread=agreement.spread,
            degrees=max(1, others + number - 1),
        )
        if found >= WANTED_POWER:
            return number
    return None


def bound_power(margin: float, *, num_references: int, spread: float) -> float:
    """Return how often an equal recipe comes out inside with retrainings without end: the claim itself is a draw."""
    from scipy.special import ndtr

    room = margin * math.sqrt(num_references) / spread - quantile(10**9, level=0.90)
    return max(0.0, 2 * float(ndtr(room)) - 1)


@dataclass(frozen=True, kw_only=True)
class Suggestion:
    """How many runs on both sides would decide.

    Attributes:
        num_reruns: Retrainings.
        num_references: Recorded runs.
        power: In how many cases of equal recipes.
    """

    num_reruns: int
    num_references: int
    power: float


def suggest_runs(ratio: float, *, least_reruns: int, least_references: int, claim: Claim) -> Suggestion | None:
    """Return the fewest runs on both sides that decide in 90 % of cases; of two choices the one with fewer recorded.

    Args:
        ratio: The margin in spreads.
        least_reruns: Retrainings that are there already.
        least_references: Recorded runs to begin with.
        claim: Whose declared spread counts.
    """
    declared = declared_spread(claim.policy)
    known = declared.degrees if declared is not None else 0
    for total in range(least_reruns + least_references, MOST_SUGGESTED + 1):
        for num_references in range(least_references, total - least_reruns + 1):
            num_reruns = total - num_references
            found = power(
                ratio,
                num_reruns=num_reruns,
                num_references=num_references,
                spread=1.0,
                degrees=total - 2 + known,
            )
            if round(found, 2) >= SUGGESTED_POWER:
                return Suggestion(num_reruns=num_reruns, num_references=num_references, power=found)
    return None


def list_remarks(agreement: Agreement, claim: Claim) -> list[str]:
    """Return what must be known beside the interval: diverged runs, copies, a spread that is declared too small."""
    remarks = []
    diverged = [run for run in agreement.reruns if run.is_diverged]
    if diverged:
        named = list_some((str(run.seed) for run in diverged), at_most=5)
        seeds, verb = ("seed", "counts") if len(diverged) == 1 else ("seeds", "count")
        remarks.append(f"{seeds} {named} diverged and {verb} as {worst_value(claim.policy):.0f}")
    differs = len({run.value for run in (*agreement.references, *agreement.reruns)}) > 1
    for runs, noun in ((agreement.references, "recorded values"), (agreement.reruns, "retrained values")):
        if differs and len(runs) > 1 and len({run.value for run in runs}) == 1:
            remarks.append(f"the {len(runs)} {noun} are equal to the bit and count as one run")
    declared = claim.policy.spread
    if declared is not None and agreement.floor is not None and declared < agreement.floor:
        remarks.append(
            f"the declared spread {declared:.2g} is too small: {agreement.num_users} users alone scatter the metric by "
            f"{agreement.floor:.2g}"
        )
    return remarks
