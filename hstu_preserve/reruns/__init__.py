"""A verified bundle, opened: compared with itself and run again, as evidence for verdicts."""

from hstu_preserve.primitives.environment import require_torch

require_torch()
