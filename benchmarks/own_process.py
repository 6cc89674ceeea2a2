"""Figures from a process of its own: its memory is its own, and so is how its allocator is set."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

ALLOCATORS: dict[str, dict[str, str]] = {
    "as it is": {},
    "keeps its pages": {
        "MALLOC_MMAP_MAX_": "0",
        "MALLOC_TRIM_THRESHOLD_": str(2**40),
        "MALLOC_TOP_PAD_": str(2**26),
    },
}
"""glibc's settings of a process; with the second, freed memory is used again rather than given back and zeroed anew."""


def read_figures(
    *arguments: str, environment: Mapping[str, str] | None = None, seconds: float | None = None
) -> dict[str, Any]:
    """Return the JSON that a Python of its own prints last.

    Args:
        arguments: After `python`, such as `-m` and the name of a benchmark.
        environment: Variables beside those of this process.
        seconds: The most that it may take; None for any time.

    Raises:
        subprocess.TimeoutExpired: It took longer, and was ended.
    """
    command = [sys.executable, "-W", "ignore", *arguments]
    output = subprocess.run(
        command,
        check=True,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | dict(environment or {}),
        timeout=seconds,
    ).stdout
    figures: dict[str, Any] = json.loads(output.splitlines()[-1])
    return figures
