"""File systems that refuse to flush a file, or have no modes: what is written there is written all the same."""

import errno
import hashlib
import os
import re
from pathlib import Path

import pytest

from hstu_preserve.errors import UnavailableError
from hstu_preserve.hub.second_names import give_new
from hstu_preserve.primitives.files import write_atomically
from hstu_preserve.primitives.temporary_folders import whole_folder
from hstu_preserve.verbs.keygen import keygen
from hstu_preserve.verbs.unpack import unpack
from hstu_preserve.verbs.verify import verify


@pytest.fixture(params=[errno.EINVAL, errno.ENOTSUP, errno.ENOSYS, errno.EPERM])
def poor_disk(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file system that flushes no file and has no modes, as network shares, FUSE and FAT."""

    def refuse(*_: object, **__: object) -> None:
        raise OSError(request.param, os.strerror(request.param))

    for name in ("fsync", "chmod", "fchmod"):
        monkeypatch.setattr(os, name, refuse)


@pytest.mark.usefixtures("poor_disk")
def test_a_disk_that_refuses_to_flush_or_has_no_modes_keeps_files(tmp_path: Path) -> None:
    write_atomically(tmp_path / "folder" / "a", b"content")
    assert (tmp_path / "folder" / "a").read_bytes() == b"content"
    with whole_folder(tmp_path / "whole") as folder:
        (folder / "b").write_bytes(b"content")
    assert (tmp_path / "whole" / "b").read_bytes() == b"content"
    give_new(tmp_path / "whole" / "b", tmp_path / "c", sha256=hashlib.sha256(b"content").hexdigest())
    assert (tmp_path / "c").read_bytes() == b"content"


@pytest.mark.usefixtures("poor_disk")
def test_a_disk_that_refuses_to_flush_or_has_no_modes_takes_bundles_and_keys(tmp_path: Path) -> None:
    unpack("sample", output=tmp_path / "tree")
    assert verify(tmp_path / "tree").ok
    keygen(tmp_path / "key", passphrase=None)
    assert (tmp_path / "key.pub").is_file()


@pytest.mark.parametrize("number", [errno.EIO, errno.ENOSPC, errno.EDQUOT])
def test_a_disk_that_fails_while_flushing_is_an_error(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(UnavailableError, match=re.escape(os.strerror(number))):
        write_atomically(tmp_path / "a", b"content")
    assert list(tmp_path.iterdir()) == []
