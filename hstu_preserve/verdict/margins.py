"""A claim's margin in words, with a remark on one that is wide beside the number it belongs to."""

from hstu_preserve.records.claim import Claim
from hstu_preserve.verdict.slack import SLACK

WIDE_SHARE = 0.1
"""Of the claimed value: a wider margin says little of it, and every sentence that uses it says so."""


def is_wide(claim: Claim) -> bool:
    """Whether the margin is more than a tenth of the claimed value; no margin is not wide."""
    return bool(describe_width(claim.policy.margin, claim.value))


def describe_width(margin: float | None, value: float) -> str:
    """Return in brackets how wide a margin is beside the claimed value; nothing of one that is not wide, or of none."""
    if margin is None or margin <= WIDE_SHARE * abs(value) + SLACK:
        return ""
    return f" (a margin of {100 * margin / abs(value):.0f} % of the claim)" if value else " (around a claim of 0)"


def name_margin(claim: Claim) -> str:
    """Return a claim's margin for a sentence, e.g. `0.1 (a margin of 34 % of the claim)`; a claim needs one."""
    assert claim.policy.margin is not None
    return f"{claim.policy.margin:g}{describe_width(claim.policy.margin, claim.value)}"


def is_within_margin(claim: Claim, value: float) -> bool:
    """Whether a value is as near to the claimed one as the claim's margin allows; a claim needs one."""
    assert claim.policy.margin is not None
    return abs(value - claim.value) <= claim.policy.margin + SLACK
