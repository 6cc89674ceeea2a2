"""Note SIGINT and SIGTERM while a run trains, so that it is saved before the process leaves."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Never

from hstu_preserve.primitives.voice import Voice

SIGNALS = (signal.SIGINT, signal.SIGTERM)
SIGNAL_EXIT = 128
"""A process that a signal ended exits with this plus the signal's number, by the shell's convention."""


class StopRequest:
    """Whether somebody asked the run to stop.

    Args:
        voice: Says that the request was heard.
    """

    def __init__(self, voice: Voice) -> None:
        self.voice = voice
        self.signal_number: int | None = None

    def hear(self, number: int, frame: FrameType | None) -> None:
        """Note the first signal; leave at the second, without saving."""
        if self.signal_number is not None:
            leave(number)
        self.signal_number = number
        name = signal.Signals(number).name
        with suppress(OSError, RuntimeError):  # who would read it is gone, or the signal came while something was said
            self.voice.say(f"{name}: saving after this step, then leaving (again: leave at once)")

    @property
    def is_made(self) -> bool:
        """Whether a signal came."""
        return self.signal_number is not None


class RunStopped(Exception):  # noqa: N818  a decision, no error; never leaves the conducting of a run
    """The run was asked to stop."""


def leave(number: int) -> Never:
    """Leave as the signal's default would have it, by an exception: open files are closed on the way out."""
    if number == signal.SIGINT:
        raise KeyboardInterrupt
    raise SystemExit(SIGNAL_EXIT + number)


@contextmanager
def listen_for_signals(voice: Voice) -> Iterator[StopRequest]:
    """Yield a request that SIGINT and SIGTERM make inside the block; outside the main thread nothing can make it."""
    request = StopRequest(voice)
    if threading.current_thread() is not threading.main_thread():
        yield request
        return
    before = {number: signal.signal(number, request.hear) for number in SIGNALS}
    try:
        yield request
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
