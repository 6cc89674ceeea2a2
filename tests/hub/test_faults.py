"""Everything that goes wrong on the way ends in the right file or in a clear error; never in a wrong file."""

import hashlib
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from hstu_preserve.errors import ContentError, PreserveError, UnavailableError, UnreachableError, UsageError
from hstu_preserve.hub import partial_files
from hstu_preserve.hub.cache import Cache
from hstu_preserve.hub.partial_files import PartRecord
from hstu_preserve.hub.repository import Hub
from hstu_preserve.hub.retries import RetryPolicy
from hstu_preserve.library.fetching import fetch_file
from hstu_preserve.library.repository import Repository
from hstu_preserve.library.vouching import Expectation
from hstu_preserve.primitives.voice import Voice
from hstu_preserve.records.downloads import DigestKind, KnownDigest
from tests.hub.faults import ALWAYS, Fault
from tests.hub.local_hub import LocalHub, User
from tests.patient_threads import patiently

REPOSITORY = "owner/repository"
BUNDLE = hashlib.shake_128(b"some weights").digest(1_000_000)
NOTES = b"notes outside LFS\n" * 100
TOKEN = "hf_secret"
NAME, NOTES_NAME = "bundle.tar.gz", "notes.md"
POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 1000000\n"

API, HEAD, STORAGE = "GET /api/models", "HEAD /owner/repository/resolve", "GET /lfs"


@dataclass(kw_only=True)
class Reader:
    """What reads from the hub, with a folder and a token of its own."""

    hub: LocalHub
    folder: Path
    token: str | None = None

    def open(self, *, revision: str = "main", **patience: float) -> Repository:
        policy = RetryPolicy(**{"first_wait_seconds": 0.002, **patience})  # type: ignore[arg-type]
        client = Hub(endpoint=self.hub.url, token=self.token)
        snapshot = client.read_snapshot(REPOSITORY, revision=revision, policy=policy)
        return Repository(snapshot=snapshot, hub=client, cache=Cache(self.folder), policy=policy)

    def obtain(self, name: str = NAME, *, published: Repository | None = None, md5: str | None = None) -> bytes:
        published = published or self.open()
        file = published.snapshot.find(name)
        assert file is not None
        listed = [KnownDigest(kind=DigestKind.MD5, hex=md5, source="a list")] if md5 else []
        return fetch_file(file, repository=published, expected=Expectation(listed=tuple(listed))).path.read_bytes()

    @property
    def parts(self) -> dict[str, int]:
        return {path.name: path.stat().st_size for path in (self.folder / "parts").glob("*.part")}

    def require_no_wrong_bytes(self) -> None:
        for path in (self.folder / "objects").glob("*"):
            assert hashlib.sha256(path.read_bytes()).hexdigest() == path.name
        contents = {path.read_bytes() for path in self.folder.rglob("files/**/*") if path.is_file()}
        assert contents <= {BUNDLE, NOTES}


@pytest.fixture
def reader(hub: LocalHub, tmp_path: Path) -> Iterator[Reader]:
    """Signed in, so that whatever goes wrong shows where the token goes."""
    hub.add(REPOSITORY, {NAME: BUNDLE, NOTES_NAME: NOTES})
    hub.users[TOKEN] = User(name="owner")
    yield Reader(hub=hub, folder=tmp_path / "cache", token=TOKEN)
    assert hub.leaks == []
    from_storage = [one.headers for one in hub.requests if one.origin == "storage"]
    assert not any(TOKEN in str(headers) for headers in from_storage)


def cut_then(**fault: object) -> list[Fault]:
    """The connection breaks in the middle; the request for the rest meets the fault."""
    return [Fault(pattern=STORAGE, cut_at=400_000), Fault(pattern=STORAGE, **fault)]  # type: ignore[arg-type]


HARMLESS: dict[str, list[Fault]] = {
    "nothing": [],
    "connection cut once": [Fault(pattern=STORAGE, cut_at=400_000)],
    "connection cut again and again": [Fault(pattern=STORAGE, cut_at=n * 100_000) for n in range(1, 9)],
    "connection cut before the first byte": [Fault(pattern=STORAGE, cut_at=0)],
    "one bit flipped once": [Fault(pattern=STORAGE, flip_at=777_777)],
    "no answer from storage once": [Fault(pattern=STORAGE, is_dropped=True)],
    "no answer from the Hub once": [Fault(pattern=HEAD, is_dropped=True), Fault(pattern=API, is_dropped=True)],
    "range ignored": cut_then(is_range_ignored=True),
    "200 with a part's bytes": cut_then(range_status=200),
    "206 without a range": [Fault(pattern=STORAGE, status=206, body=BUNDLE)],
    "wrong Content-Range": cut_then(headers={"Content-Range": "bytes 5-999999/1000000"}),
    "Content-Range of another size": cut_then(headers={"Content-Range": "bytes 400000-999999/2000000"}),
    "no Content-Range": cut_then(headers={"Content-Range": "nonsense"}),
    "416": cut_then(status=416),
    "ETag changed, condition kept": cut_then(headers={"ETag": '"another"'}),
    "ETag changed, condition ignored": cut_then(headers={"ETag": '"another"'}, is_condition_ignored=True),
    "weak ETag": [Fault(pattern=STORAGE, cut_at=400_000, headers={"ETag": 'W/"weak"'})],
    "401 from storage once": [Fault(pattern=STORAGE, status=401)],
    "expired address once": [Fault(pattern=STORAGE, status=403)],
    "expired address in the middle": cut_then(status=403),
    "404 from storage once": [Fault(pattern=STORAGE, status=404)],
    "412": cut_then(status=412),
    "429 without Retry-After": [Fault(pattern=one, status=429) for one in (API, HEAD, STORAGE)],
    "503 once everywhere": [Fault(pattern=one, status=503) for one in (API, HEAD, STORAGE)],
    "502 four times": [Fault(pattern=STORAGE, status=502, times=4)],
    "LFS pointer once": [Fault(pattern=STORAGE, body=POINTER)],
    "gzip content-encoding once": [Fault(pattern=STORAGE, headers={"Content-Encoding": "gzip"})],
    "more bytes than listed once": [Fault(pattern=STORAGE, body=BUNDLE + b"more")],
    "fewer bytes than listed once": [Fault(pattern=STORAGE, body=BUNDLE[:-1])],
}


@pytest.mark.parametrize("fault", HARMLESS)
def test_what_passes_ends_in_the_right_file(fault: str, hub: LocalHub, reader: Reader) -> None:
    hub.faults += HARMLESS[fault]
    assert reader.obtain() == BUNDLE
    assert not any(one.times for one in HARMLESS[fault]), "the fault was never met"
    assert reader.parts == {}
    reader.require_no_wrong_bytes()


@dataclass(frozen=True, kw_only=True)
class Fatal:
    """What does not pass: what is said, and the error that decides the exit code."""

    fault: Fault
    error: type[PreserveError]
    says: str
    kept: int = 0


def always(pattern: str, **fault: object) -> Fault:
    return Fault(pattern=pattern, times=ALWAYS, **fault)  # type: ignore[arg-type]


FATAL: dict[str, Fatal] = {
    "connection always cut at the same place": Fatal(
        fault=always(STORAGE, cut_at=400_000), error=UnavailableError, says="5 attempts", kept=400_000
    ),
    "one bit always flipped": Fatal(fault=always(STORAGE, flip_at=9), error=ContentError, says="sha256 differs"),
    "storage never answers": Fatal(fault=always(STORAGE, is_dropped=True), error=UnavailableError, says="5 attempts"),
    "the Hub never answers": Fatal(fault=always(API, is_dropped=True), error=UnavailableError, says="5 attempts"),
    "416 always": Fatal(fault=always(STORAGE, status=416), error=UnavailableError, says="416"),
    "401 from the Hub": Fatal(fault=always(HEAD, status=401), error=UnavailableError, says="HF_TOKEN"),
    "403 from the Hub": Fatal(fault=always(HEAD, status=403), error=UnavailableError, says="access denied"),
    "403 from storage always": Fatal(fault=always(STORAGE, status=403), error=UnavailableError, says="access denied"),
    "404 from the Hub": Fatal(
        fault=always(HEAD, status=404, headers={"X-Error-Code": "EntryNotFound"}),
        error=UnavailableError,
        says="no such file",
    ),
    "404 from storage always": Fatal(fault=always(STORAGE, status=404), error=UnavailableError, says="not found"),
    "no such repository": Fatal(
        fault=always(API, status=401, headers={"X-Error-Code": "RepoNotFound"}),
        error=UnavailableError,
        says="no such repository, or a private one",
    ),
    "gated": Fatal(
        fault=always(HEAD, status=403, headers={"X-Error-Code": "GatedRepo"}), error=UnavailableError, says="gated"
    ),
    "412 always": Fatal(fault=always(STORAGE, status=412), error=UnavailableError, says="412"),
    "418": Fatal(fault=always(STORAGE, status=418), error=UnavailableError, says="418"),
    "429 for an hour": Fatal(
        fault=always(STORAGE, status=429, headers={"Retry-After": "3600"}), error=UnavailableError, says="3600 s"
    ),
    "503 always": Fatal(fault=always(STORAGE, status=503), error=UnavailableError, says="answers 503"),
    "503 from the Hub always": Fatal(fault=always(HEAD, status=503), error=UnavailableError, says="answers 503"),
    "LFS pointer always": Fatal(fault=always(STORAGE, body=POINTER), error=ContentError, says="LFS pointer"),
    "gzip content-encoding always": Fatal(
        fault=always(STORAGE, headers={"Content-Encoding": "gzip"}), error=UnavailableError, says="sent as gzip"
    ),
    "another file of the same size": Fatal(
        fault=always(STORAGE, body=bytes(len(BUNDLE))), error=ContentError, says="the Hub's metadata"
    ),
    "an answer that is not the Hub's": Fatal(
        fault=always(API, status=200, body=b"<html>Welcome to this hotel</html>"),
        error=UnavailableError,
        says="not a Hub's",
    ),
    "a listing that is none": Fatal(
        fault=always(API, status=200, body=b'{"id": "owner/repository", "sha": "short", "siblings": []}'),
        error=ContentError,
        says="commit",
    ),
    "a listing of another shape": Fatal(
        fault=always(API, status=200, body=b"[1, 2]"), error=UnavailableError, says="not a Hub's"
    ),
    "redirects without end": Fatal(
        fault=always(STORAGE, status=302, headers={"Location": "/lfs/round"}), error=UnavailableError, says="redirects"
    ),
    **{
        f"{where} names {location}": Fatal(
            fault=always(pattern, status=status, headers={"Location": location}),
            error=UnavailableError,
            says="5 attempts" if "99999" not in location else "5 attempts|cannot be reached",  # as the system has it
        )
        for location in ("http://[bad", "http://127.0.0.1:99999/x", "ftp://127.0.0.1/x", "http://\x7f/")
        for where, pattern, status in (("storage", STORAGE, 302), ("the Hub", HEAD, None))
    },
    "the Hub names another content than it listed": Fatal(
        fault=always(HEAD, headers={"X-Linked-Etag": '"' + "a" * 64 + '"'}), error=ContentError, says="listed at commit"
    ),
    "the Hub names another commit": Fatal(
        fault=always(HEAD, headers={"X-Repo-Commit": "b" * 40}), error=ContentError, says="listed at commit"
    ),
}


@pytest.mark.parametrize("fault", FATAL)
def test_what_does_not_pass_is_an_error_and_no_file(fault: str, hub: LocalHub, reader: Reader) -> None:
    case = FATAL[fault]
    hub.spoil(case.fault)
    with pytest.raises(case.error, match=case.says):
        reader.obtain()
    assert sum(reader.parts.values()) == case.kept
    assert list((reader.folder / "objects").glob("*")) == []
    reader.require_no_wrong_bytes()


def test_a_hub_that_is_not_there_is_told_apart_from_one_that_stumbles(hub: LocalHub) -> None:
    policy = RetryPolicy(first_wait_seconds=0.002)
    with pytest.raises(UnreachableError, match="cannot be reached"):
        Hub(endpoint="http://127.0.0.1:9").read_snapshot(REPOSITORY, revision="main", policy=policy)
    hub.spoil(always(API, status=503))
    with pytest.raises(UnavailableError) as caught:
        Hub(endpoint=hub.url).read_snapshot(REPOSITORY, revision="main", policy=policy)
    assert not isinstance(caught.value, UnreachableError)


def test_after_a_cut_only_the_rest_is_asked_for(hub: LocalHub, reader: Reader) -> None:
    hub.spoil(Fault(pattern=STORAGE, cut_at=400_000))
    reader.obtain()
    assert hub.count_sent(STORAGE) == len(BUNDLE)
    ranges = [one.headers.get("Range") for one in hub.requests if one.origin == "storage"]
    assert ranges == [None, "bytes=400000-"]
    assert hub.requests[-1].headers["If-Range"] == f'"{hashlib.sha256(BUNDLE).hexdigest()}"'


def test_the_rest_of_another_content_is_not_taken(hub: LocalHub, reader: Reader) -> None:
    hub.faults += cut_then(headers={"ETag": '"another"'}, is_condition_ignored=True, body=bytes(len(BUNDLE) - 400_000))
    published = reader.open()
    file = published.snapshot.find(NAME)
    assert file is not None
    copy = fetch_file(file, repository=published)
    assert copy.path.read_bytes() == BUNDLE
    assert copy.received == 400_000 + len(BUNDLE)


def test_another_run_continues_where_an_error_ended_the_first(hub: LocalHub, reader: Reader) -> None:
    fault = always(STORAGE, cut_at=400_000)
    hub.spoil(fault)
    with pytest.raises(UnavailableError):
        reader.obtain()
    fault.times = 0
    assert reader.obtain() == BUNDLE
    assert hub.count_sent(STORAGE) == len(BUNDLE)


ENDLESS: dict[str, list[Fault]] = {
    "storage that ignores Range and cuts": [Fault(pattern=STORAGE, cut_at=400_000, is_range_ignored=True, times=50)],
    "storage of many machines, each with an ETag of its own": [
        Fault(pattern=STORAGE, cut_at=400_000, headers={"ETag": f'"machine-{n}"'}) for n in range(50)
    ],
}


@pytest.mark.parametrize("fault", ENDLESS)
def test_bytes_that_were_here_before_are_no_progress(fault: str, hub: LocalHub, reader: Reader) -> None:
    hub.faults += ENDLESS[fault]
    with pytest.raises(UnavailableError, match="5 attempts"):
        reader.obtain()
    assert sum(one.origin == "storage" for one in hub.requests) == 5


def test_a_machine_that_ignores_ranges_but_comes_further_each_time_is_followed(hub: LocalHub, reader: Reader) -> None:
    hub.faults += [Fault(pattern=STORAGE, cut_at=n * 100_000, is_range_ignored=True) for n in range(1, 9)]
    assert reader.obtain() == BUNDLE


def test_an_expired_address_is_asked_for_anew(hub: LocalHub, reader: Reader) -> None:
    hub.spoil(Fault(pattern=STORAGE, status=403))
    reader.obtain()
    assert [one.method for one in hub.requests if "/resolve/" in one.path] == ["HEAD", "HEAD"]


def test_retry_after_is_kept(hub: LocalHub, reader: Reader) -> None:
    hub.spoil(Fault(pattern=STORAGE, status=429, headers={"Retry-After": "1"}))
    begin = time.monotonic()
    assert reader.obtain() == BUNDLE
    assert time.monotonic() - begin >= 1


def test_a_branch_that_moves_between_files_changes_nothing(hub: LocalHub, reader: Reader) -> None:
    published = reader.open()
    assert reader.obtain(NOTES_NAME, published=published) == NOTES
    hub.add(REPOSITORY, {NAME: b"another bundle", NOTES_NAME: b"other notes"})
    assert reader.obtain(published=published) == BUNDLE
    assert reader.open().snapshot.commit != published.snapshot.commit


def test_a_revision_that_is_not_there_is_named(reader: Reader) -> None:
    with pytest.raises(UnavailableError, match="no such revision"):
        reader.open(revision="v9")


def test_a_name_that_no_repository_has_is_a_usage_error(hub: LocalHub) -> None:
    with pytest.raises(UsageError):
        Hub(endpoint=hub.url).read_snapshot("a/../b", revision="main", policy=RetryPolicy())


def test_what_is_here_is_not_fetched_again_under_whatever_commit(hub: LocalHub, reader: Reader) -> None:
    reader.obtain()
    hub.add(REPOSITORY, {"unrelated.txt": b"x"})
    assert reader.obtain() == BUNDLE
    assert hub.count_sent(STORAGE) == len(BUNDLE)


@pytest.mark.parametrize("left", [bytes(len(BUNDLE)), BUNDLE[:400_000], b""], ids=["other bytes", "short", "empty"])
def test_what_was_damaged_here_is_fetched_again(left: bytes, hub: LocalHub, reader: Reader) -> None:
    reader.obtain()
    for path in reader.folder.rglob("*"):
        if path.is_file() and path.stat().st_size == len(BUNDLE):
            path.chmod(0o644)
            path.write_bytes(left)
    assert reader.obtain() == BUNDLE
    assert hub.count_sent(STORAGE) == 2 * len(BUNDLE)


def test_the_list_of_the_repository_is_compared_with(hub: LocalHub, reader: Reader) -> None:
    assert reader.obtain(md5=hashlib.md5(BUNDLE, usedforsecurity=False).hexdigest()) == BUNDLE


def test_a_file_that_the_list_describes_differently_is_refused_without_fetching_it_twice(
    hub: LocalHub, reader: Reader
) -> None:
    with pytest.raises(ContentError, match="md5 differs"):
        reader.obtain(md5="0" * 32)
    assert hub.count_sent(STORAGE) == len(BUNDLE)
    assert sum(reader.parts.values()) == 0


def test_a_file_outside_lfs_is_compared_with_its_git_blob(hub: LocalHub, reader: Reader) -> None:
    hub.spoil(always("GET .*/resolve/.*notes", flip_at=3))
    with pytest.raises(ContentError, match="git-blob differs"):
        reader.obtain(NOTES_NAME)


def test_an_empty_file_is_a_file(hub: LocalHub, reader: Reader) -> None:
    hub.add(REPOSITORY, {"empty.md": b""})
    assert reader.obtain("empty.md") == b""


@pytest.mark.parametrize("name", ["../outside.tar.gz", "/etc/passwd.tar.gz", "a/../../b.tar.gz", "nul.tar.gz"])
def test_a_name_that_leads_elsewhere_is_refused(name: str, hub: LocalHub, reader: Reader) -> None:
    hub.add(REPOSITORY, {name: BUNDLE})
    with pytest.raises(ContentError, match="unsafe name"):
        reader.obtain(name)
    assert hub.count_sent(STORAGE) == 0


STALE: dict[str, Callable[[PartRecord], tuple[bytes, bytes | None]]] = {
    "other bytes": lambda record: (b"stale" * 1000, record.to_json()),
    "whole, but other bytes": lambda record: (bytes(len(BUNDLE)), record.to_json()),
    "too long": lambda record: (BUNDLE + b"more", record.to_json()),
    "of another file": lambda record: (b"x" * 5000, record.model_copy(update={"etag": "0" * 64}).to_json()),
    "of another size": lambda record: (BUNDLE[:5000], record.model_copy(update={"size": 7}).to_json()),
    "of another storage ETag": lambda record: (
        BUNDLE[:5000],
        record.model_copy(update={"storage_etag": '"x"'}).to_json(),
    ),
    "without a record": lambda record: (BUNDLE[:5000], None),
    "with a damaged record": lambda record: (BUNDLE[:5000], record.to_json()[:-9]),
}


@pytest.mark.parametrize("stale", STALE)
def test_a_stale_part_never_becomes_a_file(stale: str, reader: Reader) -> None:
    published = reader.open()
    file = published.snapshot.find(NAME)
    assert file is not None
    record = PartRecord(
        repository=REPOSITORY,
        path=NAME,
        commit=published.snapshot.commit,
        etag=file.etag,
        size=file.size,
        storage_etag=f'"{file.etag}"',
    )
    content, described = STALE[stale](record)
    parts = reader.folder / "parts"
    parts.mkdir(parents=True)
    (parts / f"{file.etag}.part").write_bytes(content)
    if described is not None:
        (parts / f"{file.etag}.json").write_bytes(described)
    assert reader.obtain() == BUNDLE
    reader.require_no_wrong_bytes()


def test_who_comes_second_waits_and_takes_what_the_first_fetched(hub: LocalHub, reader: Reader) -> None:
    is_second_waiting = threading.Event()
    hub.spoil(Fault(pattern=STORAGE, until=is_second_waiting))
    second = reader.open()
    said: list[str] = []

    def hear(line: str) -> None:
        said.append(line)
        is_second_waiting.set()

    second.voice = Voice(say=hear)
    first = threading.Thread(target=reader.obtain)
    patiently(first.start)
    while not reader.parts:
        time.sleep(0.01)
    assert reader.obtain(published=second) == BUNDLE
    first.join()
    assert [line.partition(": ")[2] for line in said] == ["another process is fetching this file; waiting for it"]
    assert hub.count_sent(STORAGE) == len(BUNDLE)
    assert reader.parts == {}


@pytest.fixture
def held(reader: Reader) -> Iterator[Repository]:
    """A process that holds the bundle's part and receives nothing."""
    published = reader.open()
    file = published.snapshot.find(NAME)
    assert file is not None
    with published.cache.open_part(file, pause=published.policy.pause, voice=published.voice):
        yield published


def test_who_receives_nothing_is_not_waited_for_without_end(
    reader: Reader, held: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hstu_preserve.hub.partial_files.MAX_IDLE_SECONDS", 0.3)
    with pytest.raises(UnavailableError, match="another process holds this file"):
        reader.obtain(published=held)


def test_waiting_ends_when_the_work_is_stopped(reader: Reader, held: Repository) -> None:
    patiently(threading.Timer(0.2, held.policy.stop.set).start)
    with pytest.raises(UnavailableError, match="stopped"):
        reader.obtain(published=held)


def test_a_part_that_becomes_a_file_before_it_is_locked_is_left_alone(
    hub: LocalHub, reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    take_lock, is_open, is_whole = partial_files.take_lock, threading.Event(), threading.Event()

    def take_lock_late(descriptor: int) -> bool:
        if threading.current_thread().name == "late":
            is_open.set()
            assert is_whole.wait(600)
        return take_lock(descriptor)

    monkeypatch.setattr(partial_files, "take_lock", take_lock_late)
    late = threading.Thread(target=reader.obtain, name="late")
    patiently(late.start)
    assert is_open.wait(600)
    assert reader.obtain() == BUNDLE
    hub.spoil(Fault(pattern=STORAGE, flip_at=5, times=2))  # what a second fetch would put into the finished file
    is_whole.set()
    late.join()
    reader.require_no_wrong_bytes()
    assert hub.count_sent(STORAGE) == len(BUNDLE)


class TestTokens:
    @pytest.fixture
    def signed_in(self, hub: LocalHub, reader: Reader) -> Reader:
        hub.repositories[REPOSITORY].is_private = True
        return reader

    def test_it_opens_what_is_private(self, signed_in: Reader) -> None:
        assert signed_in.obtain() == BUNDLE
        assert signed_in.obtain(NOTES_NAME) == NOTES

    def test_it_never_reaches_the_storage(self, hub: LocalHub, signed_in: Reader) -> None:
        hub.spoil(Fault(pattern=STORAGE, cut_at=10))
        hub.spoil(Fault(pattern=STORAGE, status=403))
        signed_in.obtain()
        assert [one for one in hub.requests if one.origin == "storage"]
        assert hub.leaks == []

    def test_it_does_not_follow_a_redirect_to_another_host(self, hub: LocalHub, signed_in: Reader) -> None:
        hub.add(REPOSITORY, {"same.bin": NOTES})
        digest = hashlib.sha256(NOTES).hexdigest()
        address = f"{hub.storage_url}/lfs/{digest}?signature={hub.sign(digest)}"
        hub.spoil(Fault(pattern="GET .*/resolve/.*notes", status=302, headers={"Location": address}))
        assert signed_in.obtain(NOTES_NAME) == NOTES
        assert [one.origin for one in hub.requests if one.method == "GET"][-1] == "storage"
        assert hub.leaks == []

    def test_a_wrong_one_is_said_to_be_wrong_and_not_shown(self, signed_in: Reader) -> None:
        signed_in.token = "hf_wrong"
        with pytest.raises(UnavailableError, match="HF_TOKEN") as caught:
            signed_in.obtain()
        assert "hf_wrong" not in str(caught.value)
