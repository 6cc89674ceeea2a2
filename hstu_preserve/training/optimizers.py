"""Optimizers: upstream's AdamW, and Adam as TensorFlow 1 computes it."""

import math
from collections.abc import Callable, Iterable
from typing import overload

import torch
from torch import Tensor
from torch.nn import Parameter
from torch.optim import Optimizer

from hstu_preserve.records.recipe import Recipe
from hstu_preserve.training.uncompiled import UncompiledAdamW, UncompiledOptimizer

ADAM_BETAS = (0.9, 0.98)  # upstream's, and HSTU-Tensorflow's
TENSORFLOW_EPS = 1e-8


class TensorFlowAdam(UncompiledOptimizer):
    """θ ← θ - η·√(1 - β₂ᵗ)/(1 - β₁ᵗ) · m/(√v + ε): Adam whose ε is not bias-corrected (`tf.train.AdamOptimizer`).

    That is the form before section 2.1 of Kingma and Ba (ICLR 2015, arXiv:1412.6980), which names ε "ε̂". A parameter
    without gradient stays as it is; rows of a table that a gradient leaves at zero move on by their moments.

    Args:
        parameters: Those that are optimised.
        lr: η, which a schedule may change between steps.
        betas: β₁ and β₂.
        eps: ε.
    """

    def __init__(
        self, parameters: Iterable[Parameter], *, lr: float, betas: tuple[float, float], eps: float = TENSORFLOW_EPS
    ) -> None:
        super().__init__(parameters, {"lr": lr, "betas": betas, "eps": eps})

    @overload
    def step(self, closure: None = None) -> None: ...

    @overload
    def step(self, closure: Callable[[], float]) -> float: ...

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:
        """Take one step; a closure computes the loss anew before it."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self.move(parameter, parameter.grad, lr=group["lr"], betas=group["betas"], eps=group["eps"])
        return loss

    def move(
        self, parameter: Parameter, gradient: Tensor, *, lr: float, betas: tuple[float, float], eps: float
    ) -> None:
        """Apply one step to one parameter and its moments."""
        state = self.state[parameter]
        if not state:
            state["step"] = torch.tensor(0.0)
            state["exp_avg"] = torch.zeros_like(parameter)
            state["exp_avg_sq"] = torch.zeros_like(parameter)
        first, second = betas
        state["step"] += 1
        steps = int(state["step"])
        state["exp_avg"].mul_(first).add_(gradient, alpha=1 - first)
        state["exp_avg_sq"].mul_(second).addcmul_(gradient, gradient, value=1 - second)
        rate = lr * math.sqrt(1 - second**steps) / (1 - first**steps)
        parameter.addcdiv_(state["exp_avg"], state["exp_avg_sq"].sqrt().add_(eps), value=-rate)


def make_optimizer(recipe: Recipe, parameters: Iterable[Parameter], *, is_fused: bool = False) -> Optimizer:
    """Return the recipe's optimizer of the parameters, at the full learning rate.

    Args:
        recipe: Names it.
        parameters: Those that are optimised.
        is_fused: Whether AdamW passes over each parameter once rather than once for each operation; the last bits of
            its steps are others then.
    """
    training = recipe.training
    if training.optimizer == "TensorFlowAdam":
        return TensorFlowAdam(parameters, lr=training.learning_rate, betas=ADAM_BETAS)
    return UncompiledAdamW(
        parameters,
        lr=training.learning_rate,
        betas=ADAM_BETAS,
        weight_decay=training.weight_decay,
        fused=is_fused or None,
    )
