"""Threads where the system gives all, some or none."""

import threading

import pytest

from hstu_preserve.errors import UnavailableError
from hstu_preserve.primitives.threads import map_in_threads, require_threads, start_thread


@pytest.fixture(params=[None, 2, 1, 0], ids=lambda number: f"{number} threads")
def given(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int | None:
    """Let the system give so many threads, and no more; None for as many as are wanted."""
    number: int | None = request.param
    start, left = threading.Thread.start, iter(range(number or 0))

    def start_or_refuse(thread: threading.Thread) -> None:
        if number is not None and next(left, None) is None:
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", start_or_refuse)
    return number


def test_everything_is_done_in_order_with_any_number_of_threads(given: int | None) -> None:
    stop = threading.Event()
    assert map_in_threads(lambda item: item * 2, range(50), max_threads=4, stop=stop) == [2 * n for n in range(50)]
    assert not stop.is_set()
    assert map_in_threads(str, (), max_threads=4, stop=stop) == []


def test_a_failure_ends_the_rest_and_is_raised(given: int | None) -> None:
    stop, begun = threading.Event(), []

    def work(item: int) -> None:
        begun.append(item)
        if item == 0:
            raise KeyboardInterrupt
        assert stop.wait(600)  # as a transfer ends once it is told to

    with pytest.raises(KeyboardInterrupt):
        map_in_threads(work, range(50), max_threads=4, stop=stop)
    assert stop.is_set()
    assert len(begun) <= 5  # what each thread had begun, and one whose place was free before the failure was seen
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("worker ")]


def test_a_thread_that_cannot_be_had_is_none(given: int | None) -> None:
    done = threading.Event()
    thread = start_thread(done.set, name="work")
    assert (thread is None) == (given == 0)
    if thread is not None:
        thread.join()
    assert done.is_set() == (thread is not None)


def test_too_few_threads_are_told_with_their_number(given: int | None) -> None:
    if given is None:
        require_threads(3, purpose="counting")
        return
    with pytest.raises(UnavailableError, match=f"counting: needs 4 threads, and the system gives {given + 1}; raise"):
        require_threads(3, purpose="counting")
