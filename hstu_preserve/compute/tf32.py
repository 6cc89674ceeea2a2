"""Compute with the inputs of every matrix product rounded to TF32, as tensor cores take them."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils._python_dispatch import TorchDispatchMode

DROPPED_BITS = 13
"""TF32 keeps 10 of single precision's 23 bits."""
NUM_ADDED = {"addmm": 1, "baddbmm": 1, "addbmm": 1, "addmv": 1, "mm": 0, "bmm": 0, "mv": 0, "dot": 0, "linear": 0}
"""Products by torch's names, each with the number of arguments before its two factors, which are added unrounded."""


def round_to_tf32(value: Tensor) -> Tensor:
    """Return float32 values rounded to the nearest of TF32, ties away from zero; infinities and NaN stay."""
    bits = value.contiguous().view(torch.int32)
    rounded = (bits + (1 << (DROPPED_BITS - 1))) & -(1 << DROPPED_BITS)
    return torch.where(value.isfinite(), rounded.view(torch.float32), value)


class RoundingFactors(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch types none of it
    """Rounds the factors of each product of float32 matrices before it is computed."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run one operation of torch."""
        name = func.__name__.partition(".")[0]
        if name in NUM_ADDED:
            first = NUM_ADDED[name]
            factors = (self.round_factor(one) for one in args[first : first + 2])
            args = (*args[:first], *factors, *args[first + 2 :])
        return func(*args, **(kwargs or {}))

    @staticmethod
    def round_factor(value: Tensor) -> Tensor:
        """Return a factor as tensor cores take it; other number formats are not theirs."""
        return round_to_tf32(value) if value.dtype == torch.float32 else value


@contextmanager
def rounding_to_tf32() -> Iterator[None]:
    """Round the factors of all matrix products inside the block.

    Attention is computed by plain products there: a fused kernel would hide them.
    """
    with sdpa_kernel(SDPBackend.MATH), RoundingFactors():  # type: ignore[no-untyped-call]
        yield
