"""Tell a run whose training diverged from one that can go on."""

import math
import os
from pathlib import Path

from hstu_preserve.bundle.layout import STEPS
from hstu_preserve.errors import ContentError, UsageError
from hstu_preserve.primitives.files import open_stream
from hstu_preserve.primitives.strict_json import strict_loads

MAX_LAST_LINE_BYTES = 4096


def has_diverged(root: Path) -> bool:
    """Whether the last step that an unfinished run recorded has a loss that is NaN or infinite."""
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
