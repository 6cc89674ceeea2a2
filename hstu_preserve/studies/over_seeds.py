"""What the runs of several recipes say of their means and differences over seeds; pure numbers."""

import math
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace

from hstu_preserve.studies.paired import (
    LEVEL,
    Estimate,
    compare_groups,
    compare_pairs,
    correct_by_holm,
    find_detectable,
)
from hstu_preserve.verdict.statistics import Spread, mean, pool, quantile, standard_error

SEVERAL_TIMES = 0.01
"""Below this p, corrected, a recipe's runs scatter more than those of the others."""

Runs = Mapping[int, float]
"""A metric by seed."""


@dataclass(frozen=True, kw_only=True)
class Difference:
    """A recipe against the baseline.

    Attributes:
        estimate: Of the mean difference.
        p_holm: Corrected for the number of recipes that are tested.
        is_paired: Whether both have the same seeds, so that each difference is of two runs with one seed.
        detectable: The difference that a test of so many runs would find four times in five, by the pooled spread.
    """

    estimate: Estimate
    p_holm: float | None = None
    is_paired: bool
    detectable: float | None = None


@dataclass(frozen=True, kw_only=True)
class OverSeeds:
    """One recipe over its seeds.

    Attributes:
        mean: Over the seeds.
        half_width: Of the mean's interval, by the pooled spread unless they scatter more; None of one run.
        spread: The standard deviation of this recipe's own runs; None of one run.
        scatters_more: Whether they scatter more than the others', so that they are not pooled with them.
        difference: To the baseline; None of the baseline itself.
    """

    mean: float
    half_width: float | None
    spread: float | None
    scatters_more: bool
    difference: Difference | None


def summarize(groups: Mapping[str, Runs], *, baseline: str) -> tuple[dict[str, OverSeeds], Spread | None]:
    """Return every recipe over its seeds, and the spread from run to run that all of them share.

    Few runs tell little of their own spread: three of one recipe may agree to the fourth decimal by luck. Therefore the
    intervals of the means rest on the spread within all recipes, but for those that scatter more than the others: these
    have their own.

    Args:
        groups: The metric by seed, by recipe; at least one run each.
        baseline: The recipe that the others are compared with.
    """
    noisy = find_noisy(groups)
    calm = {name: runs for name, runs in groups.items() if name not in noisy}
    spread = pool([list(runs.values()) for runs in calm.values()], declared=None)
    differences = compare_all(groups, baseline=baseline, spread=spread, noisy=noisy)
    own = {name: pool([list(runs.values())], declared=None) for name, runs in groups.items()}
    return {
        name: OverSeeds(
            mean=mean(list(runs.values())),
            half_width=find_half_width(own[name] if name in noisy else spread, num_runs=len(runs)),
            spread=its.value if (its := own[name]) else None,
            scatters_more=name in noisy,
            difference=differences.get(name),
        )
        for name, runs in groups.items()
    }, spread


def find_half_width(spread: Spread | None, *, num_runs: int) -> float | None:
    """Return the half-width of the interval of a mean; None of one run, which says nothing of its recipe's scatter."""
    if spread is None or num_runs < 2:
        return None
    return quantile(spread.degrees, level=LEVEL) * spread.value / math.sqrt(num_runs)


def compare_all(
    groups: Mapping[str, Runs], *, baseline: str, spread: Spread | None, noisy: AbstractSet[str]
) -> dict[str, Difference]:
    """Return each recipe's difference to the baseline, p values corrected together.

    Args:
        groups: The metric by seed, by recipe.
        baseline: One of them.
        spread: From run to run.
        noisy: Recipes that scatter more than the others.
    """
    base = groups[baseline]
    others = {name: runs for name, runs in groups.items() if name != baseline}
    found = {name: compare(runs, base) for name, runs in others.items()}
    corrected = correct_by_holm([one.estimate.p_value for one in found.values()])
    calm = [runs for name, runs in others.items() if name not in noisy]
    shared = pool_pairs(calm, base)
    return {
        name: replace(
            one,
            p_holm=p_holm,
            detectable=find_detectable_for(
                one,
                num_runs=len(others[name]),
                num_base=len(base),
                spread=pool([list(others[name].values())], declared=None) if name in noisy else spread,
                paired_spread=pool_pairs([others[name]], base) if name in noisy else shared,
            ),
        )
        for (name, one), p_holm in zip(found.items(), corrected, strict=True)
    }


def pool_pairs(others: Sequence[Runs], base: Runs) -> Spread | None:
    """Return the spread of the differences of pairs with one seed; None if no two pair."""
    pairs = [[runs[seed] - base[seed] for seed in base] for runs in others if runs.keys() == base.keys()]
    return pool(pairs, declared=None)


def compare(runs: Runs, base: Runs) -> Difference:
    """Return a recipe's difference to the baseline: of pairs if both have the same seeds, else of two groups."""
    if runs.keys() == base.keys():
        return Difference(
            estimate=compare_pairs([runs[seed] for seed in base], [base[seed] for seed in base]), is_paired=True
        )
    return Difference(estimate=compare_groups(list(runs.values()), list(base.values())), is_paired=False)


def find_detectable_for(
    one: Difference, *, num_runs: int, num_base: int, spread: Spread | None, paired_spread: Spread | None
) -> float | None:
    """Return the difference that the test of these runs would find, None if nothing is known of the scatter.

    The spread is the shared one, since so few runs tell too little of their own; of a noisy recipe it is its own.
    """
    if one.is_paired:
        if paired_spread is None or num_runs < 2:
            return None
        return find_detectable(error=paired_spread.value / math.sqrt(num_runs), degrees=num_runs - 1)
    degrees = num_runs + num_base - 2
    if spread is None or degrees < 1:
        return None
    return find_detectable(error=spread.value * standard_error(num_runs, num_base), degrees=degrees)


def find_noisy(groups: Mapping[str, Runs]) -> set[str]:
    """Return the recipes whose runs scatter more than those of all others, by an F test corrected for their number."""
    from scipy.special import fdtrc

    noisy = set()
    for name, runs in groups.items():
        own = pool([list(runs.values())], declared=None)
        others = pool([list(other.values()) for key, other in groups.items() if key != name], declared=None)
        if own is None or others is None or own.value <= others.value:
            continue
        ratio = (own.value / others.value) ** 2 if others.value else float("inf")
        if fdtrc(own.degrees, others.degrees, ratio) * len(groups) < SEVERAL_TIMES:
            noisy.add(name)
    return noisy
