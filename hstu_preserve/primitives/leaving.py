"""Leave on a signal by an exception, so that temporary files are removed on the way out; however often it comes."""

import signal
import sys
import time
from types import FrameType
from typing import TYPE_CHECKING, Never

if TYPE_CHECKING:
    from sys import UnraisableHookArgs

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGXCPU, signal.SIGUSR1)
"""Somebody asks the process to end: the terminal, a scheduler, a lost connection, a limit of time, Slurm before one."""
SIGNAL_EXIT = 128
"""A process that a signal ended exits with this plus the signal's number, by the shell's convention."""
INSISTING_SECONDS = 5.0
"""A signal that comes again within this time is the same wish; cleaning up is then under way, and goes on."""
AGAIN_SECONDS = 0.01
"""After an exception was dropped, until it is raised once more: what dropped it is over by then."""


def is_ignored(number: int) -> bool:
    """Whether a signal is ignored, as `nohup` has it for SIGHUP: it must then stay so."""
    return signal.getsignal(number) is signal.SIG_IGN


class Leaving:
    """Turns the signals that end a process into exceptions."""

    def __init__(self) -> None:
        self.began_at: float | None = None
        self.number = 0
        self.raised: BaseException | None = None
        """What was raised last: of the same object, Python says that it was dropped."""

    def listen(self) -> None:
        """Hear every signal that is not ignored, and whether Python dropped the exception that one became."""
        for number in SIGNALS:
            if not is_ignored(number):
                signal.signal(number, self.hear)
        signal.signal(signal.SIGALRM, self.hear_again)
        sys.unraisablehook = self.take_back

    def end(self) -> None:
        """Give the signals their system's meaning again."""
        signal.setitimer(signal.ITIMER_REAL, 0)
        sys.unraisablehook = sys.__unraisablehook__
        for number in (*SIGNALS, signal.SIGALRM):
            if not is_ignored(number):
                signal.signal(number, signal.SIG_DFL)

    def hear(self, number: int, frame: FrameType | None) -> None:
        """Leave, unless that has just begun.

        Raises:
            KeyboardInterrupt: On SIGINT.
            SystemExit: On any other.
        """
        now = time.monotonic()
        if self.began_at is not None and now - self.began_at < INSISTING_SECONDS:
            return
        self.began_at, self.number = now, number
        self.leave()

    def hear_again(self, number: int, frame: FrameType | None) -> None:
        """Leave once more.

        Raises:
            KeyboardInterrupt: If SIGINT was heard.
            SystemExit: If any other was.
        """
        if self.raised is not None:
            self.leave()

    def leave(self) -> Never:
        """Raise what ends the process, and remember it."""
        try:
            leave(self.number)
        except BaseException as leaving:
            self.raised = leaving
            raise

    def take_back(self, unraisable: "UnraisableHookArgs") -> None:
        """Leave a moment later if what Python could not raise, as in freeing an object, is what ends the process."""
        if unraisable.exc_value is not None and unraisable.exc_value is self.raised:
            signal.setitimer(signal.ITIMER_REAL, AGAIN_SECONDS)
        else:
            sys.__unraisablehook__(unraisable)


def leave(number: int) -> Never:
    """Raise what ends a process as the signal would have ended it.

    Raises:
        KeyboardInterrupt: For SIGINT.
        SystemExit: For any other.
    """
    if number == signal.SIGINT:
        raise KeyboardInterrupt
    raise SystemExit(SIGNAL_EXIT + number)
