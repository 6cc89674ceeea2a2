"""A computation that does not fit into memory is what this machine lacks, not a bug."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from hstu_preserve.errors import UnavailableError

OUT_OF_MEMORY = re.compile(
    r"can't allocate memory|not enough memory|out of memory|storage size calculation overflow|"
    r"numel: integer multiplication overflow|array is too big|maximum supported dimension",
    re.IGNORECASE,
)
"""How torch and numpy say so where they raise nothing more particular than RuntimeError or ValueError."""
DECIDING = "batch size, sequence length, embedding width, number of negatives"


@contextmanager
def sufficient_memory() -> Iterator[None]:
    """Say in one sentence that what is computed inside the block needs more memory than there is.

    Raises:
        UnavailableError: It does.
    """
    try:
        yield
    except (MemoryError, torch.cuda.OutOfMemoryError) as error:
        raise UnavailableError(describe(error)) from None
    except (RuntimeError, ValueError) as error:
        if not OUT_OF_MEMORY.search(str(error)):
            raise
        raise UnavailableError(describe(error)) from None


def describe(error: Exception) -> str:
    """Return what to do, with the amount that was asked for where it is known."""
    amount = re.search(r"(?:allocate|Tried to allocate) ([0-9.]+ ?\w+)", str(error), re.IGNORECASE)
    asked = f" (asked for {amount[1]})" if amount else ""
    return f"not enough memory on this machine for the recipe{asked}; what decides it: {DECIDING}"
