"""Leave on a signal by an exception, so that temporary files are removed on the way out; however often it comes."""

import signal
import time
from types import FrameType
from typing import Never

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGXCPU, signal.SIGUSR1)
"""Somebody asks the process to end: the terminal, a scheduler, a lost connection, a limit of time, Slurm before one."""
SIGNAL_EXIT = 128
"""A process that a signal ended exits with this plus the signal's number, by the shell's convention."""
INSISTING_SECONDS = 5.0
"""A signal that comes again within this time is the same wish; cleaning up is then under way, and goes on."""


def is_ignored(number: int) -> bool:
    """Whether a signal is ignored, as `nohup` has it for SIGHUP: it must then stay so."""
    return signal.getsignal(number) is signal.SIG_IGN


class Leaving:
    """Turns the signals that end a process into exceptions."""

    def __init__(self) -> None:
        self.began_at: float | None = None

    def listen(self) -> None:
        """Hear every signal that is not ignored."""
        for number in SIGNALS:
            if not is_ignored(number):
                signal.signal(number, self.hear)

    def hear(self, number: int, frame: FrameType | None) -> None:
        """Leave, unless that has just begun.

        Raises:
            KeyboardInterrupt: On SIGINT.
            SystemExit: On any other.
        """
        now = time.monotonic()
        if self.began_at is not None and now - self.began_at < INSISTING_SECONDS:
            return
        self.began_at = now
        leave(number)


def leave(number: int) -> Never:
    """Raise what ends a process as the signal would have ended it.

    Raises:
        KeyboardInterrupt: For SIGINT.
        SystemExit: For any other.
    """
    if number == signal.SIGINT:
        raise KeyboardInterrupt
    raise SystemExit(SIGNAL_EXIT + number)
