"""The threads that torch computes with: its OpenMP library ends the process without them, which nothing can catch."""

from functools import cache

import torch

from hstu_preserve.primitives.threads import ADVICE, require_threads

COMMUNICATION_THREADS = 8
"""What gloo and the store of torchrun start in each process is fewer."""


def require_computing_threads() -> None:
    """Raise UnavailableError if the system gives fewer threads than torch will compute with."""
    require_once(torch.get_num_threads())


@cache
def require_once(number: int) -> None:
    """Raise UnavailableError unless so many threads can be had; torch keeps those it once had."""
    require_threads(number - 1, purpose="computing", advice=f"{ADVICE}, or set OMP_NUM_THREADS=1")


def require_communication_threads() -> None:
    """Raise UnavailableError if the system gives too few threads for several processes that train together."""
    require_threads(COMMUNICATION_THREADS, purpose="training in several processes")
