import gzip
import io
import os
import subprocess
import threading
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hstu_preserve.bundle import compression, inflating
from hstu_preserve.bundle.compression import GZIP_HEADER, GzipReader
from hstu_preserve.bundle.damage import DamagedError
from hstu_preserve.records.contents import FindingClass
from tests.bundle.archives import compress


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


def test_the_standard_library_reads_the_same_where_isal_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    packed = compress(bytes(range(256)) * 5000)
    monkeypatch.setattr(inflating, "igzip_lib", None)
    assert read_all(packed) == bytes(range(256)) * 5000
    assert damage_of(packed[:-1]) is FindingClass.TRUNCATED
    assert damage_of(packed + b"x") is FindingClass.TRAILING_BYTES
    assert damage_of(packed[:-5] + bytes([packed[-5] ^ 1]) + packed[-4:]) is FindingClass.BAD_COMPRESSION


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
        closing.start()
        closing.join(600)  # it would wait as long as the writer is there
        assert not closing.is_alive()


def test_a_pipe_is_read_to_its_end() -> None:
    content = os.urandom(300_000)
    reading, writing = os.pipe()

    def write() -> None:
        with os.fdopen(writing, "wb") as writer:
            writer.write(compress(content))

    thread = threading.Thread(target=write)
    thread.start()
    with os.fdopen(reading, "rb") as stream:
        reader = GzipReader(stream, source="test")
        reader.limit = 2**30
        assert reader.read_exactly(len(content)) == content
        assert reader.read(1) == b""
    thread.join()
