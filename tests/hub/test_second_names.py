"""What was fetched appears under a second name whole or not at all, and takes nobody's place."""

import os
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hstu_preserve.errors import UnavailableError
from hstu_preserve.hub.cache import Cache
from hstu_preserve.hub.disk_space import are_on_one_disk
from hstu_preserve.hub.repository import Hub
from hstu_preserve.hub.second_names import give, give_new
from hstu_preserve.library.repository import Repository
from hstu_preserve.library.vouching import NOTHING
from hstu_preserve.library.wanted import Job
from hstu_preserve.primitives.digests import sha256_of_bytes
from hstu_preserve.records.downloads import DigestKind, PublishedFile, Snapshot
from hstu_preserve.verbs.download import require_room
from tests.patient_threads import patiently

CONTENT = bytes(range(256)) * 9000
SHA256 = sha256_of_bytes(CONTENT)
MEMORY = Path("/dev/shm")


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "cache" / "object"
    path.parent.mkdir()
    path.write_bytes(CONTENT)
    return path


@pytest.fixture
def other_disk(tmp_path: Path) -> Iterator[Path]:
    if not MEMORY.is_dir() or are_on_one_disk(MEMORY, tmp_path):
        pytest.skip("no second disk here")
    with tempfile.TemporaryDirectory(dir=MEMORY) as folder:
        yield Path(folder)


@pytest.fixture
def without_links(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(os, "link", refuse)


def list_names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


GIVERS: list[Callable[..., object]] = [give, give_new]


@pytest.mark.parametrize("give_any", GIVERS)
def test_on_the_same_disk_it_is_a_link(give_any: Callable[..., object], source: Path, tmp_path: Path) -> None:
    give_any(source, tmp_path / "out" / "name", sha256=SHA256)
    assert (tmp_path / "out" / "name").samefile(source)
    assert list_names(tmp_path / "out") == ["name"]


@pytest.mark.parametrize("give_any", GIVERS)
def test_on_another_disk_it_is_a_copy(give_any: Callable[..., object], source: Path, other_disk: Path) -> None:
    give_any(source, other_disk / "out" / "name", sha256=SHA256)
    assert (other_disk / "out" / "name").read_bytes() == CONTENT
    assert list_names(other_disk / "out") == ["name"]


@pytest.mark.usefixtures("without_links")
@pytest.mark.parametrize("give_any", GIVERS)
def test_a_disk_without_links_has_a_copy(give_any: Callable[..., object], source: Path, tmp_path: Path) -> None:
    give_any(source, tmp_path / "out" / "name", sha256=SHA256)
    assert (tmp_path / "out" / "name").read_bytes() == CONTENT
    assert list_names(tmp_path / "out") == ["name"]


@pytest.mark.parametrize("give_any", GIVERS)
def test_a_copy_that_is_not_what_was_copied_gets_no_name(
    give_any: Callable[..., object], source: Path, other_disk: Path
) -> None:
    with pytest.raises(UnavailableError, match=r"the copy of .* differs"):
        give_any(source, other_disk / "name", sha256="0" * 64)
    assert list_names(other_disk) == []


def test_a_name_of_the_cache_is_replaced(source: Path, tmp_path: Path) -> None:
    (tmp_path / "name").write_bytes(b"old")
    give(source, tmp_path / "name", sha256=SHA256)
    assert (tmp_path / "name").read_bytes() == CONTENT


TAKEN: dict[str, Callable[[Path], object]] = {
    "a file": lambda path: path.write_bytes(b"mine"),
    "a folder": lambda path: path.mkdir(),
    "a link to nothing": lambda path: path.symlink_to("nowhere"),
}


@pytest.mark.parametrize("taken", TAKEN)
@pytest.mark.parametrize("disk", ["tmp_path", "other_disk", "without_links"])
def test_a_name_of_the_user_is_never_taken(
    taken: str, disk: str, source: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    destination = (request.getfixturevalue(disk) or tmp_path) / "name"
    TAKEN[taken](destination)
    before = destination.lstat()
    assert not give_new(source, destination, sha256=SHA256)
    assert destination.lstat() == before
    assert list_names(destination.parent) == [*(["cache"] if disk != "other_disk" else []), "name"]


def test_of_several_at_once_one_takes_the_name(source: Path, other_disk: Path) -> None:
    won: list[bool] = []
    threads = [
        threading.Thread(target=lambda: won.append(give_new(source, other_disk / "name", sha256=SHA256)))
        for _ in range(8)
    ]
    for thread in threads:
        patiently(thread.start)
    for thread in threads:
        thread.join()
    assert sorted(won) == [False] * 7 + [True]
    assert (other_disk / "name").read_bytes() == CONTENT
    assert list_names(other_disk) == ["name"]


def test_room_is_looked_for_on_the_disk_that_copies_go_to(other_disk: Path, tmp_path: Path) -> None:
    file = PublishedFile(path="huge.bin", size=2**50, etag="0" * 64, kind=DigestKind.SHA256)
    snapshot = Snapshot(repository="owner/repository", commit="0" * 40, files=(file,))
    published = Repository(snapshot=snapshot, hub=Hub(), cache=Cache(tmp_path))
    jobs = [Job(target="huge.bin", file=file, expected=NOTHING)]
    require_room(jobs, missing=0, output=tmp_path / "out", repository=published)
    with pytest.raises(UnavailableError, match=f"{other_disk}.*--output-dir"):
        require_room(jobs, missing=0, output=other_disk / "out", repository=published)
    (other_disk / "out").mkdir()
    (other_disk / "out" / "huge.bin").touch()
    require_room(jobs, missing=0, output=other_disk / "out", repository=published)


def test_hashing_what_is_here_ends_when_the_work_is_stopped(source: Path, other_disk: Path) -> None:
    def stop() -> None:
        raise UnavailableError("stopped")

    with pytest.raises(UnavailableError, match="stopped"):
        give_new(source, other_disk / "name", sha256=SHA256, heed=stop)
    assert list_names(other_disk) == []
