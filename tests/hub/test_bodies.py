"""Large bodies are read in large pieces, and broken ones are never taken for whole."""

import hashlib
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from types import SimpleNamespace
from typing import Any

import pytest

from hstu_preserve.errors import UnavailableError
from hstu_preserve.hub.bodies import PIECE_BYTES, SlowBodyError, find_connection, read_body, require_pace
from hstu_preserve.hub.content_digests import CHUNKS_AHEAD, ContentHasher, hashing_behind
from hstu_preserve.hub.remote_stream import read_remote
from hstu_preserve.hub.repository import Answer, Hub
from hstu_preserve.hub.retries import PassingError, RetryPolicy
from tests.hub.faults import ALWAYS, Fault
from tests.hub.local_hub import LocalHub
from tests.patient_threads import patiently

CONTENT = hashlib.shake_128(b"a large body").digest(3_000_000)
CLIENT_PIECE_BYTES = 1 << 16


@contextmanager
def opened(hub: LocalHub, content: bytes) -> Iterator[Answer]:
    hub.add("owner/repository", {"file.bin": content})
    digest = hashlib.sha256(content).hexdigest()
    address = f"{hub.storage_url}/lfs/{digest}?signature={hub.sign(digest)}"
    with Hub(endpoint=hub.url).open(address, headers={}, source="file.bin") as answer:
        yield answer


@pytest.mark.parametrize("size", [0, 1, 100_000, 300_000, 3_000_000])
def test_a_body_of_any_size_arrives_whole(size: int, hub: LocalHub) -> None:
    with opened(hub, CONTENT[:size]) as answer:
        assert b"".join(answer.chunks) == CONTENT[:size]


def test_a_large_body_arrives_in_larger_pieces_than_the_client_reads(hub: LocalHub) -> None:
    with opened(hub, CONTENT) as answer:
        first = next(answer.chunks)
        while sum(one.bytes_sent for one in hub.requests) < 2_000_000:  # the rest waits in the connection
            threading.Event().wait(0.01)
        sizes = [len(first), *map(len, answer.chunks)]
    assert CLIENT_PIECE_BYTES < max(sizes) <= PIECE_BYTES
    assert sum(sizes) == len(CONTENT)


@pytest.mark.parametrize("fault", [{}, {"until": threading.Event()}], ids=["closed", "stalled"])
def test_a_large_body_that_breaks_off_is_no_body(
    fault: dict[str, Any], hub: LocalHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DOWNLOAD_TIMEOUT", 3)
    hub.spoil(Fault(pattern="GET /lfs", cut_at=2_000_000, **fault))
    received: list[int] = []
    with opened(hub, CONTENT) as answer, pytest.raises(PassingError, match="connection failed"):
        received.extend(map(len, answer.chunks))
    assert sum(received) == 2_000_000


def make_response(**changes: Any) -> Any:
    """An answer over a bare connection, as the client gives it."""
    with socket.socket() as connection:
        facts = {"socket": connection, "ssl_object": None}
        stream = SimpleNamespace(get_extra_info=(facts | changes).get)
    response = {"http_version": "HTTP/1.1", "headers": {}, "extensions": {"network_stream": stream}}
    return SimpleNamespace(**(response | changes))


def test_a_bare_connection_is_found() -> None:
    assert find_connection(make_response()) is not None


@pytest.mark.parametrize(
    "changes",
    [
        {"http_version": "HTTP/2"},
        {"headers": {"transfer-encoding": "chunked"}},
        {"extensions": {}},
        {"socket": None},
        {"ssl_object": ssl.create_default_context().wrap_bio(ssl.MemoryBIO(), ssl.MemoryBIO())},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_a_connection_that_wraps_the_body_is_left_to_the_client(changes: dict[str, Any]) -> None:
    assert find_connection(make_response(**changes)) is None


def test_a_body_that_only_the_client_can_read_is_read_by_it() -> None:
    response = make_response(extensions={}, headers={"content-length": "900000"}, iter_raw=lambda: iter([b"x"] * 3))
    assert list(read_body(response, timeout_seconds=1)) == [b"x"] * 3


class TestHashingBehind:
    def test_all_is_hashed_when_the_block_is_left(self) -> None:
        hasher = ContentHasher(size=len(CONTENT), kinds=[])
        with hashing_behind(hasher) as hash_later:
            for at in range(0, len(CONTENT), 100_000):
                hash_later(CONTENT[at : at + 100_000])
        assert list(hasher.digests().values()) == [hashlib.sha256(CONTENT).hexdigest()]

    def test_all_is_hashed_when_an_error_ends_the_block(self) -> None:
        hasher = ContentHasher(size=len(CONTENT), kinds=[])

        def fail() -> None:
            with hashing_behind(hasher) as hash_later:
                hash_later(CONTENT)
                raise PassingError("cut")

        with pytest.raises(PassingError):
            fail()
        assert hasher.position == len(CONTENT)

    def test_no_more_than_a_few_chunks_wait(self) -> None:
        may_go = threading.Event()
        hasher = SimpleNamespace(update=lambda chunk: may_go.wait(600))
        handed_over: list[bytes] = []

        def hand_over() -> None:
            with hashing_behind(hasher) as hash_later:  # type: ignore[arg-type]  # only `update` is called
                for _ in range(3 * CHUNKS_AHEAD):
                    hash_later(b"chunk")
                    handed_over.append(b"chunk")

        worker = threading.Thread(target=hand_over)
        patiently(worker.start)
        while len(handed_over) < CHUNKS_AHEAD:
            may_go.wait(0.01)
        worker.join(0.3)  # for more, if more were taken
        waiting = len(handed_over)
        may_go.set()
        worker.join()
        assert waiting <= CHUNKS_AHEAD + 1
        assert len(handed_over) == 3 * CHUNKS_AHEAD


def arrive(sizes: list[int], *, seconds_each: float, clock: list[float]) -> Iterator[bytes]:
    """Pieces of these sizes, each after a while, on a clock of their own."""
    for size in sizes:
        clock[0] += seconds_each
        yield bytes(size)


@pytest.mark.parametrize(
    ("sizes", "seconds_each", "comes"),
    [
        ([1] * 100, 0.5, 19),  # of ten seconds the last piece is held back
        ([100_000] + [1] * 100, 5.0, 3),  # a quick beginning buys no patience for ever
        ([1280] * 100, 5.0, 100),  # 256 bytes a second are enough
        ([1], 9.0, 1),
        ([100_000] * 3, 60.0, 3),  # the client's own limit is for one wait
    ],
)
def test_a_body_that_drips_is_given_up(
    sizes: list[int], seconds_each: float, comes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [0.0]
    monkeypatch.setattr("hstu_preserve.hub.bodies.time.monotonic", lambda: clock[0])
    received = 0
    is_whole = comes == len(sizes)
    with nullcontext() if is_whole else pytest.raises(SlowBodyError, match="arrives too slowly"):
        for _ in require_pace(arrive(sizes, seconds_each=seconds_each, clock=clock), seconds=10.0):
            received += 1
            clock[0] += 1000.0  # the time that the reader takes is not the server's
    assert received == comes


def test_a_list_that_drips_is_given_up_after_as_many_attempts_as_one_that_brings_nothing(
    hub: LocalHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DOWNLOAD_TIMEOUT", 1)
    hub.add("owner/repository", {"MANIFEST.md": CONTENT[:5000]})
    hub.spoil(Fault(pattern="GET /owner/repository/resolve", bytes_per_second=50, times=ALWAYS))
    policy = RetryPolicy(attempts=3, first_wait_seconds=0.002)
    here = Hub(endpoint=hub.url)
    snapshot = here.read_snapshot("owner/repository", revision="main", policy=policy)
    with pytest.raises(UnavailableError, match=r"arrives too slowly .* gave up after 3 attempts"):
        read_remote(snapshot.files[0], hub=here, snapshot=snapshot, policy=policy)
