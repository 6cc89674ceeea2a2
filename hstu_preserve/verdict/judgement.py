"""Hold all verdicts on one target together with its title and identity."""

from collections.abc import Sequence
from dataclasses import dataclass

from hstu_preserve.records.environment import EnvironmentRecord
from hstu_preserve.records.evaluation import EvaluationRecord
from hstu_preserve.records.retraining.plan import Plan
from hstu_preserve.records.verdict import Cause, Verdict


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """The verdicts on one target.

    Attributes:
        title: What was judged.
        identity: The sha256 of its manifest; None if it has none that can be read.
        verdicts: One per rung and claim.
        evaluation: What the re-evaluation found; None if nothing was evaluated.
        environment: Where it was re-run; None if nothing was.
        causes: Of ranks that are not the recorded ones.
        limits: What no verdict speaks of; empty if nothing was re-run.
        plan: What was fixed before other seeds were trained; None if none were asked for.
        is_exploratory: Whether something was judged otherwise than claim and plan had fixed it.
    """

    title: str
    identity: str | None
    verdicts: Sequence[Verdict]
    evaluation: EvaluationRecord | None = None
    environment: EnvironmentRecord | None = None
    causes: tuple[Cause, ...] = ()
    limits: tuple[str, ...] = ()
    plan: Plan | None = None
    is_exploratory: bool = False
