"""End a wait of the main thread without a second thread, by the alarm of the operating system."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Never


def can_be_woken() -> bool:
    """Whether the calling thread is the one that hears signals."""
    return threading.current_thread() is threading.main_thread()


@contextmanager
def woken_after(seconds: float, error: Exception) -> Iterator[None]:
    """Raise an error in the main thread, wherever it then waits, if the block takes longer.

    Args:
        seconds: More than 0.
        error: Is raised once.
    """

    def ring(*_: object) -> Never:
        raise error

    before = signal.signal(signal.SIGALRM, ring)
    try:
        signal.setitimer(signal.ITIMER_REAL, seconds)
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
