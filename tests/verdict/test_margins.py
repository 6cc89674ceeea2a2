"""A margin in words, and what is within it."""

import pytest

from hstu_preserve.verdict.margins import is_within_margin, name_margin
from tests.record_values import make_claim


@pytest.mark.parametrize(
    ("value", "margin", "said"),
    [
        (0.284, 0.002, "0.002"),
        (0.5, 0.05, "0.05"),
        (0.3, 0.03, "0.03"),
        (0.284, 0.0965, "0.0965 (a margin of 34 % of the claim)"),
        (0.0, 0.1, "0.1 (around a claim of 0)"),
    ],
)
def test_a_margin_above_a_tenth_of_the_claim_is_said_to_be_one(value: float, margin: float, said: str) -> None:
    assert name_margin(make_claim(value, margin=margin)) == said


@pytest.mark.parametrize(
    ("claimed", "found", "margin", "is_within"),
    [(0.518, 0.520, 0.002, True), (0.520, 0.518, 0.002, True), (0.518, 0.5201, 0.002, False), (0.25, 0.25, 0.0, True)],
)
def test_a_rounding_error_puts_nothing_outside_a_margin(
    claimed: float, found: float, margin: float, is_within: bool
) -> None:
    assert is_within_margin(make_claim(claimed, margin=margin), found) is is_within
