"""Tell a run whose training diverged from one that can go on."""

import math
import os
from pathlib import Path

from hstu_preserve.bundle.layout import STEPS
from hstu_preserve.errors import ContentError, UsageError
from hstu_preserve.primitives.files import open_stream, write_atomically
from hstu_preserve.primitives.strict_json import strict_loads

MAX_LAST_LINE_BYTES = 4096
MARK = "diverged.txt"
"""In the directory of a run whose weights are no numbers any more, though the loss of its last step still was one."""


def mark_as_diverged(root: Path, *, reason: str) -> None:
    """Leave a mark in a run's directory if its last loss does not say that it diverged.

    Raises:
        UnavailableError: It cannot be written.
    """
    if not has_diverged(root):
        write_atomically(root / MARK, f"{reason}\n".encode())


def has_diverged(root: Path) -> bool:
    """Whether an unfinished run is marked so, or the last loss that it recorded is NaN or infinite."""
    if (root / MARK).exists():
        return True
    try:
        with open_stream(root / STEPS) as stream:
            size = stream.seek(0, os.SEEK_END)
            stream.seek(max(0, size - MAX_LAST_LINE_BYTES))
            last = stream.read().splitlines()[-1:]
        step = strict_loads(last[0], source=STEPS) if last else None
        loss = step.get("loss") if isinstance(step, dict) else None
        return isinstance(loss, str) and not math.isfinite(float.fromhex(loss))
    except (UsageError, ContentError, ValueError, OverflowError):  # no such file, half a line, or no number
        return False
