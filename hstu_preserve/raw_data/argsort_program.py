"""Say how a Python's NumPy sorts, or sort times with it: a program that runs in a process of its own.

Another Python than ours may run it, with an older NumPy. So it is written in Python 3.8 and imports nothing of this
package.
"""

from __future__ import annotations

import hashlib
import json
import sys
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

NUM_KEYS = 100_000
NUM_VALUES = 5_000
"""Twenty equal keys of each value, on average: their order tells which unstable sort it was."""


def make_keys() -> npt.NDArray[np.int64]:
    """Return 100,000 keys that are the same everywhere: the high bits of Knuth's 64-bit congruential generator."""
    keys, state = [], 1
    for _ in range(NUM_KEYS):
        state = (6364136223846793005 * state + 1442695040888963407) % 2**64
        keys.append((state >> 33) % NUM_VALUES)
    return np.array(keys, dtype=np.int64)


def answer() -> str:
    """Return the first 16 hex digits of the sha256 of the order in which NumPy sorts the keys."""
    order = np.argsort(make_keys(), kind="quicksort")
    return hashlib.sha256(order.astype("<i8").tobytes()).hexdigest()[:16]


def sort(expected: str) -> None:
    """Read times as int64 from the file that is standard input; write the order of each to standard output.

    Args:
        expected: The known answer of the sort that is wanted; another one ends the program.
    """
    if answer() != expected:
        sys.exit(f"NumPy {np.__version__} sorts otherwise here")
    times = np.memmap(sys.stdin.buffer, dtype="<i8", mode="r")
    np.argsort(times, kind="quicksort").astype("<i8", copy=False).tofile(sys.stdout.buffer)


if __name__ == "__main__":
    if sys.argv[1] == "describe":
        sys.stdout.write(json.dumps({"version": np.__version__, "answer": answer()}))
    else:
        sort(sys.argv[2])
