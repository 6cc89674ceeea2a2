"""How long is waited before the next attempt, and when no more."""

import threading

import pytest

from hstu_preserve.errors import UnavailableError, UnreachableError
from hstu_preserve.hub.retries import MAX_WAIT_SECONDS, PassingError, RetryPolicy, parse_retry_after
from hstu_preserve.primitives.voice import Voice

NOW = 784_111_777.0  # Sun, 06 Nov 1994 08:49:37 GMT, the example of RFC 9110


class Clock(threading.Event):
    """Notes how long it was waited for."""

    def __init__(self) -> None:
        super().__init__()
        self.waited: list[float] = []

    def wait(self, timeout: float | None = None) -> bool:
        self.waited.append(timeout or 0.0)
        return False


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        (None, None),
        ("0", 0.0),
        ("17", 17.0),
        ("Sun, 06 Nov 1994 08:50:37 GMT", 60.0),
        ("Sunday, 06-Nov-94 08:50:37 GMT", 60.0),
        ("Sun Nov  6 08:50:37 1994", 60.0),
        ("Sun, 06 Nov 1994 10:49:37 +0100", 3600.0),
        ("Sun, 06 Nov 1994 08:49:00 GMT", 0.0),
        ("soon", None),
        ("Sun, 99 Nov 1994 08:50:37 GMT", None),
    ],
)
def test_a_retry_after_is_a_number_or_a_date(
    text: str | None, seconds: float | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hstu_preserve.hub.retries.time", lambda: NOW)
    assert parse_retry_after(text) == seconds


def test_what_the_server_asks_for_is_waited() -> None:
    clock = Clock()
    RetryPolicy(stop=clock).wait(PassingError("429", retry_after_seconds=33.0), failures=1, source="x")
    assert clock.waited == [33.0]


def test_a_server_that_asks_for_more_patience_than_there_is_is_left() -> None:
    problem = PassingError("429", retry_after_seconds=MAX_WAIT_SECONDS + 1)
    with pytest.raises(UnavailableError, match="asks to wait 121 s"):
        RetryPolicy(stop=Clock()).wait(problem, failures=1, source="x")


def test_each_wait_is_about_twice_the_one_before() -> None:
    clock = Clock()
    for failures in (1, 2, 3, 4):
        RetryPolicy(stop=clock).wait(PassingError("503"), failures=failures, source="x")
    assert all(0.75 * 2**n <= waited <= 1.25 * 2**n for n, waited in enumerate(clock.waited))
    with pytest.raises(UnavailableError, match="5 attempts"):
        RetryPolicy(stop=clock).wait(PassingError("503"), failures=5, source="x")


def test_who_can_do_without_a_server_does_not_wait_for_it() -> None:
    policy = RetryPolicy(stop=Clock(), attempts_to_connect=1)
    with pytest.raises(UnreachableError):
        policy.wait(PassingError("refused", is_unreachable=True), failures=1, source="x")
    policy.wait(PassingError("503"), failures=1, source="x")


@pytest.mark.parametrize("asked", [None, 7.0])
def test_a_repeated_request_is_said_with_its_reason_and_its_time(asked: float | None) -> None:
    said: list[str] = []
    policy = RetryPolicy(stop=Clock(), first_wait_seconds=0.001, voice=Voice(say=said.append))
    policy.wait(PassingError("storage.example answers 503", retry_after_seconds=asked), failures=2, source="me/x/a")
    seconds = f"{asked or 0:.0f}"
    assert said == [
        f"me/x/a: storage.example answers 503; trying again in {seconds} s (attempt 3 of 5 without a new byte)"
    ]
