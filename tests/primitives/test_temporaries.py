"""Unfinished files and folders: what killed writers left is cleared, nothing else is, and nothing is written over."""

import errno
import fcntl
import os
from pathlib import Path

import pytest

from hstu_preserve.errors import UnavailableError, UsageError
from hstu_preserve.primitives.files import atomic_writer, new_file_writer, write_atomically, write_new
from hstu_preserve.primitives.temporaries import MARK, draw_temporary, list_leftovers
from hstu_preserve.primitives.temporary_folders import list_abandoned_scratch_folders, scratch_folder
from hstu_preserve.verbs.doctor import doctor

NAMES = ["x", "a name with blanks", "ключ", "文" * 80, "n" * 240, "\udcff\udcfe"]


@pytest.mark.parametrize("name", NAMES, ids=lambda name: ascii(name[:10]))
def test_what_a_killed_writer_left_is_cleared_by_the_next(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    draw_temporary(path).write_bytes(b"half")
    draw_temporary(path).mkdir()
    write_atomically(path, b"whole")
    assert path.read_bytes() == b"whole"
    assert [one.name for one in tmp_path.iterdir() if one.name.endswith(MARK) and one.is_file()] == []


@pytest.mark.parametrize(
    "name",
    [
        ".x.abcdefgh.tmp",
        f".x.mine{MARK}",
        f".x.ABCDEF01{MARK}",
        f".y.abcdef01{MARK}",
        f"x.abcdef01{MARK}",
        ".x.swp",
        f".x.notes.abcdef01{MARK}",
    ],
)
def test_what_is_not_this_program_s_stays(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text("precious")
    write_atomically(tmp_path / "x", b"whole")
    assert (tmp_path / name).read_text() == "precious"


def test_what_a_living_writer_writes_stays(tmp_path: Path) -> None:
    with atomic_writer(tmp_path / "x") as stream:
        stream.write(b"first")
        write_atomically(tmp_path / "x", b"second")
        assert len(list_leftovers(tmp_path / "x")) == 1
    assert (tmp_path / "x").read_bytes() == b"first", "the last one that replaces it"


def refuse_links(source: object, destination: object) -> None:
    raise OSError(errno.EPERM, os.strerror(errno.EPERM))


@pytest.mark.parametrize("has_links", [True, False], ids=["links", "no links"])
def test_a_new_file_replaces_nothing(has_links: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if not has_links:
        monkeypatch.setattr(os, "link", refuse_links)
    path = tmp_path / "x"

    def write_second() -> None:
        with new_file_writer(path) as stream:
            stream.write(b"second")
            write_new(path, b"first")

    with pytest.raises(UsageError, match="x: came into being meanwhile; nothing was written over it"):
        write_second()
    assert [(one.name, one.read_bytes()) for one in tmp_path.iterdir()] == [("x", b"first")]
    assert path.stat().st_mode & 0o777 == 0o666 & ~get_umask()


def get_umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def test_a_writer_on_a_file_system_without_locks_clears_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", refuse)
    draw_temporary(tmp_path / "x").write_bytes(b"half, or being written")
    write_atomically(tmp_path / "x", b"whole")
    assert len(list_leftovers(tmp_path / "x")) == 1


@pytest.mark.parametrize("place", ["absent", "file", "file/below", "/proc"])
def test_a_folder_for_temporary_files_that_cannot_be_used_is_named(
    place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("TMPDIR", str(tmp_path / place))
    with (
        pytest.raises(UnavailableError, match=r"TMPDIR=.*: cannot be written \(.*\); name a folder with room"),
        scratch_folder(),
    ):
        pass
    named = {one.name: one for one in doctor().capabilities}["room for unpacked bundles"]
    assert (named.is_available, "TMPDIR" in named.detail) == (False, True)


def test_a_folder_for_temporary_files_that_is_full_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))

    def fill() -> None:
        with scratch_folder() as folder:
            raise UnavailableError(f"{folder}/ckpts/x: cannot be written (No space left on device)")

    with pytest.raises(UnavailableError, match=r"No space left on device\); name a folder with room .* in TMPDIR"):
        fill()
    assert list(tmp_path.iterdir()) == []


def test_the_doctor_names_what_killed_commands_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    with scratch_folder() as living:
        left = [living.with_name(f".hstu-preserve.{digits * 8}{MARK}") for digits in "ab"]
        for folder in left:
            folder.mkdir()
        (tmp_path / "hstu-preserve-notes").mkdir()
        assert sorted(list_abandoned_scratch_folders()) == left
        named = {one.name: one for one in doctor().capabilities}["room for unpacked bundles"]
        assert named.is_available
        assert named.advice == f"left by commands that were killed, and not needed: rm -r {left[0]} {left[1]}"
    assert all(folder.exists() for folder in left), "the doctor changes nothing"
