"""Archives beyond 4 GiB and of a million members: judged like small ones, in bounded time and memory (slow)."""

import hashlib
import os
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from hstu_preserve.bundle.compression import GzipWriter
from hstu_preserve.bundle.headers import END_OF_ARCHIVE, make_header, make_padding
from hstu_preserve.bundle.layout import checksums_text
from hstu_preserve.bundle.tree import read_tree_manifest
from hstu_preserve.records.contents import Contents, FileRecord, Role
from hstu_preserve.records.manifest import CHECKSUMS_NAME, MANIFEST_NAME
from tests.factories import make_sealed_run

pytestmark = pytest.mark.slow

SIZE = 2**32 + 2**20 + 7
"""Of one member, so that gzip's 32-bit size wraps around."""
ZEROS = bytes(2**20)
MEMBERS = 10**6
MAX_MEGABYTES = 150
MAX_LEGACY_MEGABYTES = 180  # 100,000 records of what was read until the limit
MEASURE = """
import resource, subprocess, sys
result = subprocess.run([sys.executable, "-m", "hstu_preserve", *sys.argv[1:]], check=False)
print("MEGABYTES", resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1000)
sys.exit(result.returncode)
"""


@dataclass(frozen=True, kw_only=True)
class Judged:
    """What the command line said of an archive."""

    exit_code: int
    text: str
    megabytes: int


def judge(archive: Path, *, is_piped: bool = False) -> Judged:
    """Verify in a process of its own, started by a small one: a child's peak memory begins with its parent's."""
    with archive.open("rb") as stream:
        result = subprocess.run(
            [sys.executable, "-c", MEASURE, "verify", "-" if is_piped else str(archive)],
            stdin=stream,
            env=dict(os.environ),
            capture_output=True,
            text=True,
            check=False,
            timeout=600,
        )
    assert "Traceback" not in result.stderr
    *lines, last = result.stdout.splitlines()
    return Judged(exit_code=result.returncode, text="\n".join(lines), megabytes=int(last.split()[1]))


def list_zeros(size: int) -> Iterator[bytes]:
    while size:
        yield ZEROS[:size]
        size -= min(size, len(ZEROS))


def write_bundle_with_zeros(path: Path, *, run: Path) -> None:
    """Write an honest bundle, one member of which is too large for gzip's size field.

    A native bundle may hold what its manifest announces, however well it compresses; zeros are the quickest to make.
    """
    make_sealed_run(run)
    manifest = read_tree_manifest(run).manifest
    digest = hashlib.sha256()
    for chunk in list_zeros(SIZE):
        digest.update(chunk)
    zeros = FileRecord(path="ckpts/zeros", size=SIZE, sha256=digest.hexdigest(), role=Role.CHECKPOINT)
    files = tuple(sorted([*manifest.contents.files, zeros], key=lambda file: file.path))
    contents = Contents(files=files)
    stored = manifest.model_copy(update={"contents": contents}).to_json()
    with path.open("wb") as sink:
        writer = GzipWriter(sink)
        write_member(writer, MANIFEST_NAME, [stored], size=len(stored))
        for file in files:
            chunks = list_zeros(SIZE) if file is zeros else [(run / file.path).read_bytes()]
            write_member(writer, file.path, chunks, size=file.size)
        checksums = checksums_text(stored, contents=contents)
        write_member(writer, CHECKSUMS_NAME, [checksums], size=len(checksums))
        writer.write(END_OF_ARCHIVE)
        writer.finish()


def write_member(writer: GzipWriter, path: str, chunks: "Iterator[bytes] | list[bytes]", *, size: int) -> None:
    writer.write(make_header(path, size=size))
    for chunk in chunks:
        writer.write(chunk)
    writer.write(make_padding(size))


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("huge")
    write_bundle_with_zeros(folder / "huge.tar.gz", run=folder / "run")
    return folder / "huge.tar.gz"


@pytest.mark.parametrize("is_piped", [False, True], ids=["file", "pipe"])
def test_a_bundle_whose_gzip_size_wraps_around_is_accepted(bundle: Path, is_piped: bool) -> None:
    judged = judge(bundle, is_piped=is_piped)
    assert judged.exit_code == 0, judged.text
    assert judged.megabytes < MAX_MEGABYTES


WRONG_SIZES: dict[str, Callable[[int], int]] = {
    "one more": lambda size: size + 1,
    "zero": lambda size: 0,
    "all ones": lambda size: 2**32 - 1,
    "of the member alone": lambda size: SIZE % 2**32,
}


@pytest.mark.parametrize("wrong", WRONG_SIZES.values(), ids=WRONG_SIZES.keys())
def test_a_wrong_size_beyond_4_gib_is_refused(bundle: Path, wrong: Callable[[int], int]) -> None:
    content = bundle.read_bytes()
    size = int.from_bytes(content[-4:], "little")
    changed = bundle.with_name("wrong.tar.gz")
    changed.write_bytes(content[:-4] + struct.pack("<I", wrong(size)))
    judged = judge(changed)
    assert judged.exit_code == 3
    assert "bad-compression" in judged.text
    assert judged.megabytes < MAX_MEGABYTES


def write_million(path: Path, *, first: list[bytes]) -> None:
    """Write an archive of 10⁶ empty members after some first bytes."""
    with path.open("wb") as sink:
        writer = GzipWriter(sink)
        for chunk in first:
            writer.write(chunk)
        for start in range(0, MEMBERS, 10_000):
            writer.write(b"".join(make_header(f"code/{n:07}", size=0) for n in range(start, start + 10_000)))
        writer.write(END_OF_ARCHIVE)
        writer.finish()


def test_a_million_members_that_no_manifest_lists_are_not_all_named(tmp_path: Path) -> None:
    make_sealed_run(tmp_path / "run")
    manifest = (tmp_path / "run" / MANIFEST_NAME).read_bytes()
    header = make_header(MANIFEST_NAME, size=len(manifest))
    write_million(tmp_path / "x.tar.gz", first=[header, manifest, make_padding(len(manifest))])
    judged = judge(tmp_path / "x.tar.gz")
    assert judged.exit_code == 3
    assert "too many findings to go on" in judged.text
    assert judged.text.count("\n") < 1100
    assert judged.megabytes < MAX_MEGABYTES


def test_a_manifest_of_a_million_members_is_refused_by_its_size(tmp_path: Path) -> None:
    make_sealed_run(tmp_path / "run")
    manifest = read_tree_manifest(tmp_path / "run").manifest
    empty = hashlib.sha256().hexdigest()
    line = b'{"path":"code/%07d","role":"code","sha256":"%s","size":0}'
    files = b",".join(line % (n, empty.encode()) for n in range(MEMBERS))
    stored = manifest.to_json().replace(b'"files":[', b'"files":[' + files + b",")
    header = make_header(MANIFEST_NAME, size=len(stored))
    write_million(tmp_path / "x.tar.gz", first=[header, stored, make_padding(len(stored))])
    judged = judge(tmp_path / "x.tar.gz")
    assert judged.exit_code == 3
    assert "bad-manifest" in judged.text
    assert judged.megabytes < MAX_MEGABYTES


def test_a_legacy_archive_of_a_million_members_is_refused_at_its_limit(tmp_path: Path) -> None:
    write_million(tmp_path / "x.tar.gz", first=[])
    judged = judge(tmp_path / "x.tar.gz")
    assert judged.exit_code == 3
    assert "too-large" in judged.text
    assert judged.megabytes < MAX_LEGACY_MEGABYTES
