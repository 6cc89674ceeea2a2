"""Choose how training steps are computed: a recorded run decides, else the environment, else what the machine has."""

import os
from typing import TYPE_CHECKING

from hstu_preserve.errors import UsageError
from hstu_preserve.records.environment import TrainingPath
from hstu_preserve.records.recipe import Recipe, SampledSoftmaxSettings

if TYPE_CHECKING:
    import torch

VARIABLE = "HSTU_PRESERVE_TRAINING_PATH"
"""`reference` switches the fast path off; `auto`, empty or unset takes it if it can be taken."""


def choose_training_path(
    recipe: Recipe, *, device: "torch.device", recorded: TrainingPath | None = None
) -> TrainingPath:
    """Return how the steps of a training are computed.

    Args:
        recipe: What is trained.
        device: Where.
        recorded: The path of the run that is trained again: no other one gives its bits. None for a run of its own.

    Raises:
        UsageError: The environment names something else than a path.
    """
    asked = os.environ.get(VARIABLE) or "auto"
    if asked not in {"auto", "reference"}:
        raise UsageError(f"{VARIABLE}={asked[:40]}: unknown; set 'reference', or 'auto', which is the default")
    wanted = recorded or ("reference" if asked == "reference" else "fast")
    return "fast" if wanted == "fast" and can_be_fast(recipe, device=device) else "reference"


def can_be_fast(recipe: Recipe, *, device: "torch.device") -> bool:
    """Whether there is a fast path for a recipe on a device: sampled softmax in float32 on a CPU."""
    is_sampled = isinstance(recipe.loss, SampledSoftmaxSettings)
    return device.type == "cpu" and is_sampled and recipe.model.dtype == "float32"
