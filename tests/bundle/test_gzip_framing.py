import gzip
import io
import os
import struct
import subprocess
import threading
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hstu_preserve.bundle import compression
from hstu_preserve.bundle.compression import GZIP_HEADER, GzipReader
from hstu_preserve.bundle.damage import DamagedError
from hstu_preserve.records.contents import FindingClass
from tests.bundle.archives import compress
from tests.patient_threads import patiently


def read_all(content: bytes, *, limit: int = 2**30) -> bytes:
    reader = GzipReader(io.BytesIO(content), source="test")
    reader.limit = limit
    pieces = []
    while piece := reader.read(1000):
        pieces.append(piece)
    return b"".join(pieces)


def damage_of(content: bytes) -> FindingClass:
    with pytest.raises(DamagedError) as caught:
        read_all(content)
    return caught.value.finding.finding_class


@given(content=st.binary(max_size=5000))
def test_what_is_written_is_read_by_us_and_by_gzip(content: bytes) -> None:
    packed = compress(content)
    assert read_all(packed) == gzip.decompress(packed) == content


def test_the_header_says_nothing_of_time_name_or_library() -> None:
    assert compress(b"x")[:10] == GZIP_HEADER == bytes.fromhex("1f8b08000000000000ff")
    result = subprocess.run(["gzip", "-t"], input=compress(b"x" * 1000), capture_output=True, check=True)
    assert result.stderr == b""


def test_zlib_serves_where_isal_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    content = b"weights" * 100_000
    by_isal = compress(content)
    monkeypatch.setattr(compression, "deflate", zlib)
    by_zlib = compress(content)
    assert read_all(by_isal) == read_all(by_zlib) == content
    assert by_isal != by_zlib
    assert damage_of(by_zlib[:-1]) is FindingClass.TRUNCATED


def test_float_weights_do_not_grow_as_isals_level_zero_makes_them() -> None:
    import numpy as np

    weights = np.random.default_rng(0).normal(size=100_000).astype(np.float32).tobytes()
    assert len(compress(weights)) < len(weights)


def test_every_flipped_byte_of_a_small_stream_is_refused() -> None:
    content = bytes(range(256)) * 3
    packed = compress(content)
    for position in range(10, len(packed)):  # the header's ten bytes are the walker's to compare
        changed = bytearray(packed)
        changed[position] ^= 0xFF
        assert damage_of(bytes(changed)) in {
            FindingClass.BAD_COMPRESSION,
            FindingClass.TRUNCATED,
            FindingClass.TRAILING_BYTES,
        }


def test_every_truncation_is_refused() -> None:
    packed = compress(bytes(range(256)) * 3)
    assert {damage_of(packed[:length]) for length in range(len(packed))} == {FindingClass.TRUNCATED}


@pytest.mark.parametrize(
    "appended", [b"\0", bytes(512), b"junk", gzip.compress(b"", mtime=0), gzip.compress(b"more", mtime=0)]
)
def test_nothing_may_follow(appended: bytes) -> None:
    assert damage_of(compress(b"content") + appended) is FindingClass.TRAILING_BYTES


def test_what_is_not_gzip_is_refused() -> None:
    assert damage_of(b"PK\x03\x04" + bytes(1000)) is FindingClass.BAD_COMPRESSION
    assert damage_of(b'{"schema_version": 0}') is FindingClass.BAD_COMPRESSION


def test_a_bomb_is_read_only_up_to_the_limit() -> None:
    bomb = compress(bytes(50 * 2**20))
    with pytest.raises(DamagedError, match="at most 1000000 bytes"):
        read_all(bomb, limit=1_000_000)


def test_input_that_arrives_in_drops_is_read_the_same() -> None:
    class Dripping(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            return super().read(min(size or 1, 7))

    content = b"weights" * 10_000
    reader = GzipReader(Dripping(compress(content)), source="test")
    reader.limit = len(content)
    assert reader.read_exactly(len(content)) == content
    assert reader.read(1) == b""
    assert reader.transport_sha256 is not None


class Bits:
    """Writes a deflate stream bit by bit (RFC 1951: the first bit is the lowest one)."""

    def __init__(self) -> None:
        self.value = self.length = 0

    def add(self, value: int, num_bits: int) -> "Bits":
        self.value |= value << self.length
        self.length += num_bits
        return self

    def add_code(self, code: str) -> "Bits":
        for bit in code:
            self.add(int(bit), 1)
        return self

    def to_bytes(self) -> bytes:
        return self.value.to_bytes((self.length + 7) // 8, "little")


def write_dynamic_block(lengths: dict[int, int], *, codes: str) -> bytes:
    """Return a gzip file of one block, whose literals and end of block have codes of these lengths.

    Args:
        lengths: Of each symbol's code; no other symbol has any.
        codes: Which codes follow.
    """
    bits = Bits().add(1, 1).add(2, 2).add(0, 5).add(0, 5).add(14, 4)
    order = (16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1)
    for symbol in order:  # lengths are written as 0, 1, 2 or 3, in two bits each
        bits.add(2 if symbol in {0, 1, 2, 3} else 0, 3)
    for symbol in (*range(257), 0):  # the last one is the only distance, which has no code
        bits.add_code(f"{lengths.get(symbol, 0) if symbol or not lengths.get(257) else 0:02b}")
    bits.add_code(codes)
    content = b"aaaa"
    trailer = struct.pack("<II", zlib.crc32(content), len(content))
    return GZIP_HEADER + bits.to_bytes() + trailer


INCOMPLETE = {
    "two codes of two bits": ({ord("a"): 2, 256: 2}, "00000000" + "01"),
    "one and three bits": ({ord("a"): 1, 256: 3}, "0000" + "100"),
    "three codes of two bits": ({ord("a"): 2, ord("b"): 2, 256: 2}, "00000000" + "10"),
}


@pytest.mark.parametrize("case", INCOMPLETE)
def test_a_stream_that_isal_alone_inflates_is_refused(case: str) -> None:
    igzip_lib = pytest.importorskip("isal.igzip_lib")
    lengths, codes = INCOMPLETE[case]
    packed = write_dynamic_block(lengths, codes=codes)
    assert igzip_lib.IgzipDecompressor(flag=igzip_lib.DECOMP_GZIP).decompress(packed, 100) == b"aaaa"
    assert subprocess.run(["gzip", "-t"], input=packed, capture_output=True, check=False).returncode == 1
    assert damage_of(packed) is FindingClass.BAD_COMPRESSION


def test_a_complete_code_is_read() -> None:
    assert read_all(write_dynamic_block({ord("a"): 1, 256: 1}, codes="0000" + "1")) == b"aaaa"


@pytest.mark.parametrize("flag", [0x20, 0x40, 0x80])
def test_a_reserved_flag_of_the_header_is_refused_as_gzip_refuses_it(flag: int) -> None:
    packed = bytearray(compress(b"content"))
    packed[3] = flag
    assert subprocess.run(["gzip", "-t"], input=bytes(packed), capture_output=True, check=False).returncode == 1
    assert damage_of(bytes(packed)) is FindingClass.BAD_COMPRESSION


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"version https://git-lfs.github.com/spec/v1\n", "a Git LFS pointer"),
        (b"<!DOCTYPE html><html>", "an HTML page"),
        (b"PK\x03\x04" + bytes(1000), "a zip file"),
        (b"", "nothing, it is empty"),
    ],
)
def test_what_is_no_gzip_at_all_is_named(content: bytes, says: str) -> None:
    with pytest.raises(DamagedError, match=says):
        read_all(content)


def test_a_reader_that_stops_early_ends_its_thread() -> None:
    before = threading.active_count()
    reader = GzipReader(io.BytesIO(compress(os.urandom(2**24))), source="test")
    reader.limit = 2**30
    reader.read(10)
    reader.close()
    assert threading.active_count() == before


def test_whoever_stops_need_not_wait_for_the_writer_of_a_pipe() -> None:
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb") as stream, os.fdopen(writing, "wb", buffering=0) as writer:
        writer.write(compress(os.urandom(10_000))[:5000])
        reader = GzipReader(stream, source="test")
        reader.limit = 2**30
        assert reader.read(10)
        closing = threading.Thread(target=reader.close, daemon=True)
        patiently(closing.start)
        closing.join(600)  # it would wait as long as the writer is there
        assert not closing.is_alive()


def test_a_pipe_is_read_to_its_end() -> None:
    content = os.urandom(300_000)
    reading, writing = os.pipe()

    def write() -> None:
        with os.fdopen(writing, "wb") as writer:
            writer.write(compress(content))

    thread = threading.Thread(target=write)
    patiently(thread.start)
    with os.fdopen(reading, "rb") as stream:
        reader = GzipReader(stream, source="test")
        reader.limit = 2**30
        assert reader.read_exactly(len(content)) == content
        assert reader.read(1) == b""
    thread.join()
