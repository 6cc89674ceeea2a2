"""What a rounding error may add to a difference before it is compared with a margin or tolerance."""

SLACK = 1e-12
"""Absolute: 0.520 less 0.518 is 0.0020000000000000018, and within a margin of 0.002."""
