"""Answers that a Hub, or a mirror of it, sends to harm: bounded in time and memory, and never taken for another."""

import json
import signal
import socket
import time
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress

import pytest
from huggingface_hub import constants

from hstu_preserve.errors import ContentError, PreserveError, UnavailableError
from hstu_preserve.hub import answers
from hstu_preserve.hub.repository import Hub
from hstu_preserve.hub.retries import RetryPolicy
from hstu_preserve.primitives.threads import start_thread
from hstu_preserve.records.downloads import Snapshot
from tests.hub.faults import ALWAYS, Fault
from tests.hub.local_hub import LocalHub
from tests.patient_threads import start_daemon

NAME = "owner/repository"
API = "GET /api/models"
COMMIT, OTHER = "0" * 40, "1" * 40
ENOUGH_BYTES = 150 * 2**20


def ask(url: str, *, revision: str = "main") -> Snapshot:
    return Hub(endpoint=url).read_snapshot(NAME, revision=revision, policy=RetryPolicy(first_wait_seconds=0.002))


def list_files(number: int) -> bytes:
    file = {"rfilename": "x", "size": 1, "blobId": COMMIT}
    return json.dumps({"sha": COMMIT, "siblings": [file] * number}).encode()


ABSURD_LISTINGS = [
    (b"[" * 200_000 + b"]" * 200_000, "nested too deeply"),
    (b'{"siblings":' * 200_000, "nested too deeply"),
    (b'{"sha":"x","siblings":[' + b"[]," * 500_000 + b"[]]}", "lists more than this program reads"),
    (b"{" + b"1," * 900_000 + b"}", "lists more than this program reads"),
    (list_files(250_000), "larger than"),
    (b" " * (answers.MAX_ANSWER_BYTES + 1), "larger than"),
    (b'{"sha":"' + b"0" * 10_000_000 + b'","siblings":[]}', "listing is none"),
    (b"1" * 5_000_000, "not a Hub's"),
    (b'{"sha":"0","siblings":[{"rfilename":"x","size":' + b"9" * 4000 + b',"blobId":"0"}]}', "listing is none"),
    (b"\xff\xfe" * 1000, "not a Hub's"),
    (b"null", "not a Hub's"),
]
"""Bodies, each with what is said of it."""


@pytest.mark.parametrize(("body", "says"), ABSURD_LISTINGS)
def test_an_absurd_listing_is_refused_within_bounds(body: bytes, says: str, hub: LocalHub) -> None:
    hub.spoil(Fault(pattern=API, status=200, body=body, times=ALWAYS))
    tracemalloc.start()
    began = time.process_time()
    try:
        with pytest.raises(PreserveError) as refused:
            ask(hub.url)
        assert tracemalloc.get_traced_memory()[1] < ENOUGH_BYTES
    finally:
        tracemalloc.stop()
    assert says in str(refused.value)
    assert refused.value.exit_code in {3, 4}
    assert len(str(refused.value)) < 1000
    assert time.process_time() - began < 60


def test_a_refusal_is_read_within_the_same_bounds(hub: LocalHub) -> None:
    hub.spoil(Fault(pattern=API, status=403, body=b"[" * (answers.MAX_ANSWER_BYTES + 1), times=ALWAYS))
    with pytest.raises(UnavailableError, match="larger than"):
        ask(hub.url)


def test_a_large_repository_is_listed(hub: LocalHub) -> None:
    hub.spoil(Fault(pattern=API, status=200, body=list_files(50_000)))
    assert len(ask(hub.url).files) == 50_000


@contextmanager
def serving(send: Callable[[socket.socket], None]) -> Iterator[str]:
    """A server that answers every connection as it likes."""
    with closing(socket.create_server(("127.0.0.1", 0))) as server:

        def work() -> None:
            with suppress(OSError):  # the server is closed
                while True:
                    connection = server.accept()[0]
                    with closing(connection), suppress(OSError):  # the client has had enough
                        connection.recv(65536)
                        send(connection)

        start_daemon(work)
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


def drip(beginning: bytes, piece: bytes) -> Callable[[socket.socket], None]:
    def send(connection: socket.socket) -> None:
        connection.sendall(beginning)
        while True:
            connection.sendall(piece)
            time.sleep(0.01)

    return send


@pytest.mark.parametrize(
    "beginning",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 100000\r\n\r\n",
        b"HTTP/1.1 503 Busy\r\nContent-Length: 100000\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX-Header: ",
        b"",
    ],
    ids=["body", "compressed", "refusal", "one header", "first line"],
)
def test_an_answer_that_comes_by_the_byte_ends(beginning: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answers, "GRACE_SECONDS", 0.3)
    monkeypatch.setattr(answers, "MIN_BYTES_PER_SECOND", 10_000)
    monkeypatch.setattr(constants, "HF_HUB_ETAG_TIMEOUT", 2)
    with serving(drip(beginning, b"1")) as url, pytest.raises(UnavailableError, match=r"too slowly|no whole answer"):
        ask(url)


@pytest.mark.parametrize("beginning", [b"HTTP/1.1 200 OK\r\nX-Header: ", b""], ids=["one header", "first line"])
def test_it_ends_where_the_system_gives_no_thread(beginning: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answers, "start_thread", give_no_thread)
    monkeypatch.setattr(constants, "HF_HUB_ETAG_TIMEOUT", 2)
    ringing = signal.getsignal(signal.SIGALRM)
    with serving(drip(beginning, b"1")) as url, pytest.raises(UnavailableError, match=r"no whole answer after \d+ s"):
        ask(url)
    assert signal.getsignal(signal.SIGALRM) is ringing
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)


def test_an_answer_in_time_needs_no_thread(hub: LocalHub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answers, "start_thread", give_no_thread)
    hub.spoil(Fault(pattern=API, status=200, body=list_files(3)))
    assert len(ask(hub.url).files) == 3


def ask_beside(*, seconds: float) -> list[str]:
    """Return what is answered, or said, to a thread that no alarm can wake."""
    said: list[str] = []

    def work() -> None:
        try:
            said.append(answers.within(lambda: "answered", seconds=seconds, source="owner/repository"))
        except UnavailableError as error:
            said.append(str(error).split(";")[0])

    start_daemon(work).join()
    return said


def test_a_thread_that_cannot_be_woken_waits_for_another_in_vain(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answers, "start_thread", give_no_thread)
    assert ask_beside(seconds=0.2) == ["owner/repository: asking needs another thread, and the system gives none"]


def test_a_thread_that_cannot_be_woken_takes_the_first_that_it_gets(monkeypatch: pytest.MonkeyPatch) -> None:
    start, tries = start_thread, iter([give_no_thread, give_no_thread])
    monkeypatch.setattr(answers, "start_thread", lambda work, *, name: next(tries, start)(work, name=name))
    assert ask_beside(seconds=600) == ["answered"]
    assert next(tries, None) is None


def give_no_thread(work: Callable[[], object], *, name: str) -> None:
    """Do as `start_thread` does at the limit of processes."""


def test_headers_without_end_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_ETAG_TIMEOUT", 60)
    endless = drip(b"HTTP/1.1 200 OK\r\n", b"X-Header: " + b"y" * 10_000 + b"\r\n")
    with serving(endless) as url, pytest.raises(UnavailableError, match="connection failed"):
        ask(url)


@pytest.mark.parametrize("answered", [OTHER, COMMIT[:-1] + "2"])
def test_a_pin_is_kept(answered: str, hub: LocalHub) -> None:
    body = json.dumps({"sha": answered, "siblings": []}).encode()
    hub.spoil(Fault(pattern=API, status=200, body=body, times=ALWAYS))
    with pytest.raises(ContentError, match=f"answers with commit {answered}, another one than was asked for"):
        ask(hub.url, revision=COMMIT)
    assert ask(hub.url, revision="main").commit == answered


@pytest.mark.parametrize("sha", ["main", "", None, COMMIT[:7], COMMIT.upper() + "a"])
def test_what_names_no_commit_is_no_listing(sha: str | None, hub: LocalHub) -> None:
    hub.spoil(Fault(pattern=API, status=200, body=json.dumps({"sha": sha, "siblings": []}).encode(), times=ALWAYS))
    with pytest.raises(PreserveError):
        ask(hub.url, revision=COMMIT)
