"""Train a model: the loop, the optimizer, the checkpoint to continue from."""

from hstu_preserve.primitives.environment import require_torch

require_torch()
