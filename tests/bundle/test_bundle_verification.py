import gzip
import io
import os
import tarfile
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hstu_preserve.bundle.archive import pack
from hstu_preserve.bundle.headers import END_OF_ARCHIVE
from hstu_preserve.bundle.inflating import BLOCKS_AHEAD, INPUT_BYTES, OUTPUT_BYTES
from hstu_preserve.bundle.verification import read_manifest_of, read_member, read_stored_manifest, verify_bundle
from hstu_preserve.errors import ContentError, MissingPathError, UnavailableError, UnknownNameError, UsageError
from hstu_preserve.primitives.digests import sha256_of_bytes
from hstu_preserve.records.contents import FindingClass
from hstu_preserve.records.verification import Verification
from tests.bundle.archives import (
    Piece,
    classes,
    compress,
    join,
    make_piece,
    only_finding,
    read_pieces,
    read_tar,
    verify_bytes,
    verify_tar,
)
from tests.factories import CHECKPOINT, TINY_RUN, make_sealed_run, write_files

LONG_NAME = f"code/{'é' * 60}.py"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("bundle") / "run"
    make_sealed_run(root, files={LONG_NAME: b"long"})
    return root


@pytest.fixture(scope="module")
def bundle(run: Path) -> Path:
    return pack(run, output=run.parent / "run.tar.gz").path


@pytest.fixture
def pieces(run: Path) -> list[Piece]:
    return read_pieces(run)


def find(pieces: list[Piece], path: str) -> int:
    return next(n for n, piece in enumerate(pieces) if piece.path == path)


def ustar_header(path: str, *, size: int, **fields: object) -> bytes:
    info = tarfile.TarInfo(path)
    info.size = size
    for name, value in fields.items():
        setattr(info, name, value)
    return info.tobuf(format=tarfile.USTAR_FORMAT)


def test_the_pieces_of_an_honest_bundle_verify(pieces: list[Piece], bundle: Path) -> None:
    assert join(pieces) == read_tar(bundle)
    assert verify_tar(join(pieces)).ok


def test_path_stream_and_tree_give_one_identity(bundle: Path, run: Path) -> None:
    from_path, from_tree = verify_bundle(bundle), verify_bundle(run)
    with bundle.open("rb") as stream:
        from_stream = verify_bundle(stream)
    assert from_path.ok
    assert from_stream.ok
    assert from_tree.ok
    assert from_path.identity == from_stream.identity == from_tree.identity
    assert from_stream.source == "-"
    assert Verification.from_json(from_path.to_json(), source="test") == from_path


def test_a_pipe_can_be_verified(bundle: Path) -> None:
    reading, writing = os.pipe()
    content = bundle.read_bytes()
    assert len(content) < 60_000  # fits the pipe's buffer
    os.write(writing, content)
    os.close(writing)
    with os.fdopen(reading, "rb") as stream:
        assert verify_bundle(stream).ok


@given(data=st.data())
@settings(max_examples=150, deadline=None)
def test_any_changed_byte_of_the_tar_is_refused(bundle: Path, data: st.DataObject) -> None:
    tar = bytearray(read_tar(bundle))
    tar[data.draw(st.integers(0, len(tar) - 1))] ^= data.draw(st.integers(1, 255))
    assert not verify_tar(bytes(tar)).ok


def test_a_changed_byte_anywhere_in_the_tar_is_refused(bundle: Path) -> None:
    tar = read_tar(bundle)
    for position in range(0, len(tar), 37):
        changed = tar[:position] + bytes([tar[position] ^ 0x40]) + tar[position + 1 :]
        assert not verify_tar(changed).ok, position


def test_a_changed_byte_anywhere_in_the_gzip_is_refused_or_changes_no_byte_of_the_tar(bundle: Path) -> None:
    # Deflate has bits that carry nothing: the padding of its end, and the codes of symbols that do not occur.
    content = bundle.read_bytes()
    num_refused = 0
    for position in [*range(10), *range(10, len(content), 7), *range(len(content) - 8, len(content))]:
        changed = bytearray(content)
        changed[position] ^= 0xFF
        if verify_bytes(bytes(changed)).ok:
            assert gzip.decompress(bytes(changed)) == read_tar(bundle), position
        else:
            num_refused += 1
    assert num_refused > len(content) // 8


@given(data=st.data())
@settings(max_examples=150, deadline=None)
def test_a_changed_bit_of_the_gzip_is_refused_or_changes_no_byte_of_the_tar(bundle: Path, data: st.DataObject) -> None:
    content = bytearray(bundle.read_bytes())
    content[data.draw(st.integers(0, len(content) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    if verify_bytes(bytes(content)).ok:
        assert gzip.decompress(bytes(content)) == read_tar(bundle)
        assert verify_bytes(bytes(content)).transport_sha256 != verify_bundle(bundle).transport_sha256


def test_every_truncation_is_refused_without_a_traceback(bundle: Path) -> None:
    content = bundle.read_bytes()
    for length in range(0, len(content), 11):
        verification = verify_bytes(content[:length])
        assert FindingClass.TRUNCATED in {finding.finding_class for finding in verification.findings}
        assert verification.transport_sha256 is None


def test_a_truncated_tar_in_sound_gzip_is_refused(bundle: Path) -> None:
    tar = read_tar(bundle)
    for length in range(0, len(tar), 256):
        verification = verify_tar(tar[:length])
        assert not verification.ok
        assert classes(verification)[-1][0] is FindingClass.TRUNCATED


@pytest.mark.parametrize("appended", [b"\0", bytes(512), bytes(10240), b"junk", gzip.compress(b"", mtime=0)])
def test_bytes_after_the_gzip_stream_are_trailing(bundle: Path, appended: bytes) -> None:
    assert only_finding(verify_bytes(bundle.read_bytes() + appended)).finding_class is FindingClass.TRAILING_BYTES


def test_a_second_whole_bundle_is_trailing(bundle: Path) -> None:
    finding = only_finding(verify_bytes(bundle.read_bytes() * 2))
    assert (finding.finding_class, finding.found) == (FindingClass.TRAILING_BYTES, "a second gzip member")


@pytest.mark.parametrize(
    ("appended", "found"),
    [(bytes(512), "512 bytes of zeros after it"), (b"hidden", "6 bytes of data after it"), (bytes(9 * 512), None)],
)
def test_bytes_after_the_end_of_the_tar_are_trailing(pieces: list[Piece], appended: bytes, found: str | None) -> None:
    finding = only_finding(verify_tar(join(pieces) + appended))
    assert finding.finding_class is FindingClass.TRAILING_BYTES
    assert found is None or finding.found == found


def test_a_bomb_after_the_end_is_not_read_to_its_end(pieces: list[Piece]) -> None:
    finding = only_finding(verify_tar(join(pieces) + bytes(200 * 2**20)))
    assert finding.finding_class is FindingClass.TRAILING_BYTES
    assert finding.expected is not None
    assert finding.expected.startswith("at most")


def test_data_between_the_zero_blocks_is_refused(pieces: list[Piece]) -> None:
    tar = join(pieces, end=bytes(512) + b"x" * 512)
    assert only_finding(verify_tar(tar)).finding_class is FindingClass.NOT_CANONICAL


def test_a_missing_member_is_named_with_what_was_expected(pieces: list[Piece]) -> None:
    removed = pieces.pop(find(pieces, CHECKPOINT))
    finding = only_finding(verify_tar(join(pieces)))
    assert (finding.finding_class, finding.path, finding.found) == (FindingClass.MISSING, CHECKPOINT, None)
    assert finding.expected == f"sha256 {sha256_of_bytes(removed.content)}, {len(removed.content)} bytes"


def test_every_missing_member_is_named(pieces: list[Piece]) -> None:
    verification = verify_tar(join(pieces[:1]))
    assert classes(verification) == [(FindingClass.MISSING, piece.path) for piece in pieces[1:]]


@pytest.mark.parametrize("position", [1, 4, -1, 100])
def test_an_unexpected_member_is_named_wherever_it_stands(pieces: list[Piece], position: int) -> None:
    pieces.insert(position, make_piece("code/extra.py", b"extra" * 200))
    finding = only_finding(verify_tar(join(pieces)))
    assert (finding.finding_class, finding.path) == (FindingClass.UNEXPECTED, "code/extra.py")
    assert finding.found == "a regular file of 1000 bytes"


def test_a_changed_member_is_named_with_both_digests(pieces: list[Piece]) -> None:
    position = find(pieces, CHECKPOINT)
    changed = bytes(len(pieces[position].content))
    pieces[position] = pieces[position].with_content(changed)
    finding = only_finding(verify_tar(join(pieces)))
    assert (finding.finding_class, finding.path) == (FindingClass.CHANGED, CHECKPOINT)
    assert finding.found == f"sha256 {sha256_of_bytes(changed)}, {len(changed)} bytes"


@pytest.mark.parametrize("content", [b"", b"longer" * 1000])
def test_a_member_of_another_size_is_changed_and_the_rest_is_still_checked(pieces: list[Piece], content: bytes) -> None:
    position = find(pieces, CHECKPOINT)
    pieces[position] = pieces[position].with_content(content)
    metrics = find(pieces, "results/metrics.json")
    pieces[metrics] = pieces[metrics].with_content(b"{}")
    verification = verify_tar(join(pieces))
    assert classes(verification) == [
        (FindingClass.CHANGED, CHECKPOINT),
        (FindingClass.CHANGED, "results/metrics.json"),
    ]
    assert verification.members_checked == len(pieces)


def test_swapped_members_are_out_of_order(pieces: list[Piece]) -> None:
    position = find(pieces, "environment.json")
    pieces[position], pieces[position + 1] = pieces[position + 1], pieces[position]
    finding = only_finding(verify_tar(join(pieces)))
    assert (finding.finding_class, finding.path) == (FindingClass.OUT_OF_ORDER, "environment.json")
    assert finding.expected == "before results/empty.txt"


@pytest.mark.parametrize("path", [CHECKPOINT, "MANIFEST.json", "SHA256SUMS"])
def test_a_member_that_comes_twice_is_a_duplicate(pieces: list[Piece], path: str) -> None:
    pieces.insert(-1 if path != "SHA256SUMS" else len(pieces), pieces[find(pieces, path)])
    finding = only_finding(verify_tar(join(pieces)))
    assert (finding.finding_class, finding.path) == (FindingClass.DUPLICATE, path)


def test_several_faults_are_all_reported(pieces: list[Piece]) -> None:
    del pieces[find(pieces, "run.json")]
    metrics = find(pieces, "results/metrics.json")
    pieces[metrics] = pieces[metrics].with_content(b"edited")
    pieces.insert(2, make_piece("code/extra.py", b""))
    assert sorted(classes(verify_tar(join(pieces)))) == [
        (FindingClass.CHANGED, "results/metrics.json"),
        (FindingClass.MISSING, "run.json"),
        (FindingClass.UNEXPECTED, "code/extra.py"),
    ]


@pytest.mark.parametrize(
    ("fields", "found"),
    [
        ({"mode": 0o600}, "mode '0000600'"),
        ({"mtime": 1}, "mtime '00000000001'"),
        ({"uid": 1000, "uname": "me"}, "uid '0001750', user name 'me'"),
    ],
)
def test_a_header_with_other_fields_is_not_canonical(
    pieces: list[Piece], fields: dict[str, object], found: str
) -> None:
    position = find(pieces, "run.json")
    header = ustar_header("run.json", size=len(TINY_RUN["run.json"]), **fields)
    pieces[position] = pieces[position].with_header(header)
    finding = only_finding(verify_tar(join(pieces)))
    assert (finding.finding_class, finding.path) == (FindingClass.NOT_CANONICAL, "run.json")
    assert finding.found is not None
    assert found in finding.found


def test_a_pax_time_is_not_canonical(pieces: list[Piece]) -> None:
    info = tarfile.TarInfo("run.json")
    info.size, info.mtime = len(TINY_RUN["run.json"]), 1.5
    position = find(pieces, "run.json")
    pieces[position] = pieces[position].with_header(info.tobuf(format=tarfile.PAX_FORMAT))
    finding = only_finding(verify_tar(join(pieces)))
    assert (finding.finding_class, finding.path) == (FindingClass.NOT_CANONICAL, "run.json")


def test_a_gnu_long_name_is_understood_and_refused(pieces: list[Piece]) -> None:
    info = tarfile.TarInfo(LONG_NAME)
    info.size = 4
    position = find(pieces, LONG_NAME)
    pieces[position] = pieces[position].with_header(info.tobuf(format=tarfile.GNU_FORMAT, encoding="utf-8"))
    finding = only_finding(verify_tar(join(pieces)))
    assert (finding.finding_class, finding.path) == (FindingClass.NOT_CANONICAL, LONG_NAME)
    assert finding.found == "another extended header"


@pytest.mark.parametrize(
    ("kind", "found"),
    [
        (tarfile.SYMTYPE, "a symbolic link"),
        (tarfile.LNKTYPE, "a hard link"),
        (tarfile.FIFOTYPE, "a named pipe"),
        (tarfile.DIRTYPE, "a directory"),
        (b"Z", "unknown type b'Z' of 0 bytes"),
    ],
)
def test_a_member_of_another_type_is_named(pieces: list[Piece], kind: bytes, found: str) -> None:
    position = find(pieces, "run.json")
    header = ustar_header("run.json", size=0, type=kind, linkname="elsewhere")
    pieces[position] = Piece(path="run.json", content=b"", header=header)
    finding = only_finding(verify_tar(join(pieces)))
    assert (finding.finding_class, finding.path, finding.found) == (FindingClass.WRONG_TYPE, "run.json", found)


def test_a_damaged_header_is_named_and_the_rest_is_still_checked(pieces: list[Piece]) -> None:
    for path in ("environment.json", LONG_NAME):
        position = find(pieces, path)
        header = bytearray(pieces[position].header)
        header[3] ^= 1
        pieces[position] = pieces[position].with_header(bytes(header))
    verification = verify_tar(join(pieces))
    assert sorted(classes(verification)) == [
        (FindingClass.NOT_CANONICAL, LONG_NAME),
        (FindingClass.NOT_CANONICAL, "environment.json"),
    ]
    assert verification.members_checked == len(pieces)


def test_two_damaged_headers_in_a_row_end_the_reading(pieces: list[Piece]) -> None:
    position = find(pieces, "environment.json")
    for damaged in (position, position + 1):
        pieces[damaged] = pieces[damaged].with_header(b"\xff" * 512)
    verification = verify_tar(join(pieces))
    assert classes(verification) == [
        (FindingClass.NOT_CANONICAL, "environment.json"),
        (FindingClass.NOT_CANONICAL, pieces[position + 1].path),
    ]
    assert verification.members_checked == position + 1


def test_an_end_inside_whole_blocks_of_content_is_one_finding(tmp_path: Path) -> None:
    make_sealed_run(tmp_path, files={"ckpts/aligned": bytes(4096)})
    pieces = read_pieces(tmp_path)
    position = find(pieces, "ckpts/aligned")
    tar = join(pieces[: position + 1], end=b"")[:-1024]
    finding = only_finding(verify_tar(tar))
    assert (finding.finding_class, finding.path) == (FindingClass.TRUNCATED, "ckpts/aligned")
    assert (finding.expected, finding.found) == ("4096 bytes", "the end after 3072")


def test_data_in_the_padding_is_refused(pieces: list[Piece], bundle: Path) -> None:
    tar = bytearray(read_tar(bundle))
    position = find(pieces, "results/metrics.json")
    end = len(join(pieces[:position], end=b"")) + 512 + len(pieces[position].content)
    tar[end] = 1
    finding = only_finding(verify_tar(bytes(tar)))
    assert (finding.finding_class, finding.path) == (FindingClass.NOT_CANONICAL, "results/metrics.json")


@pytest.mark.parametrize(
    "header", ["1f8b0800010000000000", "1f8b08000000000002ff", "1f8b0800000000000003", "1f8b0800000000000403"]
)
def test_a_gzip_header_with_time_or_another_system_is_not_canonical(bundle: Path, header: str) -> None:
    verification = verify_bytes(bytes.fromhex(header) + bundle.read_bytes()[10:])
    assert only_finding(verification).finding_class is FindingClass.NOT_CANONICAL
    assert verification.identity == verify_bundle(bundle).identity


def test_a_gzip_header_with_a_name_is_not_canonical(bundle: Path) -> None:
    named = b"\x1f\x8b\x08\x08" + bytes(5) + b"\xff" + b"name.tar\0" + bundle.read_bytes()[10:]
    assert only_finding(verify_bytes(named)).finding_class is FindingClass.NOT_CANONICAL


def move_manifest_back(pieces: list[Piece]) -> list[Piece]:
    return [pieces[1], pieces[0], *pieces[2:]]


def edit_manifest(old: bytes, new: bytes) -> Callable[[list[Piece]], list[Piece]]:
    def edit(pieces: list[Piece]) -> list[Piece]:
        assert old in pieces[0].content
        return [pieces[0].with_content(pieces[0].content.replace(old, new, 1)), *pieces[1:]]

    return edit


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (move_manifest_back, "ckpts/tiny_ep1"),
        (lambda _: [], "an empty archive"),
        (edit_manifest(b'"checkpoint"', b' "checkpoint"'), "not in canonical form"),
        (edit_manifest(b'"schema_version":1', b'"schema_version":9'), "schema_version 9 is newer"),
        (edit_manifest(b'"schema_version":1', b'"schema_version":true'), "must be a whole number"),
        (edit_manifest(b"{", b"[{"), "not JSON"),
        (edit_manifest(b'"checkpoint"', b'"checkpoin"'), "checkpoint: Field required"),
        (lambda pieces: [pieces[0].with_content(b'{"a":1}')], "no schema_version"),
        (lambda pieces: [pieces[0].with_content(b"")], "not JSON"),
    ],
)
def test_a_bad_manifest_is_one_finding(
    pieces: list[Piece], change: Callable[[list[Piece]], list[Piece]], found: str
) -> None:
    verification = verify_tar(join(change(pieces)))
    finding = only_finding(verification)
    assert (finding.finding_class, finding.path) == (FindingClass.BAD_MANIFEST, "MANIFEST.json")
    assert finding.found is not None
    assert found in finding.found
    assert verification.identity is None
    assert verification.manifest is None
    assert not verification.ok


def test_a_role_that_is_not_the_folders_is_a_bad_manifest(tmp_path: Path) -> None:
    make_sealed_run(tmp_path / "run")
    pieces = edit_manifest(b'"role":"config"', b'"role":"code"')(read_pieces(tmp_path / "run"))
    verification = verify_tar(join(pieces))
    assert (FindingClass.BAD_MANIFEST, "config/tiny.gin") in classes(verification)


def test_edited_metadata_changes_the_identity_and_the_checksums_tell(pieces: list[Piece], bundle: Path) -> None:
    verification = verify_tar(join(edit_manifest(b'"title":"Tiny"', b'"title":"Huge"')(pieces)))
    assert only_finding(verification).path == "SHA256SUMS"
    assert verification.identity != verify_bundle(bundle).identity


@pytest.mark.parametrize("content", [b"", b"x", b"PK\x03\x04" + bytes(100), b'{"foreign":"json"}', bytes(5000)])
def test_a_file_that_is_no_bundle_is_a_finding(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "not-a-bundle.tar.gz"
    path.write_bytes(content)
    verification = verify_bundle(path)
    assert only_finding(verification).finding_class in {FindingClass.BAD_COMPRESSION, FindingClass.TRUNCATED}
    assert verification.source == str(path)
    assert not verification.ok


def test_a_missing_and_an_unreadable_path_are_errors(tmp_path: Path) -> None:
    with pytest.raises(MissingPathError, match="no such file"):
        verify_bundle(tmp_path / "absent.tar.gz")
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(UnavailableError, match="cannot be read"):
        verify_bundle(tmp_path / "loop")


def test_an_unexpected_name_cannot_write_to_the_terminal(pieces: list[Piece]) -> None:
    pieces.insert(1, make_piece("code/\x1b[31mred\n", b""))
    assert only_finding(verify_tar(join(pieces))).path == r"code/\x1b[31mred\n"


def test_a_flood_of_findings_is_cut(pieces: list[Piece]) -> None:
    pieces[1:1] = [make_piece(f"code/{number}", b"") for number in range(5000)]
    verification = verify_tar(join(pieces))
    assert 1000 < len(verification.findings) < 1010
    assert verification.findings[-1].found == "too many findings to go on"


def test_memory_does_not_grow_with_the_bundle(tmp_path: Path) -> None:
    make_sealed_run(tmp_path / "run", files={"ckpts/big": os.urandom(2**20) * 96})
    bundle = pack(tmp_path / "run", output=tmp_path / "run.tar.gz").path
    tracemalloc.start()
    assert verify_bundle(bundle).ok
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    # How full the queue of blocks was at its fullest is a matter of scheduling; what it may hold at most is not.
    most_ahead = (BLOCKS_AHEAD + 2) * (INPUT_BYTES + OUTPUT_BYTES)
    assert peak < most_ahead + 8 * 2**20


def test_a_tree_is_compared_file_by_file(tmp_path: Path) -> None:
    make_sealed_run(tmp_path, files={"code/a.py": b"a"})
    (tmp_path / "code/a.py").unlink()
    (tmp_path / "code/b.py").write_bytes(b"b")
    (tmp_path / "run.json").write_bytes(b"[]")
    (tmp_path / "tb/link").symlink_to("x")
    (tmp_path / "SHA256SUMS").write_bytes(b"")
    assert sorted(classes(verify_bundle(tmp_path))) == [
        (FindingClass.CHANGED, "SHA256SUMS"),
        (FindingClass.CHANGED, "run.json"),
        (FindingClass.MISSING, "code/a.py"),
        (FindingClass.UNEXPECTED, "code/b.py"),
        (FindingClass.WRONG_TYPE, "tb/link"),
    ]


def test_a_tree_without_checksums_or_manifest_is_refused(tmp_path: Path) -> None:
    make_sealed_run(tmp_path / "run")
    (tmp_path / "run/SHA256SUMS").unlink()
    assert classes(verify_bundle(tmp_path / "run")) == [(FindingClass.MISSING, "SHA256SUMS")]
    (tmp_path / "run/MANIFEST.json").unlink()
    assert classes(verify_bundle(tmp_path / "run")) == [(FindingClass.MISSING, "MANIFEST.json")]
    write_files(tmp_path / "run", {"MANIFEST.json": b"{}"})
    assert classes(verify_bundle(tmp_path / "run")) == [(FindingClass.BAD_MANIFEST, "MANIFEST.json")]


def test_one_flipped_byte_of_any_file_of_a_tree_is_found(tmp_path: Path) -> None:
    make_sealed_run(tmp_path)
    for path in sorted(path for path in tmp_path.rglob("*") if path.is_file() and path.stat().st_size):
        content = path.read_bytes()
        path.write_bytes(bytes([content[0] ^ 1]) + content[1:])
        assert not verify_bundle(tmp_path).ok, path
        path.write_bytes(content)
    assert verify_bundle(tmp_path).ok


def test_the_manifest_is_read_without_the_rest(bundle: Path, run: Path, tmp_path: Path) -> None:
    manifest = read_manifest_of(run)
    assert read_manifest_of(bundle) == manifest
    assert read_stored_manifest(bundle).identity == manifest.digest()
    tar = read_tar(bundle)
    beginning = tmp_path / "beginning.tar.gz"
    beginning.write_bytes(compress(tar[: 512 + len(manifest.to_json()) + 512]))
    assert read_manifest_of(beginning) == manifest
    (tmp_path / "other").write_bytes(b"no bundle")
    with pytest.raises(ContentError, match=r"bad-compression|truncated"):
        read_manifest_of(tmp_path / "other")
    with pytest.raises(MissingPathError):
        read_manifest_of(tmp_path / "absent")


@pytest.mark.parametrize("member", [CHECKPOINT, "MANIFEST.json", "SHA256SUMS", LONG_NAME, "results/empty.txt"])
def test_one_member_can_be_read(bundle: Path, run: Path, member: str) -> None:
    expected = (run / member).read_bytes()
    assert read_member(bundle, member=member, max_bytes=10_000) == expected
    assert read_member(run, member=member, max_bytes=10_000) == expected


def test_a_member_that_is_unknown_large_changed_or_missing_is_not_read(
    bundle: Path, run: Path, pieces: list[Piece], tmp_path: Path
) -> None:
    for source in (bundle, run):
        with pytest.raises(UnknownNameError, match=r"did you mean 'run\.json'"):
            read_member(source, member="run.jsn", max_bytes=10)
        with pytest.raises(UsageError, match="1280 bytes, more than the 1279"):
            read_member(source, member=CHECKPOINT, max_bytes=1279)
    position = find(pieces, CHECKPOINT)
    pieces[position] = pieces[position].with_content(bytes(1280))
    changed = tmp_path / "changed.tar.gz"
    changed.write_bytes(compress(join(pieces)))
    with pytest.raises(ContentError, match="tiny_ep1: changed"):
        read_member(changed, member=CHECKPOINT, max_bytes=1280)
    del pieces[position]
    changed.write_bytes(compress(join(pieces)))
    with pytest.raises(ContentError, match="tiny_ep1: missing"):
        read_member(changed, member=CHECKPOINT, max_bytes=1280)


def test_a_changed_file_of_a_tree_is_not_read(tmp_path: Path) -> None:
    make_sealed_run(tmp_path)
    (tmp_path / "run.json").write_bytes(b"[]")
    with pytest.raises(ContentError, match=r"run\.json: changed"):
        read_member(tmp_path, member="run.json", max_bytes=10)


def test_the_end_of_the_archive_is_two_blocks(bundle: Path) -> None:
    tar = read_tar(bundle)
    assert tar.endswith(END_OF_ARCHIVE)
    with tarfile.open(fileobj=io.BytesIO(tar)) as archive:
        assert archive.getnames()[-1] == "SHA256SUMS"


def test_a_tree_has_as_many_members_as_its_archive(tmp_path: Path) -> None:
    run = tmp_path / "run"
    make_sealed_run(run)
    pack(run, output=tmp_path / "bundle.tar.gz")
    packed, tree = verify_bundle(tmp_path / "bundle.tar.gz"), verify_bundle(run)
    assert (tree.members_checked, tree.bytes_checked) == (packed.members_checked, packed.bytes_checked)
    (run / "SHA256SUMS").unlink()
    assert verify_bundle(run).members_checked == packed.members_checked - 1
