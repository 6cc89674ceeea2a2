"""Model and store to ranks, ranks to metrics."""

from hstu_preserve.primitives.environment import require_torch

require_torch()
