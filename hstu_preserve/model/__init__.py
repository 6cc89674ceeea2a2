"""Model components, each in its own module, and the recommender composed of them."""

from hstu_preserve.primitives.environment import require_torch

require_torch()
