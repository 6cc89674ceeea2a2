"""Note the signals that ask a run to stop while it trains, so that it is saved before the process leaves."""

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any

from hstu_preserve.primitives.leaving import SIGNALS, is_ignored, leave
from hstu_preserve.primitives.voice import Voice

Handler = Callable[[int, FrameType | None], Any] | int | None

GRACE_SECONDS = 1.0
"""How long a run that was asked to stop still waits for other processes, which may just be finishing the same step."""


class StopRequest:
    """Whether somebody asked the run to stop.

    Args:
        voice: Says that the request was heard.
    """

    def __init__(self, voice: Voice) -> None:
        self.voice = voice
        self.signal_number: int | None = None
        self.made_at = 0.0
        self.handlers: dict[int, Handler] = {}
        """What heard each signal before, and hears the second one."""

    def hear(self, number: int, frame: FrameType | None) -> None:
        """Note the first signal; leave at the second, without saving."""
        if self.signal_number is not None:
            handler = self.handlers.get(number)
            if callable(handler):
                handler(number, frame)
                return
            leave(number)
        self.signal_number = number
        self.made_at = time.monotonic()
        name = signal.Signals(number).name
        with suppress(OSError, RuntimeError):  # who would read it is gone, or the signal came while something was said
            self.voice.say(f"{name}: saving after this step, then leaving (again: leave at once)")

    @property
    def is_made(self) -> bool:
        """Whether a signal came."""
        return self.signal_number is not None

    def heed(self, since: float) -> None:
        """End a wait for other processes that began at `since`, if the run was asked to stop.

        Raises:
            RunStopped: It was, and the others did not come within the time that they are given then.
        """
        if self.is_made and time.monotonic() - max(since, self.made_at) >= GRACE_SECONDS:
            raise RunStopped


class RunStopped(Exception):  # noqa: N818  a decision, no error; never leaves the conducting of a run
    """The run was asked to stop."""


@contextmanager
def listen_for_signals(request: StopRequest) -> Iterator[None]:
    """Let signals make a request inside the block; outside the main thread nothing can make it."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    heard = [number for number in SIGNALS if not is_ignored(number)]
    request.handlers = {number: signal.getsignal(number) for number in heard}
    try:
        for number in heard:
            signal.signal(number, request.hear)
        yield
    finally:
        for listened, handler in request.handlers.items():
            signal.signal(listened, handler)
