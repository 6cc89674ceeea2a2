"""The most memory of this process so far."""

import resource
import sys
from pathlib import Path

STATUS = Path("/proc/self/status")
KIBIBYTE = 1024


def read_peak_bytes() -> int:
    """Return the most memory that this process has had since it began, in bytes.

    Where Linux says it of the program itself: `ru_maxrss` begins with what the process had that started it, be it a
    notebook of gigabytes.
    """
    if STATUS.exists():
        for line in STATUS.read_text(encoding="utf-8").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * KIBIBYTE
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * KIBIBYTE
