"""Say before hours are spent how often retrainings of an equal recipe will be found equal."""

from collections.abc import Sequence
from dataclasses import dataclass

from hstu_preserve.primitives.wording import count
from hstu_preserve.records.claim import Claim
from hstu_preserve.records.retraining.agreement import RunValue
from hstu_preserve.records.retraining.plan import Look
from hstu_preserve.verdict.agreement import estimate_power
from hstu_preserve.verdict.agreement_words import declared_spread
from hstu_preserve.verdict.margins import describe_width
from hstu_preserve.verdict.statistics import pool

WEAK_POWER = 0.5
"""Below it, a warning is said."""
LEAST_POWER = 0.01
"""Below it, nothing is trained unless the user insists."""


@dataclass(frozen=True, kw_only=True)
class Foresight:
    """What can be said of a claim's verdict before anything is trained.

    Attributes:
        metric: Of the claim.
        value: That is claimed.
        margin: By which it will be judged.
        num_reruns: Retrainings in the end.
        num_references: Recorded runs.
        spread: From run to run, as far as it is known; None if it is not.
        power: How often an equal recipe will come out inside; None if spread or margin is not known.
    """

    metric: str
    value: float
    margin: float | None
    num_reruns: int
    num_references: int
    spread: float | None
    power: float | None

    @property
    def is_weak(self) -> bool:
        """Whether an equal recipe will more often be found inconclusive than equal."""
        return self.power is not None and self.power < WEAK_POWER


def foresee(claim: Claim, *, margin: float | None, last_look: Look, references: Sequence[RunValue]) -> Foresight:
    """Return what can be said of a claim's verdict at the last look of a plan.

    Args:
        claim: Its metric and declared spread.
        margin: By which it is judged.
        last_look: With all retrainings.
        references: The recorded runs.
    """
    values = [run.value for run in references]
    declared = declared_spread(claim.policy)
    known = pool([values], declared=declared)
    return Foresight(
        metric=claim.policy.metric,
        value=claim.value,
        margin=margin,
        num_reruns=last_look.num_reruns,
        num_references=len(values),
        spread=None if known is None else known.value,
        power=estimate_power(
            margin, num_reruns=last_look.num_reruns, references=values, declared=declared, level=last_look.level
        ),
    )


def describe_power(foresight: Foresight) -> str:
    """Return how often retrainings of an equal recipe will be found equal, or why nobody can say."""
    metric = foresight.metric
    if foresight.margin is None:
        return f"{metric}: the claim fixed no margin, so that nothing can be decided; --margin X explores"
    against = count(foresight.num_references, "recorded run")
    if foresight.power is None:
        return (
            f"{metric}: nothing is known of the scatter over seeds before two retrainings are there ({against}, no "
            "claim.spread), so that nobody can say how likely they decide"
        )
    share = "less than 1 %" if foresight.power < LEAST_POWER else f"{100 * foresight.power:.0f} %"
    bound = f"±{foresight.margin:.4f}{describe_width(foresight.margin, foresight.value)}"
    return (
        f"{metric}: {count(foresight.num_reruns, 'retraining')} of an equal recipe against {against} come out inside "
        f"{bound} in {share} of cases (spread {foresight.spread:.2g})"
    )
