"""A partial file is brought to the disk while the rest arrives, and a disk that fails is told."""

import errno
import os
from pathlib import Path

import pytest

from hstu_preserve.errors import UnavailableError
from hstu_preserve.hub.partial_files import open_partial


@pytest.fixture
def syncs(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Sync every 10 bytes, and note the size at each."""
    sizes: list[int] = []
    monkeypatch.setattr("hstu_preserve.hub.partial_files.SYNC_EVERY_BYTES", 10)
    monkeypatch.setattr(os, "fsync", lambda descriptor: sizes.append(os.fstat(descriptor).st_size))
    return sizes


def test_what_arrived_is_made_durable_before_the_end(syncs: list[int], tmp_path: Path) -> None:
    with open_partial(tmp_path / "x.part") as part:
        for _ in range(4):
            part.append(b"12345")
    assert syncs
    assert syncs[0] in {10, 15, 20}


def test_the_end_is_always_made_durable(syncs: list[int], tmp_path: Path) -> None:
    with open_partial(tmp_path / "x.part") as part:
        part.append(b"1234567")
        part.move_to(tmp_path / "x")
    assert syncs == [7]
    assert (tmp_path / "x").read_bytes() == b"1234567"


def test_a_disk_that_fails_in_between_is_told_at_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    failures = [OSError(errno.EIO, "Input/output error")]  # the system tells of it once

    def fail_once(descriptor: int) -> None:
        if failures:
            raise failures.pop()

    monkeypatch.setattr("hstu_preserve.hub.partial_files.SYNC_EVERY_BYTES", 10)
    monkeypatch.setattr(os, "fsync", fail_once)
    with open_partial(tmp_path / "x.part") as part:
        part.append(b"12345678901")
        with pytest.raises(UnavailableError, match="Input/output error"):
            part.move_to(tmp_path / "x")
    assert not (tmp_path / "x").exists()
