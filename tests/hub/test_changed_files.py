"""What the user sees is a link to what is kept: whoever edits it in place changes both, and nobody vouches for that."""

import hashlib
import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.corpus.legacy.generators import Case, build
from tests.hub.conftest import REPOSITORY, Program
from tests.hub.local_hub import LocalHub
from tests.hub.test_remote_targets import SAMPLE

ID, NAME, LIST = "iter8-exp4-SOTA", "iter8-exp4-SOTA.tar.gz", "MANIFEST.md"
ADDRESS = "hf://owner/experiments/native.tar.gz"
OFFLINE = {"HF_HUB_OFFLINE": "1", "HF_ENDPOINT": "http://127.0.0.1:9"}


@pytest.fixture
def fetched(hub: LocalHub, program: Program, tmp_path: Path) -> Program:
    """A machine that a legacy archive with its list, and a native bundle, were fetched to."""
    (tmp_path / "legacy").mkdir()
    case = Case(id="x", kind="", canonical="", outcome="", manifest="list", md5_list="table")
    archive = build(case, folder=tmp_path / "legacy")
    hub.add(REPOSITORY, {NAME: archive.read_bytes(), LIST: (archive.parent / LIST).read_bytes()})
    hub.add("owner/experiments", {"native.tar.gz": SAMPLE})
    assert program.run("download", ID).returncode == 0
    assert program.run("download", ADDRESS).returncode == 0
    assert program.run("verify", ID, **OFFLINE).returncode == 0
    return program


def edit(path: Path, change: Callable[[bytes], bytes]) -> bytes:
    """Change a file in place, and return what is there then."""
    path.chmod(0o644)
    changed = change(path.read_bytes())
    with path.open("r+b") as stream:
        stream.write(changed)
        stream.truncate()
    return changed


def rename_in_gzip_header(content: bytes) -> bytes:
    """Another file with the same members: its time in the gzip header is another."""
    return content[:4] + bytes([content[4] ^ 1]) + content[5:]


def forge_both(program: Program) -> None:
    """An archive and a list that vouches for it: only who remembers the first ones can tell."""
    before = (program.folder / NAME).read_bytes()
    after = edit(program.folder / NAME, rename_in_gzip_header)
    old, new = (hashlib.md5(one, usedforsecurity=False).hexdigest().encode() for one in (before, after))
    edit(program.folder / LIST, lambda content: content.replace(old, new))


def test_an_edited_archive_is_not_vouched_for_by_an_edited_list(fetched: Program) -> None:
    forge_both(fetched)
    assert fetched.run("verify", NAME).returncode == 0, "the forgery is none"
    result = fetched.run("verify", ID, **OFFLINE)
    assert result.returncode == 3
    assert "changed since it was fetched" in result.stdout
    assert f"download hf://{REPOSITORY}/{NAME}" in result.stdout


def test_an_edit_that_puts_the_time_back_is_seen_by_the_digest(fetched: Program) -> None:
    times = {one: (fetched.folder / one).stat() for one in (NAME, LIST)}
    forge_both(fetched)
    for name, before in times.items():
        os.utime(fetched.folder / name, ns=(before.st_atime_ns, before.st_mtime_ns))
    result = fetched.run("verify", ID, **OFFLINE)
    assert result.returncode == 3
    assert "as fetched" in result.stdout


@pytest.mark.parametrize("deep", [[], ["--deep"]], ids=["bytes", "deep"])
def test_an_edited_native_bundle_is_seen(deep: list[str], fetched: Program) -> None:
    path = fetched.folder / "native.tar.gz"
    before = path.stat()
    edit(path, rename_in_gzip_header)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert fetched.run("verify", ADDRESS, *deep, **OFFLINE).returncode == 3


def test_an_edited_list_is_not_read(fetched: Program) -> None:
    edit(fetched.folder / LIST, lambda content: content + b"\n")
    result = fetched.run("verify", ID, **OFFLINE)
    assert result.returncode == 3
    assert f"{LIST}: changed since it was fetched" in result.stdout


def test_a_file_that_was_only_touched_is_the_file(fetched: Program) -> None:
    (fetched.folder / NAME).touch()
    assert fetched.run("verify", ID, **OFFLINE).returncode == 0


EDITS: dict[str, Callable[[bytes], bytes]] = {
    "same size": rename_in_gzip_header,
    "longer": lambda content: content + b"more",
    "empty": lambda content: b"",
}


@pytest.mark.parametrize("kind", EDITS)
def test_what_was_changed_is_fetched_again_and_the_users_file_stays_as_it_is(
    kind: str, hub: LocalHub, fetched: Program
) -> None:
    right = (fetched.folder / NAME).read_bytes()
    changed = edit(fetched.folder / NAME, EDITS[kind])
    refused = fetched.run("download", ID, "--output-dir", "again", **OFFLINE)
    assert refused.returncode == 3
    assert "changed since it was fetched" in refused.stdout
    result = fetched.run("download", ID, "--output-dir", "again")
    assert result.returncode == 0, result.stdout
    assert re.search(rf"{NAME}: changed since it was fetched.*\n", result.stderr)
    assert fetched.files[f"again/{NAME}"] == right
    assert fetched.files[NAME] == changed
    assert fetched.run("verify", ID, **OFFLINE).returncode == 0
    for place in (fetched.home / "hstu-preserve" / "objects").iterdir():
        assert hashlib.sha256(place.read_bytes()).hexdigest() == place.name
