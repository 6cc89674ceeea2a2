"""Optimizers that leave torch's compiler out: nothing here is compiled, and its import takes seconds."""

import inspect
from collections.abc import Callable
from typing import Any

import torch
from torch.optim import AdamW, Optimizer


def unwrap(method: Callable[..., Any]) -> Callable[..., Any]:
    """Return what a method of torch does, without the wrapper that imports `torch._dynamo` at the first call."""
    bare: Callable[..., Any] = inspect.unwrap(method)
    return bare


class UncompiledOptimizer(Optimizer):
    """An optimizer whose methods import no compiler. The wrappers of torch only matter to code that is compiled."""

    add_param_group = unwrap(Optimizer.add_param_group)
    zero_grad = unwrap(Optimizer.zero_grad)
    state_dict = unwrap(Optimizer.state_dict)
    load_state_dict = unwrap(Optimizer.load_state_dict)


class UncompiledAdamW(UncompiledOptimizer, AdamW):
    """Torch's AdamW. Its step is not differentiated through, which is all that its wrapper decides."""

    step = torch.no_grad()(unwrap(AdamW.step))
