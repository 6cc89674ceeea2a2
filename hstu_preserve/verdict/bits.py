"""The rule of every bitwise rung: equal bits pass anywhere, and other bits refute only the recorded arithmetic."""

from collections.abc import Sequence

from hstu_preserve.records.verdict import Fact, Outcome, Rung, Verdict


def judge_bits(
    rung: Rung, *, same: str | None, differing: str, environment_differences: Sequence[str], evidence: tuple[Fact, ...]
) -> Verdict:
    """Judge bits that came out again against the recorded ones.

    Args:
        rung: Which bitwise rung.
        same: What is equal to the bit, in words; None if something is not.
        differing: What is not, in words, to follow "yet".
        environment_differences: How the arithmetic differs from the recorded one.
        evidence: The figures behind it.
    """
    outcome, is_required = Outcome.NOT_REPRODUCED, True
    reason = f"the environment is the recorded one, yet {differing}"
    if same is not None:
        outcome, reason = Outcome.REPRODUCED_BITWISE, same
    elif environment_differences:
        # Another machine rounds otherwise: that refutes nothing, and a numeric rung decides instead.
        outcome, is_required = Outcome.NOT_RUN, False
        reason = f"not asked of another environment ({'; '.join(environment_differences)})"
    return Verdict(rung=rung, outcome=outcome, claim=None, reason=reason, evidence=evidence, is_required=is_required)
