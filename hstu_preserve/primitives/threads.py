"""Start threads on a machine that may refuse them: a limit on processes counts threads, so that any one may fail."""

import ctypes
import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import TypeVar

from hstu_preserve.errors import UnavailableError

Item = TypeVar("Item")
Result = TypeVar("Result")

STRETCH_SECONDS = 0.1
"""Of waiting for a thread, between two looks at anything else."""
ADVICE = "raise the limit of processes ('ulimit -u', or the container's limit of pids)"


def start_thread(work: Callable[[], object], *, name: str) -> threading.Thread | None:
    """Start a daemon thread; return None if the system gives no more of them, and `work` is then never called."""
    thread = threading.Thread(target=work, name=name, daemon=True)
    try:
        thread.start()
    except RuntimeError:  # what Python makes of the system's EAGAIN
        return None
    return thread


left_behind: list[object] = []
"""What goes on outside Python though nobody waits for it any more: the process must end without ending Python."""


def leave_behind(*things: object) -> None:
    """Keep objects for ever that something outside Python still uses; freeing them would wait for it, or crash."""
    left_behind.extend(things)
    for thing in things:  # Python empties the list, too, when it ends
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(thing))


def is_anything_left_behind() -> bool:
    """Whether a daemon thread, or something outside Python, is still busy."""
    return bool(left_behind) or any(thread.daemon for thread in threading.enumerate())


def call_in_thread(work: Callable[[], Result], *, between: Callable[[], None], purpose: str) -> Result:
    """Call something that blocks outside Python in a thread, while the calling thread hears signals.

    Args:
        work: Ends by itself some time, also if nobody waits for it any more.
        between: Is called several times a second until `work` is done; ends the wait by raising.
        purpose: Of the thread, for the message if there is none.

    Raises:
        UnavailableError: The system gives no thread.
    """
    from concurrent.futures import Future

    future: Future[Result] = Future()

    def serve() -> None:
        try:
            future.set_result(work())
        except BaseException as error:  # noqa: BLE001  it is raised where the result is asked for
            future.set_exception(error)

    thread = start_thread(serve, name=purpose)
    if thread is None:
        raise UnavailableError(f"{purpose}: needs a second thread, and the system gives none; {ADVICE}")
    while thread.is_alive():
        thread.join(STRETCH_SECONDS)
        between()
    return future.result()


def require_threads(number: int, *, purpose: str, advice: str = ADVICE) -> None:
    """Start so many threads and end them again, before a library does so that would end the process without them.

    Args:
        number: Beside the calling thread.
        purpose: The work that needs them.
        advice: A step that the user can take.

    Raises:
        UnavailableError: The system gives fewer.
    """
    may_end = threading.Event()
    started: list[threading.Thread] = []
    try:
        for _ in range(number):
            thread = start_thread(may_end.wait, name="probe")
            if thread is None:
                raise UnavailableError(
                    f"{purpose}: needs {number + 1} threads, and the system gives {len(started) + 1}; {advice}"
                )
            started.append(thread)
    finally:
        may_end.set()
        for thread in started:
            thread.join()


def map_in_threads(
    work: Callable[[Item], Result], items: Sequence[Item], *, max_threads: int, stop: threading.Event
) -> list[Result]:
    """Return the result of each item, several at once; one after another if the system gives no thread.

    Args:
        work: Is called with each item.
        items: The items to act on.
        max_threads: How many items at once.
        stop: Is set if one of them raises or the caller is interrupted: `work` should then end soon, and no further
            item is begun. Their error is raised here, once all threads have ended.
    """
    from concurrent.futures import Future

    waiting = deque((item, Future[Result]()) for item in items)
    futures = [future for _, future in waiting]

    def serve() -> None:
        while True:
            try:
                item, future = waiting.popleft()
            except IndexError:  # nothing is left to begin
                return
            try:
                future.set_result(work(item))
            except BaseException as error:  # noqa: BLE001  it is raised where the result is asked for
                future.set_exception(error)

    names = (f"worker {number}" for number in range(min(max_threads, len(items))))
    threads = [thread for name in names if (thread := start_thread(serve, name=name)) is not None]
    try:
        if not threads:
            return [work(item) for item in items]
        return [future.result() for future in futures]
    except BaseException:
        waiting.clear()  # before they stop: what ends early would begin the next
        stop.set()
        raise
    finally:
        for thread in threads:
            thread.join()
