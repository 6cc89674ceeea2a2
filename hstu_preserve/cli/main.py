"""The one place that catches: every deliberate error becomes one sentence and its exit code."""

import gc
import os
import signal
import sys
from collections.abc import Sequence
from types import FrameType
from typing import Never

from hstu_preserve.cli.output import complain
from hstu_preserve.errors import PreserveError

INTERRUPTED = 130
TERMINATED = 143
OBJECTS_BEFORE_COLLECTING = 100_000
"""Importing makes objects that stay: looking for garbage among them took a sixth of a short command's time."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code.

    Args:
        arguments: Without the program's name; None takes the process's own.
    """
    from hstu_preserve.cli.app import app

    try:
        app(args=None if arguments is None else list(arguments), prog_name="hstu-preserve")
    except PreserveError as error:
        complain(str(error))
        return error.exit_code
    except KeyboardInterrupt:
        complain("interrupted")
        return INTERRUPTED
    except SystemExit as leaving:
        return leaving.code if isinstance(leaving.code, int) else int(leaving.code is not None)
    return 0


def run() -> Never:
    """Be the console script: as `main`, and leave with 143 on SIGTERM after cleaning up."""
    signal.signal(signal.SIGTERM, leave)
    if "RANK" in os.environ:  # torch would tell each process that its search for unused parameters found none
        os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
    gc.set_threshold(OBJECTS_BEFORE_COLLECTING)
    exit_code = main()
    gc.freeze()  # the process ends: a last search for garbage takes a tenth of a second and frees nothing
    sys.exit(exit_code)


def leave(number: int, frame: FrameType | None) -> Never:
    """Turn SIGTERM into an exception, so that temporary files are removed on the way out."""
    raise SystemExit(TERMINATED)
