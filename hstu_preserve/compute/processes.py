"""The processes that torchrun started, as its environment tells of them; needs no PyTorch, so that any verb may ask."""

import os

from hstu_preserve.errors import UsageError


def find_rank() -> int:
    """Return which of the processes this one is, from 0."""
    return int(os.environ.get("RANK", "0"))


def count_processes() -> int:
    """Return how many processes there are, 1 if torchrun did not start this one."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def require_alone(verb: str) -> None:
    """Require that a command that is one process's work runs in one process.

    Raises:
        UsageError: torchrun started several.
    """
    if count_processes() > 1:
        raise UsageError(f"{verb}: runs in one process; only 'train' shares its work among those of torchrun")
