"""The training loop and what it needs to be deterministic and to continue."""

from hstu_preserve.primitives.environment import require_torch

require_torch()
