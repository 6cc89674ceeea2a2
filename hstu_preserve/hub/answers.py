"""Read an answer of the Hub's own pages whole, within bounds of time and memory, whatever the server sends."""

import json
import time
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from typing import Any, TypeVar

from huggingface_hub.utils import httpx  # type: ignore[attr-defined]  # re-exported

from hstu_preserve.errors import UnavailableError
from hstu_preserve.hub.bodies import MIN_BYTES_PER_SECOND
from hstu_preserve.primitives.alarms import can_be_woken, woken_after
from hstu_preserve.primitives.threads import ADVICE, STRETCH_SECONDS, start_thread

MAX_ANSWER_BYTES = 16 * 2**20
"""Of a listing: 50,000 files take about 12 MB."""
MAX_MARKS = 800_000
"""Commas and brackets in a listing, before it is parsed: each makes at most one object of about 80 bytes."""
GRACE_SECONDS = 3.0
"""For so long an answer may arrive more slowly, as while the connection is being found."""

Result = TypeVar("Result")


def read_bounded(response: httpx.Response, *, source: str) -> bytes:
    """Return the body of an answer that is being received, as it was sent.

    Raises:
        UnavailableError: It is too large, or arrives too slowly.
    """
    body = bytearray()
    began = time.monotonic()
    for piece in response.iter_raw():
        body += piece
        if len(body) > MAX_ANSWER_BYTES:
            size = f"{MAX_ANSWER_BYTES >> 20} MiB"
            raise UnavailableError(f"{source}: the answer is larger than {size}; nothing of it is used")
        seconds = time.monotonic() - began
        if seconds > GRACE_SECONDS and len(body) < MIN_BYTES_PER_SECOND * seconds:
            raise UnavailableError(
                f"{source}: the answer arrives too slowly ({len(body)} bytes in {seconds:.0f} s); try again later"
            )
    return bytes(body)


def parse_bounded(body: bytes, *, source: str) -> Any:
    """Return the JSON value of a body.

    Raises:
        UnavailableError: It would take much more memory than its own size, or is nested too deeply.
        ValueError: It is no JSON.
    """
    if sum(map(body.count, (b",", b"[", b"{"))) > MAX_MARKS:
        raise UnavailableError(f"{source}: the answer lists more than this program reads; nothing of it is used")
    try:
        return json.loads(body)
    except RecursionError:
        raise UnavailableError(f"{source}: the answer is nested too deeply; nothing of it is used") from None


def within(action: Callable[[], Result], *, seconds: float, source: str) -> Result:
    """Return the result of an action that waits for a server; the client limits each wait, but not how many there are.

    The action goes on in a thread that nobody waits for once its time is over. If the system gives no thread, an alarm
    ends the main thread's wait; another thread, which has no such means, tries for as long to get one.

    Raises:
        UnavailableError: It takes longer; or the system gives no thread where one is needed.
    """
    late = UnavailableError(f"{source}: no whole answer after {seconds:.0f} s; try again later")
    future: Future[Result] = Future()

    def work() -> None:
        try:
            future.set_result(action())
        except BaseException as error:  # noqa: BLE001  raised again where the result is waited for
            future.set_exception(error)

    began = time.monotonic()
    while start_thread(work, name="asking") is None:
        if can_be_woken():
            with woken_after(seconds, late):
                return action()
        if time.monotonic() - began > seconds:
            raise UnavailableError(f"{source}: asking needs another thread, and the system gives none; {ADVICE}")
        time.sleep(STRETCH_SECONDS)
    try:
        return future.result(timeout=seconds)
    except FutureTimeoutError:
        if future.done():  # the action's own
            raise
        raise late from None
