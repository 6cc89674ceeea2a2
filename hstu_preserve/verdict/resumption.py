"""Judge a run that was continued from a checkpoint of the recorded one."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from hstu_preserve.records.environment import TrainingPath
from hstu_preserve.records.verdict import Outcome, Rung, Verdict, list_facts
from hstu_preserve.verdict.bits import judge_bits
from hstu_preserve.verdict.slack import SLACK


@dataclass(frozen=True, kw_only=True)
class ResumeComparison:
    """A continued run beside the recorded one.

    Attributes:
        checkpoint: The one that it went on from.
        num_steps: Steps taken.
        num_recorded: Steps that the recorded run took there, as far as was asked.
        num_equal: Of those taken, from the first on, with the recorded loss to the bit.
        largest_difference: Relative difference of a loss among the first `NUMERIC_STEPS`.
        state_sha256: Of the state at the end, None if the run was not continued to its end.
        recorded_sha256: Of the recorded state at the end.
        training_path: How the steps were computed.
    """

    checkpoint: str
    num_steps: int
    num_recorded: int
    num_equal: int
    largest_difference: float
    state_sha256: str | None
    recorded_sha256: str
    training_path: TrainingPath

    @property
    def is_equal(self) -> bool:
        """Whether every step is the recorded one, and the state, too, if the end was reached."""
        is_whole = 0 < self.num_recorded == self.num_steps == self.num_equal
        return is_whole and self.state_sha256 in {None, self.recorded_sha256}


NUMERIC_STEPS = 10
"""Steps whose losses are compared if arithmetic differs: later ones drift apart, however right they are."""


def judge_resume(
    comparison: ResumeComparison, *, tolerance: float, environment_differences: Sequence[str]
) -> list[Verdict]:
    """Judge whether the checkpoint continues as the original run did.

    Args:
        comparison: Of the continued run with the recorded one.
        tolerance: The claim's, for a step's loss in another environment.
        environment_differences: How the arithmetic differs from the recorded one.
    """
    bitwise = judge_bits(
        Rung.RESUME_BITWISE,
        same=describe_equal_stretch(comparison) if comparison.is_equal else None,
        differing=describe_first_difference(comparison),
        environment_differences=environment_differences,
        evidence=list_facts(**asdict(comparison) | {"largest_difference": describe_largest(comparison)}),
    )
    return [bitwise] if bitwise.is_required else [bitwise, judge_resume_numeric(comparison, tolerance=tolerance)]


def describe_equal_stretch(comparison: ResumeComparison) -> str:
    """Return how far a continued run is the recorded one."""
    end = "to the end of the run" if comparison.state_sha256 else "as far as was asked"
    state = ", and the same final state" if comparison.state_sha256 else ""
    return f"{comparison.num_steps} steps {end} with the recorded losses to the bit{state}"


def describe_first_difference(comparison: ResumeComparison) -> str:
    """Return the first difference of a continued run from the recorded one, in words."""
    if comparison.num_equal < min(comparison.num_steps, comparison.num_recorded):
        return f"step {comparison.num_equal + 1} of {comparison.num_steps} has another loss"
    if comparison.num_steps != comparison.num_recorded:
        return f"{comparison.num_steps} steps were taken where {comparison.num_recorded} are recorded"
    return "the final state is another"


def judge_resume_numeric(comparison: ResumeComparison, *, tolerance: float) -> Verdict:
    """Judge whether the first losses after the checkpoint agree within the claim's tolerance."""
    is_near = comparison.largest_difference <= tolerance + SLACK and 0 < comparison.num_steps == comparison.num_recorded
    count = min(comparison.num_steps, NUMERIC_STEPS)
    return Verdict(
        rung=Rung.RESUME_NUMERIC,
        outcome=Outcome.REPRODUCED_NUMERIC if is_near else Outcome.NOT_REPRODUCED,
        claim=None,
        reason=f"the first {count} losses differ by {comparison.largest_difference:.1e} of their value at most, the "
        f"claim's tolerance is {tolerance:g}",
        evidence=list_facts(steps=count, largest_difference=describe_largest(comparison), tolerance=tolerance),
        is_required=True,
    )


def describe_largest(comparison: ResumeComparison) -> float | str:
    """Return the largest difference; a loss that became infinite or no number has none that JSON could hold."""
    largest = comparison.largest_difference
    return largest if math.isfinite(largest) else "not finite"
