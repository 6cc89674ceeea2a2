import os
from pathlib import Path

import pytest

from hstu_preserve.errors import MissingPathError, UnavailableError, UsageError
from hstu_preserve.primitives.digests import sha256_of_bytes, sha256_of_file
from hstu_preserve.primitives.files import atomic_writer, current_umask, read_bytes, write_atomically


class PlugPulledError(Exception):
    """Something that is not ours to catch."""


def list_names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


def test_content_appears_at_the_end_and_only_there(tmp_path: Path) -> None:
    with atomic_writer(tmp_path / "sub" / "file") as stream:
        stream.write(b"content")
        assert not (tmp_path / "sub" / "file").exists()
    assert read_bytes(tmp_path / "sub" / "file") == b"content"
    assert list_names(tmp_path / "sub") == ["file"]


@pytest.mark.parametrize("error", [PlugPulledError, KeyboardInterrupt, OSError])
def test_a_failure_leaves_the_old_content_and_nothing_else(tmp_path: Path, error: type[BaseException]) -> None:
    path = tmp_path / "file"
    write_atomically(path, b"old")

    def write_half() -> None:
        with atomic_writer(path) as stream:
            stream.write(b"new")
            raise error

    with pytest.raises((error, UnavailableError)):
        write_half()
    assert read_bytes(path) == b"old"
    assert list_names(tmp_path) == ["file"]


def test_the_mode_follows_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        write_atomically(tmp_path / "file", b"")
        assert current_umask() == 0o027
    finally:
        os.umask(before)
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o640


def test_a_full_disk_and_a_place_that_cannot_be_written_are_unavailable(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(UnavailableError, match="cannot be written"):
        write_atomically(tmp_path / "file" / "below", b"")
    (tmp_path / "folder").mkdir()
    with pytest.raises(UnavailableError, match="folder: cannot be written"):
        write_atomically(tmp_path / "folder", b"")
    with (
        pytest.raises(UnavailableError, match="No space left"),
        atomic_writer(tmp_path / "new"),
        open("/dev/full", "wb", buffering=0) as full,  # noqa: PTH123 - a device, not a path of ours
    ):
        full.write(b"x")
    assert list_names(tmp_path) == ["file", "folder"]


def test_missing_and_unreadable_files_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(MissingPathError, match="no such file"):
        read_bytes(tmp_path / "absent")
    with pytest.raises(UsageError, match="a directory, not a file"):
        read_bytes(tmp_path)
    with pytest.raises(UnavailableError, match="cannot be read"):
        read_bytes(Path("/proc/self/mem"))  # its first page is nobody's


def test_a_file_has_the_digest_of_its_bytes(tmp_path: Path) -> None:
    content = os.urandom(300_000)
    write_atomically(tmp_path / "file", content)
    assert sha256_of_file(tmp_path / "file") == sha256_of_bytes(content)
    assert sha256_of_bytes(b"") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
