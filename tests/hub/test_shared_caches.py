"""A cache that this user may only read, or shares with others: what is in it is used, and stays as it is."""

import hashlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from hstu_preserve.library.targets import SAMPLE_BUNDLE
from hstu_preserve.primitives.shipped import shipped_directory
from tests.hub.conftest import Program
from tests.hub.local_hub import LocalHub

SAMPLE = (shipped_directory("bundles") / SAMPLE_BUNDLE).read_bytes()
OFFLINE = {"HF_HUB_OFFLINE": "1"}
POWERS = "-dac_override,-dac_read_search,-fowner"


@pytest.fixture
def shared(hub: LocalHub, program: Program) -> Iterator[Program]:
    """A user who may read what another one fetched, and write nothing there."""
    if os.geteuid() == 0:
        if shutil.which("setpriv") is None:
            pytest.skip("root may write everywhere, and nothing here takes that from it")
        program.prefix = ("setpriv", f"--bounding-set={POWERS}", f"--inh-caps={POWERS}")
    hub.add("me/x", {"s.tar.gz": SAMPLE, "folder/t.tar.gz": SAMPLE, "new.tar.gz": b"new"})
    assert program.run("download", "hf://me/x/s.tar.gz").returncode == 0
    set_modes(program.home, folders=0o555)
    yield program
    set_modes(program.home, folders=0o755)


def set_modes(root: Path, *, folders: int) -> None:
    for path, _, _ in os.walk(root, topdown=folders != 0o555):
        Path(path).chmod(folders)


def test_what_is_in_a_read_only_cache_is_used(hub: LocalHub, shared: Program) -> None:
    sent = hub.count_sent("GET /lfs")
    for number, (arguments, environment) in enumerate(
        (
            (["download", "hf://me/x/s.tar.gz", "--output-dir", "a"], {}),
            (["download", "hf://me/x/s.tar.gz", "--output-dir", "b"], OFFLINE),
            (["download", "hf://me/x/folder/t.tar.gz", "--output-dir", "c"], {}),
            (["unpack", "hf://me/x/folder/t.tar.gz"], {}),
            (["unpack", "hf://me/x/folder/t.tar.gz", "--output", "d"], OFFLINE),
        )
    ):
        result = shared.run(*arguments, **environment)
        assert result.returncode == 0, (number, result.stdout + result.stderr)
    assert (shared.folder / "t" / "MANIFEST.json").is_file()  # named after the file, not after its content
    assert hub.count_sent("GET /lfs") == sent


def test_what_is_not_there_names_the_way_out(shared: Program) -> None:
    result = shared.run("download", "hf://me/x/new.tar.gz")
    assert result.returncode == 4
    assert "cannot be written (Permission denied); name a folder that you may write with HF_HOME" in result.stdout


def test_another_users_unfinished_download_is_left_alone(shared: Program) -> None:
    set_modes(shared.home, folders=0o755)
    parts = shared.home / "hstu-preserve" / "parts"
    assert shared.run("download", "hf://me/x/new.tar.gz", "--dry-run").returncode == 0
    theirs = parts / f"{hashlib.sha256(b'new').hexdigest()}.part"
    theirs.write_bytes(b"n")
    theirs.chmod(0o444)
    assert shared.run("download", "hf://me/x/new.tar.gz").returncode == 0
    assert (shared.folder / "new.tar.gz").read_bytes() == b"new"
    assert theirs.read_bytes() == b"n"
    assert list(parts.iterdir()) == [theirs]
