"""Open NumPy's array files so that a crafted one is an error that says so."""

import os
import stat
from pathlib import Path
from tokenize import TokenError

import numpy as np
import numpy.typing as npt

DAMAGED_ARRAYS = (
    ValueError,
    KeyError,
    TypeError,
    SyntaxError,
    TokenError,
    OSError,
    EOFError,
    RuntimeError,
    MemoryError,
    ArithmeticError,
    AttributeError,
    Warning,
)
"""Everything that NumPy raises on bytes that are not its own, crafted headers included."""


def map_array_file(path: Path) -> npt.NDArray[np.generic]:
    """Return the array in an `.npy` file, memory-mapped and read-only.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is a folder, pipe or device; opening a pipe would wait for somebody to write into it.
        PermissionError: It may not be read.
        Exception: One of `DAMAGED_ARRAYS`.
    """
    if not stat.S_ISREG(os.stat(path).st_mode):  # noqa: PTH116  Path.stat says the same
        raise ValueError("not a regular file")
    array: npt.NDArray[np.generic] = np.asarray(np.load(path, mmap_mode="r", allow_pickle=False))
    return array
