"""Threads of tests, on a machine whose limit of processes leaves few: they wait until they can be had."""

import threading
import time
from collections.abc import Callable
from typing import Any


def patiently(start: Callable[[], Any]) -> None:
    """Start something that needs a thread, again and again while the system gives none: other processes end theirs."""
    while True:
        try:
            start()
        except RuntimeError as error:
            if "can't start new thread" not in str(error):
                raise
            time.sleep(0.01)
        else:
            return


def start_daemon(work: Callable[[], Any], **named: Any) -> threading.Thread:
    """Return a started daemon thread that calls `work`."""
    thread = threading.Thread(target=work, daemon=True, **named)
    patiently(thread.start)
    return thread
