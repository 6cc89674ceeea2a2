"""One run directory, from its lock to its seal."""

from hstu_preserve.primitives.environment import require_torch

require_torch()
