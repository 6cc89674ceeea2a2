import io
import os
import subprocess
import tarfile
import zlib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hstu_preserve.bundle import compression
from hstu_preserve.bundle.archive import pack, write_member
from hstu_preserve.bundle.compression import GzipWriter
from hstu_preserve.bundle.hashing import BackgroundDigest, HashingThread
from hstu_preserve.bundle.headers import BLOCK_BYTES
from hstu_preserve.bundle.layout import Member
from hstu_preserve.bundle.tree import read_chunks
from hstu_preserve.bundle.verification import verify_bundle
from hstu_preserve.errors import ContentError, MissingPathError, UsageError, VerificationError
from hstu_preserve.primitives.digests import sha256_of_bytes, sha256_of_file
from hstu_preserve.primitives.files import CHUNK_BYTES
from hstu_preserve.primitives.voice import SILENT, ByteProgress
from tests.bundle.archives import read_tar, snapshot
from tests.factories import CHECKPOINT, TINY_RUN, make_sealed_run, write_files

NAMES = st.text(alphabet="abcdefgh0123456789_-é日", min_size=1, max_size=40)
PATHS = st.builds(
    lambda folder, parts: "/".join([folder, *parts]),
    st.sampled_from(["config", "ckpts", "code"]),
    st.lists(NAMES, min_size=1, max_size=6),
)
# Files get a suffix that folders cannot have, so that no path is both.
TREES = st.dictionaries(PATHS.map(lambda path: f"{path}.bin"), st.binary(max_size=2000), max_size=6)

LONG_NAMES = {
    f"code/{'n' * 120}.py": b"over the name field",
    f"code/{'/'.join(['d' * 50] * 2)}/{'n' * 90}.py": b"fits prefix and name",
    f"code/{'/'.join(['d' * 100] * 3)}/{'n' * 200}.py": b"over both",
    "code/größe/日本.txt": b"not ASCII",
    "code/with space.txt": b"space",
}


@given(files=TREES)
@settings(max_examples=25, deadline=None)
def test_what_is_packed_verifies(tmp_path_factory: pytest.TempPathFactory, files: dict[str, bytes]) -> None:
    root = tmp_path_factory.mktemp("tree") / "run"
    manifest = make_sealed_run(root, files=files)
    result = pack(root, output=root.parent / "run.tar.gz")
    verification = verify_bundle(result.path)
    assert verification.ok, verification.describe()
    assert verification.manifest == manifest
    assert verification.identity == result.identity == manifest.digest()
    assert verification.transport_sha256 == result.transport_sha256 == sha256_of_file(result.path)
    assert verification.members_checked == result.members == len(manifest.contents.files) + 2
    assert verify_bundle(root).ok
    assert result.size_bytes == result.path.stat().st_size


def test_time_umask_order_and_working_directory_leave_no_trace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_sealed_run(tmp_path / "one", files=LONG_NAMES)
    first = pack(tmp_path / "one", output=tmp_path / "one.tar.gz")
    everything = snapshot(tmp_path / "one")
    before = os.umask(0o077)
    try:
        backwards = {path: content for path, content in reversed(everything.items()) if content is not None}
        write_files(tmp_path / "two", backwards)
    finally:
        os.umask(before)
    for number, path in enumerate(sorted((tmp_path / "two").rglob("*"))):
        os.utime(path, (1_000_000 + number, 1_000_000 + number))
        if path.is_file():
            path.chmod(0o755)
    monkeypatch.chdir(tmp_path / "two")
    second = pack(Path(), output=Path("../two.tar.gz"))
    assert first.identity == second.identity
    assert read_tar(tmp_path / "one.tar.gz") == read_tar(tmp_path / "two.tar.gz")
    assert first.transport_sha256 == second.transport_sha256


def test_another_deflate_library_gives_the_same_tar(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_sealed_run(tmp_path / "run")
    by_isal = pack(tmp_path / "run", output=tmp_path / "isal.tar.gz")
    monkeypatch.setattr(compression, "deflate", zlib)
    by_zlib = pack(tmp_path / "run", output=tmp_path / "zlib.tar.gz")
    assert by_isal.identity == by_zlib.identity
    assert by_isal.transport_sha256 != by_zlib.transport_sha256
    assert read_tar(by_isal.path) == read_tar(by_zlib.path)
    assert verify_bundle(by_isal.path).ok


def test_python_reads_the_members_in_order(tmp_path: Path) -> None:
    make_sealed_run(tmp_path / "run", files=LONG_NAMES)
    pack(tmp_path / "run", output=tmp_path / "run.tar.gz")
    with tarfile.open(tmp_path / "run.tar.gz") as archive:
        names = archive.getnames()
        assert names == ["MANIFEST.json", *sorted(TINY_RUN | LONG_NAMES), "SHA256SUMS"]
        for name in names:
            member = archive.extractfile(name)
            assert member is not None
            assert member.read() == (tmp_path / "run" / name).read_bytes()


def test_gnu_tar_and_sha256sum_suffice(tmp_path: Path) -> None:
    make_sealed_run(tmp_path / "run", files=LONG_NAMES)
    pack(tmp_path / "run", output=tmp_path / "run.tar.gz")
    (tmp_path / "out").mkdir()
    extraction = subprocess.run(
        ["tar", "xzf", "../run.tar.gz"], cwd=tmp_path / "out", capture_output=True, text=True, check=True
    )
    assert extraction.stderr == ""
    assert snapshot(tmp_path / "out") == snapshot(tmp_path / "run")
    check = subprocess.run(
        ["sha256sum", "--check", "--strict", "SHA256SUMS"],
        cwd=tmp_path / "out",
        capture_output=True,
        text=True,
        check=True,
    )
    assert check.stderr == ""
    assert len(check.stdout.splitlines()) == len(TINY_RUN | LONG_NAMES) + 1


def test_gnu_tar_reads_the_tar_from_a_pipe(tmp_path: Path) -> None:
    make_sealed_run(tmp_path / "run")
    pack(tmp_path / "run", output=tmp_path / "run.tar.gz")
    listing = subprocess.run(
        ["tar", "tf", "-"], input=read_tar(tmp_path / "run.tar.gz"), capture_output=True, check=True
    )
    assert listing.stderr == b""
    assert listing.stdout.decode().split() == ["MANIFEST.json", *sorted(TINY_RUN), "SHA256SUMS"]


def test_missing_unexpected_and_resized_files_are_all_named_before_anything_is_written(tmp_path: Path) -> None:
    make_sealed_run(tmp_path / "run", files={"code/a.py": b"a", "code/b.py": b"b"})
    (tmp_path / "run/code/a.py").unlink()
    (tmp_path / "run/code/b.py").write_bytes(b"longer")
    (tmp_path / "run/code/c.py").write_bytes(b"")
    (tmp_path / "run/tb/link").symlink_to("nowhere")
    with pytest.raises(VerificationError) as caught:
        pack(tmp_path / "run", output=tmp_path / "run.tar.gz")
    message = str(caught.value)
    assert "code/a.py: missing (expected 1 bytes)" in message
    assert "code/b.py: changed (expected 1 bytes, found 6 bytes)" in message
    assert "code/c.py: unexpected (found 0 bytes)" in message
    assert "tb/link: wrong-type" in message
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run"]


def test_a_changed_file_of_the_same_size_is_named_with_both_digests(tmp_path: Path) -> None:
    make_sealed_run(tmp_path / "run")
    changed = b"\xff" * len(TINY_RUN[CHECKPOINT])
    (tmp_path / "run" / CHECKPOINT).write_bytes(changed)
    with pytest.raises(ContentError) as caught:
        pack(tmp_path / "run", output=tmp_path / "run.tar.gz")
    assert CHECKPOINT in str(caught.value)
    assert sha256_of_bytes(changed) in str(caught.value)
    assert sha256_of_bytes(TINY_RUN[CHECKPOINT]) in str(caught.value)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run"]


def test_a_file_that_grows_while_it_is_read_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "log").write_bytes(bytes(5 * CHUNK_BYTES))
    writer = GzipWriter(io.BytesIO())
    member = Member(path="log", size=10, sha256=sha256_of_bytes(bytes(10)))
    progress = ByteProgress("packing", total=member.size, voice=SILENT)
    with HashingThread() as hashing:
        chunks, digest = read_chunks(tmp_path / "log"), BackgroundDigest(hashing)
        with pytest.raises(ContentError, match="changed after the manifest was written"):
            write_member(writer, chunks, root=tmp_path, member=member, digest=digest, progress=progress)
    assert writer.size == BLOCK_BYTES


def test_a_stale_checksums_file_is_refused(tmp_path: Path) -> None:
    make_sealed_run(tmp_path / "run")
    sums = tmp_path / "run/SHA256SUMS"
    sums.write_bytes(sums.read_bytes().replace(b"a", b"b"))
    with pytest.raises(ContentError, match="SHA256SUMS"):
        pack(tmp_path / "run", output=tmp_path / "run.tar.gz")


def test_an_empty_directory_is_refused(tmp_path: Path) -> None:
    make_sealed_run(tmp_path / "run")
    (tmp_path / "run/ckpts/empty").mkdir()
    with pytest.raises(ContentError, match="ckpts/empty: wrong-type"):
        pack(tmp_path / "run", output=tmp_path / "run.tar.gz")


@pytest.mark.parametrize("inside", ["run.tar.gz", "results/run.tar.gz", "../run/run.tar.gz"])
def test_the_output_cannot_lie_in_what_is_packed(tmp_path: Path, inside: str) -> None:
    make_sealed_run(tmp_path / "run")
    before = snapshot(tmp_path)
    with pytest.raises(UsageError, match="lies inside"):
        pack(tmp_path / "run", output=tmp_path / "run" / inside)
    assert snapshot(tmp_path) == before


def test_an_unsealed_run_is_refused(tmp_path: Path) -> None:
    write_files(tmp_path / "run", TINY_RUN)
    with pytest.raises(MissingPathError, match="MANIFEST"):
        pack(tmp_path / "run", output=tmp_path / "run.tar.gz")


def test_a_manifest_that_is_not_canonical_is_refused(tmp_path: Path) -> None:
    make_sealed_run(tmp_path / "run")
    manifest = tmp_path / "run/MANIFEST.json"
    manifest.write_bytes(manifest.read_bytes() + b"\n")
    with pytest.raises(ContentError, match="not in canonical form"):
        pack(tmp_path / "run", output=tmp_path / "run.tar.gz")
