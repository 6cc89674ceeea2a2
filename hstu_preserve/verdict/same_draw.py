"""Judge one retraining with the recorded seed: the same draw made twice, which says nothing of other seeds."""

from collections.abc import Sequence
from dataclasses import dataclass

from hstu_preserve.primitives.wording import count
from hstu_preserve.records.claim import Claim
from hstu_preserve.records.environment import TrainingPath
from hstu_preserve.records.evaluation import EvaluationRecord
from hstu_preserve.records.verdict import Outcome, Rung, Verdict, list_facts
from hstu_preserve.verdict.bits import judge_bits
from hstu_preserve.verdict.margins import is_wide, is_within_margin, name_margin
from hstu_preserve.verdict.resumption import NUMERIC_STEPS
from hstu_preserve.verdict.slack import SLACK

ONE_DRAW = "one draw made twice, which says nothing of other seeds"


@dataclass(frozen=True, kw_only=True)
class LossComparison:
    """The losses of the first epoch beside the recorded ones.

    Attributes:
        differences: Per step that both took, relative to the recorded loss; infinite if one of the two is not finite.
        num_steps: Steps taken.
        num_recorded: Steps that the recorded run took in its first epoch.
    """

    differences: Sequence[float]
    num_steps: int
    num_recorded: int

    @property
    def largest(self) -> float:
        """The largest difference; 0 of no step."""
        return max(self.differences, default=0.0)

    def find_first_beyond(self, tolerance: float) -> int | None:
        """Return the first step, from 0, whose loss differs by more than the tolerance; None if there is none."""
        return next((step for step, one in enumerate(self.differences) if not one <= tolerance + SLACK), None)


def judge_training_bitwise(
    *,
    state_sha256: str,
    recorded_sha256: str,
    found: EvaluationRecord,
    recorded: EvaluationRecord,
    environment_differences: Sequence[str],
    training_path: TrainingPath,
) -> Verdict:
    """Judge whether training anew gave the recorded state, every tensor, moment and generator, and its evaluation.

    Args:
        state_sha256: Of the retrained state.
        recorded_sha256: Of the recorded one.
        found: The evaluation of the retrained checkpoint that is reported.
        recorded: The one that the claims rest on: ranks that were made up show here.
        environment_differences: How the arithmetic differs from the recorded one.
        training_path: How the retrained run's steps were computed.
    """
    is_same_state = state_sha256 == recorded_sha256
    return judge_bits(
        Rung.TRAINING_BITWISE,
        same="the same weights, optimizer state and generators" if is_same_state and found == recorded else None,
        differing="the same final state has another evaluation" if is_same_state else "the final state is another",
        environment_differences=environment_differences,
        evidence=list_facts(
            state_sha256=state_sha256,
            recorded_state_sha256=recorded_sha256,
            ranks_sha256=found.ranks_sha256,
            recorded_ranks_sha256=recorded.ranks_sha256,
            training_path=training_path,
        ),
    )


def judge_training_numeric(
    claim: Claim, value: float, *, losses: LossComparison, environment_differences: Sequence[str]
) -> Verdict:
    """Judge whether one retraining with the recorded seed is the recorded run, as far as other arithmetic lets it be.

    The first losses must be the recorded ones in any arithmetic. Later ones drift apart, and the metric with them:
    elsewhere that refutes nothing.

    Args:
        claim: Holds tolerance and margin.
        value: The claim's metric of the retrained model.
        losses: Of the first epoch.
        environment_differences: How the arithmetic differs from the recorded one.
    """
    outcome, reason = judge_draw(claim, value, losses=losses, differences=environment_differences)
    largest = losses.largest
    return Verdict(
        rung=Rung.TRAINING_NUMERIC,
        outcome=outcome,
        claim=claim.policy.name,
        reason=f"the recorded seed again: {reason}",
        evidence=list_facts(
            metric=claim.policy.metric,
            found=value,
            found_hex=value.hex(),
            claimed=claim.value,
            claimed_hex=claim.value.hex(),
            difference=value - claim.value,
            margin=claim.policy.margin,
            steps=losses.num_steps,
            largest_loss_difference=largest if largest < float("inf") else "not finite",
            loss_tolerance=claim.policy.loss_tolerance,
        ),
        is_required=True,
    )


def judge_draw(
    claim: Claim, value: float, *, losses: LossComparison, differences: Sequence[str]
) -> tuple[Outcome, str]:
    """Return outcome and reason."""
    tolerance, steps = claim.policy.loss_tolerance, losses.num_steps
    figures = f"{claim.policy.metric} {value:.4f}, claimed {claim.value:.4f}"
    elsewhere = f"in other arithmetic ({'; '.join(differences)}) a run drifts, which refutes nothing"
    drifted = Outcome.INCONCLUSIVE if differences else Outcome.NOT_REPRODUCED
    if steps != losses.num_recorded or not steps:
        taken = f"the first epoch took {count(steps, 'step')}, recorded are {losses.num_recorded}"
        return Outcome.NOT_REPRODUCED, f"{taken} ({figures})"
    first = losses.find_first_beyond(tolerance)
    if first is not None:
        apart = f"the loss of step {first + 1} differs by {losses.differences[first]:.0e} of its value"
        reason = f"{apart}, the claim's tolerance is {tolerance:g} ({figures})"
        if first < NUMERIC_STEPS or not differences:
            return Outcome.NOT_REPRODUCED, reason
        return drifted, f"{reason}; {elsewhere}"
    within = f"within {losses.largest:.0e}" if losses.largest else "to the bit"
    near = f"losses {within} over {count(steps, 'step')}"
    if claim.policy.margin is None:
        return Outcome.INCONCLUSIVE, f"{figures}; {near}; the claim fixed no margin"
    if is_within_margin(claim, value):
        return Outcome.REPRODUCED_NUMERIC, f"{describe_metric(claim, figures)}; {near}; {ONE_DRAW}"
    beyond = f"{figures}, {abs(value - claim.value):.4f} apart, the margin is {name_margin(claim)}; {near}"
    return drifted, f"{beyond}; {elsewhere}" if differences else beyond


def describe_metric(claim: Claim, figures: str) -> str:
    """Return the figures of a metric that is the claimed one; a margin that is wide beside the claim is named."""
    return f"{figures}, within {name_margin(claim)}" if is_wide(claim) else figures
