"""Decide which failures are tried again, how often and after which time."""

import random
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from time import time
from typing import TypeVar

from hstu_preserve.errors import PreserveError, UnavailableError, UnreachableError
from hstu_preserve.primitives.voice import SILENT, Voice

MAX_WAIT_SECONDS = 120.0
"""If a server asks for a longer wait, the call fails and says so."""
# huggingface_hub gives up at the first 5xx answer of the storage; here it may pass.
PASSING_STATUSES = frozenset({408, 425, 429, 500, 502, 503, 504})

Result = TypeVar("Result")


class PassingError(Exception):
    """A failure that may be gone the next time.

    Attributes:
        reason: The failure, in words.
        retry_after_seconds: The wait that the server asked for.
        spends_location: Whether the address that was asked should be resolved anew.
        is_unreachable: Whether there was not even a connection.
        is_slow: Whether bytes came, but next to none in the time.
    """

    def __init__(
        self,
        reason: str,
        *,
        retry_after_seconds: float | None = None,
        spends_location: bool = False,
        is_unreachable: bool = False,
        is_slow: bool = False,
    ) -> None:
        super().__init__(reason)
        self.reason, self.retry_after_seconds = reason, retry_after_seconds
        self.spends_location, self.is_unreachable, self.is_slow = spends_location, is_unreachable, is_slow

    def count(self, failures: int, *, has_progressed: bool) -> int:
        """Return how many attempts in a row have now failed; one that brought bytes at a fair pace ends the row."""
        return 1 if has_progressed and not self.is_slow else failures + 1


class DiscardError(Exception):
    """The bytes received are of no use: begin again from the first one.

    Attributes:
        error: Raised if beginning again does not help.
    """

    def __init__(self, error: PreserveError) -> None:
        super().__init__(str(error))
        self.error = error


@dataclass(frozen=True, kw_only=True)
class RetryPolicy:
    """How often, and after which waits, a failed request is repeated.

    Attributes:
        attempts: In a row without a new byte, or with next to none.
        attempts_to_connect: The same if there is no connection; one is enough if the work can go on without the Hub.
        first_wait_seconds: Doubled from attempt to attempt.
        restarts: How often a file may begin again from its first byte.
        stop: Set to end all work at the next chance.
        voice: Says why and when a request is repeated: a transfer that stands still looks as if it had ended.
    """

    attempts: int = 5
    attempts_to_connect: int = 5
    first_wait_seconds: float = 1.0
    restarts: int = 2
    stop: threading.Event = field(default_factory=threading.Event)
    voice: Voice = SILENT

    def wait(self, problem: PassingError, *, failures: int, source: str) -> None:
        """Wait before the next attempt.

        Raises:
            UnavailableError: It has failed often enough, or the server asks for more patience than there is.
        """
        asked = problem.retry_after_seconds or 0.0
        if problem.is_unreachable and failures >= self.attempts_to_connect:
            raise UnreachableError(f"{source}: {problem.reason}")
        if failures >= self.attempts:
            raise UnavailableError(f"{source}: {problem.reason}; gave up after {failures} attempts, try again later")
        if asked > MAX_WAIT_SECONDS:
            raise UnavailableError(f"{source}: {problem.reason}; the server asks to wait {asked:.0f} s")
        own = self.first_wait_seconds * 2 ** (failures - 1) * random.uniform(0.75, 1.25)  # noqa: S311 - no secret
        seconds = max(asked, own)
        attempt = f"attempt {failures + 1} of {self.attempts}"
        self.voice.say(f"{source}: {problem.reason}; trying again in {seconds:.0f} s ({attempt} without a new byte)")
        self.stop.wait(seconds)
        self.require_going(source)

    def pause(self, seconds: float) -> None:
        """Wait for something that needs no request.

        Raises:
            UnavailableError: The work was stopped.
        """
        self.stop.wait(seconds)
        self.require_going("waiting")

    def require_going(self, source: str) -> None:
        """Raise UnavailableError if the work was stopped."""
        if self.stop.is_set():
            raise UnavailableError(f"{source}: stopped")


def retry(action: Callable[[], Result], *, policy: RetryPolicy, source: str) -> Result:
    """Return the result of the action, once one attempt succeeds.

    Raises:
        UnavailableError: It has failed often enough.
    """
    failures = 0
    while True:
        try:
            return action()
        except PassingError as problem:
            failures += 1
            policy.wait(problem, failures=failures, source=source)


def parse_retry_after(text: str | None) -> float | None:
    """Return the seconds that a `Retry-After` header asks for, given as a number or as a date."""
    if text is None:
        return None
    try:
        return (
            max(0.0, float(text))
            if text.strip().isdigit()
            else max(0.0, parsedate_to_datetime(text).timestamp() - time())
        )
    except (ValueError, OverflowError):
        return None
