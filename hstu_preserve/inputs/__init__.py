"""A store's events and items as the tensors that models read."""

from hstu_preserve.primitives.environment import require_torch

require_torch()
