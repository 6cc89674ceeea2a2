"""Report a computation that does not fit into memory as something this machine lacks, not as a bug."""

import os
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
"""Messages of torch and numpy about it, when they raise no more particular error than RuntimeError or ValueError."""
DECIDING = "batch size, sequence length, embedding width, number of negatives, largest item id"


@contextmanager
def sufficient_memory() -> Iterator[None]:
    """Turn an error about memory inside the block into one sentence.

    Raises:
        UnavailableError: The computation needs more memory than there is.
    """
    try:
        yield
    except (MemoryError, torch.cuda.OutOfMemoryError) as error:
        raise UnavailableError(describe(error)) from None
    except (RuntimeError, ValueError) as error:
        if not OUT_OF_MEMORY.search(str(error)):
            raise
        raise UnavailableError(describe(error)) from None


def require_memory(size_bytes: int) -> None:
    """Raise MemoryError, as an allocation would, for more bytes than the machine has.

    The system may promise more memory than there is, and end the process once it is written to.
    """
    if size_bytes > os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"):
        raise MemoryError(f"tried to allocate {size_bytes / 2**30:.1f} GiB")


def describe(error: Exception) -> str:
    """Return the sentence, with the amount that was asked for if it is known."""
    amount = re.search(r"(?:allocate|Tried to allocate) ([0-9.]+ ?\w+)", str(error), re.IGNORECASE)
    asked = f" (asked for {amount[1]})" if amount else ""
    noted = "".join(f"; {note}" for note in getattr(error, "__notes__", ()))
    return f"not enough memory on this machine for the recipe{asked}; what decides it: {DECIDING}{noted}"
