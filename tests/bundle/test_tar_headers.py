import io
import tarfile
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hstu_preserve.bundle.headers import MAX_USTAR_SIZE, make_header

PARTS = st.text(alphabet="abcXYZ019._-é日", min_size=1, max_size=70)
PATHS = st.lists(PARTS, min_size=1, max_size=6).map("/".join)


def expected_by_tarfile(path: str, *, size: int, form: Literal[0, 2]) -> bytes:
    info = tarfile.TarInfo(path)
    info.size = size
    return info.tobuf(format=form)


@given(path=PATHS.filter(str.isascii), size=st.integers(0, MAX_USTAR_SIZE))
def test_where_ustar_suffices_the_header_is_the_one_tarfile_writes(path: str, size: int) -> None:
    try:
        expected = expected_by_tarfile(path, size=size, form=0)
    except ValueError:
        assert len(make_header(path, size=size)) > 512
    else:
        assert make_header(path, size=size) == expected


@pytest.mark.parametrize(
    ("path", "size"),
    [("config/é.gin", 3), ("code/" + "x" * 101, 0), ("ckpts/big", MAX_USTAR_SIZE + 1), ("ckpts/日本", 2**53 - 1)],
)
def test_where_pax_is_needed_the_header_differs_from_tarfiles_only_in_the_extension_s_mode(
    path: str, size: int
) -> None:
    ours = make_header(path, size=size)
    theirs = expected_by_tarfile(path, size=size, form=2)
    assert len(ours) == len(theirs) == 3 * 512
    assert ours[512:] == theirs[512:]
    mode_and_checksum = {*range(100, 108), *range(148, 156)}
    assert {n for n in range(512) if ours[n] != theirs[n]} <= mode_and_checksum


@given(path=PATHS, size=st.integers(0, 2**53 - 1))
def test_tarfile_reads_back_path_size_and_nothing_else(path: str, size: int) -> None:
    with tarfile.open(fileobj=io.BytesIO(make_header(path, size=size) + bytes(1024))) as archive:
        info = archive.next()
    assert info is not None
    assert (info.name, info.size, info.type, info.mode) == (path, size, tarfile.REGTYPE, 0o644)
    assert (info.mtime, info.uid, info.gid, info.uname, info.gname) == (0, 0, 0, "", "")
    assert info.pax_headers.keys() <= {"path", "size"}


def test_the_extended_header_counts_the_digits_of_its_length() -> None:
    for length in range(1, 1000):
        path = "é" + "x" * length
        assert make_header(path, size=0)[512:] == expected_by_tarfile(path, size=0, form=2)[512:]


def test_a_path_at_the_limit_of_the_prefix_needs_no_extension() -> None:
    assert len(make_header("p" * 155 + "/" + "n" * 100, size=0)) == 512
    assert len(make_header("p" * 156 + "/" + "n" * 100, size=0)) == 1536
    assert len(make_header("n" * 100, size=0)) == 512
    assert len(make_header("n" * 101, size=0)) == 1536
