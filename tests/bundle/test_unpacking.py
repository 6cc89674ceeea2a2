import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from hstu_preserve.bundle.archive import pack
from hstu_preserve.bundle.extraction import unpack
from hstu_preserve.bundle.headers import make_header
from hstu_preserve.bundle.verification import verify_bundle
from hstu_preserve.errors import MissingPathError, UnavailableError, UsageError, VerificationError
from hstu_preserve.primitives import temporary_folders
from hstu_preserve.records.contents import Finding, FindingClass
from tests.bundle.archives import Piece, compress, join, make_piece, read_pieces, snapshot
from tests.factories import make_sealed_run


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    make_sealed_run(tmp_path / "run", files={"code/deep/er/é.py": b"x", f"code/{'n' * 200}": b"y"})
    return pack(tmp_path / "run", output=tmp_path / "run.tar.gz").path


def test_an_unpacked_bundle_is_the_tree_that_was_packed(bundle: Path, tmp_path: Path) -> None:
    verification = unpack(bundle, destination=tmp_path / "out")
    assert verification.ok
    assert snapshot(tmp_path / "out") == snapshot(tmp_path / "run")
    assert verify_bundle(tmp_path / "out").identity == verification.identity
    assert pack(tmp_path / "out", output=tmp_path / "again.tar.gz").identity == verification.identity
    assert sorted(path.name for path in tmp_path.iterdir()) == ["again.tar.gz", "out", "run", "run.tar.gz"]


def test_modes_follow_the_umask_only(bundle: Path, tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        unpack(bundle, destination=tmp_path / "out")
    finally:
        os.umask(before)
    modes = {path.stat().st_mode & 0o7777 for path in (tmp_path / "out").rglob("*") if path.is_file()}
    assert modes == {0o644}
    assert (tmp_path / "out").stat().st_mode & 0o7777 == 0o755


def test_a_stream_can_be_unpacked(bundle: Path, tmp_path: Path) -> None:
    with bundle.open("rb") as stream:
        assert unpack(stream, destination=tmp_path / "out").ok
    assert snapshot(tmp_path / "out") == snapshot(tmp_path / "run")


def test_a_bundle_of_another_identity_is_not_unpacked(bundle: Path, tmp_path: Path) -> None:
    before = snapshot(tmp_path)
    with pytest.raises(VerificationError, match="another bundle") as caught:
        unpack(bundle, destination=tmp_path / "out", expected_identity="0" * 64)
    (finding,) = caught.value.findings
    assert isinstance(finding, Finding)
    assert (finding.finding_class, finding.path) == (FindingClass.CHANGED, "MANIFEST.json")
    assert snapshot(tmp_path) == before
    identity = verify_bundle(bundle).identity
    assert unpack(bundle, destination=tmp_path / "out", expected_identity=identity).identity == identity


def drop_a_member(pieces: list[Piece]) -> bytes:
    return compress(join(pieces[:3] + pieces[4:]))


def add_an_escaping_member(pieces: list[Piece]) -> bytes:
    return compress(join([*pieces[:3], make_piece("../escaped", b"out"), *pieces[3:]]))


def change_the_last_content(pieces: list[Piece]) -> bytes:
    return compress(join([*pieces[:-1], pieces[-1].with_content(b"0" * len(pieces[-1].content))]))


def repeat_a_member(pieces: list[Piece]) -> bytes:
    return compress(join([*pieces[:3], pieces[2], *pieces[3:]]))


def announce_more_than_there_is(pieces: list[Piece]) -> bytes:
    return compress(join([pieces[0], pieces[1].with_header(make_header(pieces[1].path, size=2**40))], end=b""))


def cut(pieces: list[Piece]) -> bytes:
    return compress(join(pieces))[:-20]


def append(pieces: list[Piece]) -> bytes:
    return compress(join(pieces)) + b"more"


def be_something_else(_: list[Piece]) -> bytes:
    return b"something else"


@pytest.mark.parametrize(
    "change",
    [
        drop_a_member,
        add_an_escaping_member,
        change_the_last_content,
        repeat_a_member,
        announce_more_than_there_is,
        cut,
        append,
        be_something_else,
    ],
)
def test_a_bundle_with_findings_leaves_nothing_behind(
    bundle: Path, tmp_path: Path, change: Callable[[list[Piece]], bytes]
) -> None:
    bundle.write_bytes(change(read_pieces(tmp_path / "run")))
    before = snapshot(tmp_path)
    with pytest.raises(VerificationError, match=r"run\.tar\.gz: (not what its manifest says|no bundle that can)"):
        unpack(bundle, destination=tmp_path / "out")
    assert snapshot(tmp_path) == before


@pytest.mark.parametrize("kind", ["file", "directory", "dangling link"])
def test_an_existing_destination_is_refused_and_untouched(bundle: Path, tmp_path: Path, kind: str) -> None:
    destination = tmp_path / "out"
    if kind == "file":
        destination.write_text("mine")
    elif kind == "directory":
        destination.mkdir()
    else:
        destination.symlink_to(tmp_path / "nowhere")
    before = snapshot(tmp_path)
    with pytest.raises(UsageError, match="exists"):
        unpack(bundle, destination=destination)
    assert snapshot(tmp_path) == before
    assert not (tmp_path / "nowhere").exists()


def test_a_destination_that_appears_meanwhile_is_not_replaced(bundle: Path, tmp_path: Path) -> None:
    def appear(*_: object, **__: object) -> int:
        (tmp_path / "out").mkdir()
        return 0o022

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(temporary_folders, "current_umask", appear)
        with pytest.raises(UsageError, match="came into being"):
            unpack(bundle, destination=tmp_path / "out")
    assert not any((tmp_path / "out").iterdir())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "run", "run.tar.gz"]


@pytest.mark.parametrize(
    ("failure", "expected"),
    [(KeyboardInterrupt(), KeyboardInterrupt), (OSError(errno.ENOSPC, "No space left on device"), UnavailableError)],
)
def test_an_interrupt_and_a_full_disk_leave_nothing_behind(
    bundle: Path, tmp_path: Path, failure: BaseException, expected: type[BaseException], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = snapshot(tmp_path)
    calls = 0

    def fail_at_the_third(_: int) -> None:
        nonlocal calls
        calls += 1
        if calls == 3:
            raise failure

    monkeypatch.setattr(os, "fsync", fail_at_the_third)
    with pytest.raises(expected):
        unpack(bundle, destination=tmp_path / "out")
    assert calls == 3
    assert snapshot(tmp_path) == before


def test_what_cannot_be_unpacked_or_placed_is_said(bundle: Path, tmp_path: Path) -> None:
    before = snapshot(tmp_path)
    with pytest.raises(MissingPathError, match="no such file"):
        unpack(tmp_path / "absent", destination=tmp_path / "out")
    with pytest.raises(MissingPathError, match="no such directory"):
        unpack(bundle, destination=tmp_path / "no/out")
    with pytest.raises(UsageError, match="a directory"):
        unpack(tmp_path / "run", destination=tmp_path / "out")
    with pytest.raises(UnavailableError, match="cannot be written"):
        unpack(bundle, destination=bundle / "out")
    assert snapshot(tmp_path) == before
