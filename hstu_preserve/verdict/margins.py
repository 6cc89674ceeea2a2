"""A claim's margin in words, with a remark on one that is wide beside the number it belongs to."""

from hstu_preserve.records.claim import Claim
from hstu_preserve.verdict.slack import SLACK

WIDE_SHARE = 0.1
"""Of the claimed value: a wider margin says little of it, and every sentence that uses it says so."""


def name_margin(claim: Claim) -> str:
    """Return a claim's margin for a sentence, e.g. `0.1 (a margin of 34 % of the claim)`; a claim needs one."""
    margin, value = claim.policy.margin, abs(claim.value)
    assert margin is not None
    if margin <= WIDE_SHARE * value + SLACK:
        return f"{margin:g}"
    share = f"a margin of {100 * margin / value:.0f} % of the claim" if value > 0 else "a margin wider than the claim"
    return f"{margin:g} ({share})"


def is_within_margin(claim: Claim, value: float) -> bool:
    """Whether a value is as near to the claimed one as the claim's margin allows; without a margin, only the same."""
    return abs(value - claim.value) <= (claim.policy.margin or 0.0) + SLACK
