"""Every random draw as a function of (seed, purpose, epoch, step), and the switches that keep arithmetic repeatable."""

import hashlib
import os
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Generator

from hstu_preserve.compute.memory import sufficient_memory
from hstu_preserve.compute.threads import require_computing_threads

CUBLAS_WORKSPACE = "CUBLAS_WORKSPACE_CONFIG"
DETERMINISTIC: Any = torch.utils.deterministic
"""Torch's module of settings, whose attributes its types do not know."""


def derive_seed(seed: int, purpose: str, *position: int | str) -> int:
    """Return the seed (63 bits) of one draw: same arguments, same draw, on any machine and in any order.

    Args:
        seed: The recipe's `random_seed`.
        purpose: Of the draw, e.g. `negatives`.
        position: Of the draw in the run, e.g. epoch and step, or a parameter's name.
    """
    text = "/".join([str(seed), purpose, *(str(part) for part in position)])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def make_generator(seed: int, purpose: str, *position: int | str) -> Generator:
    """Return a CPU generator for one draw, so that a GPU run draws the same numbers."""
    return Generator().manual_seed(derive_seed(seed, purpose, *position))


def draw_order(count: int, *, seed: int, purpose: str, position: int) -> npt.NDArray[np.int64]:
    """Return the numbers below `count` in the order that (seed, purpose, position) decides."""
    order: npt.NDArray[np.int64] = torch.randperm(count, generator=make_generator(seed, purpose, position)).numpy()
    return order


def draw_with_replacement(below: int, *, count: int, seed: int, purpose: str, position: int) -> npt.NDArray[np.int64]:
    """Return `count` numbers below `below`, each uniform and independent, as (seed, purpose, position) decides."""
    generator = make_generator(seed, purpose, position)
    drawn: npt.NDArray[np.int64] = torch.randint(below, (count,), generator=generator).numpy()
    return drawn


def initialization_generators(seed: int) -> Callable[[str], Generator]:
    """Return the function that gives each parameter, by name, the generator of its initial value."""
    return lambda name: make_generator(seed, "initialization", name)


def seed_dropout(seed: int, *, epoch: int, step: int, rank: int = 0) -> None:
    """Seed torch's global generators (CPU and CUDA), which dropout draws from, for one step of one process."""
    process = (f"rank {rank}",) if rank else ()  # the first one draws as a run on its own does
    torch.manual_seed(derive_seed(seed, "dropout", epoch, step, *process))


def seed_global_generators(seed: int) -> None:
    """Seed the generators of python, NumPy and torch.

    Nothing of ours draws from the first two; they are seeded so that a checkpoint's record of them can be compared.
    """
    start = derive_seed(seed, "global") % 2**32  # NumPy takes no larger one
    random.seed(start)
    np.random.seed(start)  # noqa: NPY002  the legacy state is the one a checkpoint can be checked against
    torch.manual_seed(start)


@contextmanager
def repeatable_arithmetic(*, tf32: bool) -> Iterator[None]:
    """Use deterministic algorithms inside the block, with TF32 as the recipe says; restore the switches after it.

    Raises:
        UnavailableError: The computation inside the block does not fit into memory, or there are too few threads.
    """
    require_computing_threads()
    # On CUDA it must be set before the first call of cuBLAS: here there is no tensor yet.
    os.environ.setdefault(CUBLAS_WORKSPACE, ":4096:8")
    before = (
        torch.get_deterministic_debug_mode(),
        torch.backends.cuda.matmul.allow_tf32,
        torch.backends.cudnn.allow_tf32,
        torch.backends.cudnn.benchmark,
        DETERMINISTIC.fill_uninitialized_memory,
    )
    # `use_deterministic_algorithms` sets the same switch, but imports torch's compiler to tell it, which takes seconds.
    torch.set_deterministic_debug_mode("error")
    # It writes NaN into every new tensor, which helps to find an operation that reads what nothing wrote: on a GPU 600
    # more kernels for each training step.
    DETERMINISTIC.fill_uninitialized_memory = False
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = tf32
    torch.backends.cudnn.benchmark = False  # it measures which algorithm is faster, and may choose another next time
    try:
        with sufficient_memory():
            yield
    finally:
        torch.set_deterministic_debug_mode(before[0])
        torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = before[1], before[2]
        torch.backends.cudnn.benchmark = before[3]
        DETERMINISTIC.fill_uninitialized_memory = before[4]
