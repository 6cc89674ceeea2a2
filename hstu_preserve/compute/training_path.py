"""Choose how training steps are computed: a recorded run decides, else the environment, else what the machine has."""

import os
from typing import TYPE_CHECKING

from hstu_preserve.errors import UsageError
from hstu_preserve.records.environment import TrainingPath
from hstu_preserve.records.recipe import Recipe, SampledSoftmaxSettings

if TYPE_CHECKING:
    import torch

VARIABLE = "HSTU_PRESERVE_TRAINING_PATH"
"""`reference` switches the fast path off, `fused` takes the one for a GPU; `auto`, empty or unset chooses."""
ASKED: dict[str, TrainingPath] = {"auto": "fast", "reference": "reference", "fused": "fused"}


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
    if asked not in ASKED:
        raise UsageError(f"{VARIABLE}={asked[:40]}: unknown; set 'reference', 'fused', or 'auto', which is the default")
    return find_possible_path(recorded or ASKED[asked], recipe, device=device)


def find_possible_path(wanted: TrainingPath, recipe: Recipe, *, device: "torch.device") -> TrainingPath:
    """Return the path, or the reference path if the recipe or device has no such one.

    The fast path is a CPU's, the fused one any device's: it has kernels on a GPU, and plain operations elsewhere. No
    other path than the reference is chosen on a GPU by itself, because the fused one has not run on a GPU yet. Both
    multiply users and items, so that a mixture is the reference path's.
    """
    is_sampled = isinstance(recipe.loss, SampledSoftmaxSettings) and recipe.model.dtype == "float32"
    is_possible = is_sampled and recipe.mol is None and (wanted == "fused" or device.type == "cpu")
    return wanted if is_possible else "reference"
