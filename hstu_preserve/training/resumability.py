"""Check that training can go on from a checkpoint exactly as the recorded run went on."""

from collections.abc import Mapping

import torch
from torch import Tensor

from hstu_preserve.compute.generator_states import capture_rng
from hstu_preserve.errors import CheckpointError
from hstu_preserve.training.checkpoint import Checkpoint, walk_values

MOMENTS = ("exp_avg", "exp_avg_sq")
"""The tensors that both optimizers keep for each parameter, in its shape."""


def require_resumable(checkpoint: Checkpoint, *, parameters: Mapping[str, Tensor], num_steps: int, source: str) -> None:
    """Require steps, optimizer and generators as a run of this recipe has them after the checkpoint's epoch.

    Args:
        checkpoint: As it was read.
        parameters: The model's, by name and in its order.
        num_steps: Steps that were recorded up to the end of the checkpoint's epoch.
        source: Names the checkpoint in the message.

    Raises:
        CheckpointError: Something is missing or of another run.
    """
    require_finite(checkpoint.weights, source=source)
    steps = checkpoint.content.get("batch_id")
    if type(steps) is not int or steps != num_steps:
        raise CheckpointError(f"{source}: after {steps} steps, but epoch {checkpoint.epoch} ended after {num_steps}")
    require_optimizer(checkpoint.content.get("optimizer_state_dict"), parameters=parameters, steps=steps, source=source)
    require_generators(checkpoint.content.get("rng"), source=source)


def require_finite(weights: Mapping[str, Tensor], *, source: str) -> None:
    """Raise CheckpointError if a weight is NaN or infinite."""
    for name, tensor in weights.items():
        if not bool(torch.isfinite(tensor).all()):
            raise CheckpointError(f"{source}: {name} holds NaN or infinity")


def require_optimizer(state: object, *, parameters: Mapping[str, Tensor], steps: int, source: str) -> None:
    """Raise CheckpointError if the optimizer's state is not of these parameters after so many steps."""
    match state:
        case {"state": dict(moments), "param_groups": [{"params": list(positions)}]}:
            pass
        case _:
            raise CheckpointError(f"{source}: holds no optimizer state, so training cannot go on from it")
    if positions != list(range(len(parameters))):
        raise CheckpointError(f"{source}: optimizer of {len(positions)} parameters, the model has {len(parameters)}")
    counted = [
        require_moments(moments.get(place), name, parameters[name], source=source)
        for place, name in enumerate(parameters)
    ]
    if max(counted, default=0) != steps:
        raise CheckpointError(
            f"{source}: optimizer after {max(counted, default=0)} steps, the checkpoint after {steps}"
        )


def require_moments(state: object, name: str, parameter: Tensor, *, source: str) -> int:
    """Return the steps that a parameter took; raise CheckpointError if its moments are of another one."""
    if state is None:
        return 0  # it never had a gradient
    expected = describe(parameter)
    found = {moment: describe(state.get(moment)) if isinstance(state, dict) else "absent" for moment in MOMENTS}
    for moment in MOMENTS:
        if found[moment] != expected:
            raise CheckpointError(f"{source}: optimizer's {moment} of {name} is {found[moment]}, expected {expected}")
    step = state.get("step") if isinstance(state, dict) else None
    if not isinstance(step, Tensor) or step.numel() != 1 or not bool(torch.isfinite(step)):
        raise CheckpointError(f"{source}: optimizer's step of {name} is {describe(step)}, expected one number")
    return int(step)


def require_generators(state: object, *, source: str) -> None:
    """Raise CheckpointError if the generators' states are missing or of another form than this program captures."""
    expected = describe_generators(capture_rng())
    found = describe_generators(state)
    differing = sorted(name for name in expected.keys() | found.keys() if expected.get(name) != found.get(name))
    if differing:
        raise CheckpointError(
            f"{source}: no complete state of the random generators (rng{', rng'.join(differing[:3])})"
        )


def describe_generators(state: object) -> dict[str, str]:
    """Return the form of each value by its path, those of GPUs apart, whose number may differ."""
    values = {name: value for name, value in walk_values("", state) if not name.startswith("/torch_cuda")}
    return {name: describe(value) if isinstance(value, Tensor) else "plain" for name, value in values.items()}


def describe(value: object) -> str:
    """Return type and shape of a tensor, or that it is none."""
    if not isinstance(value, Tensor):
        return "absent" if value is None else "plain"
    return f"{value.dtype}{list(value.shape)}".removeprefix("torch.")
