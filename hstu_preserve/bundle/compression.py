"""Gzip, framed strictly: ten fixed header bytes, one deflate stream, its checksum, nothing after.

isal where it is installed, about 20 times faster than zlib at the same size. Level 1, since isal's level 0 makes float
weights larger than they were.
"""

import hashlib
import struct
import zlib
from types import ModuleType
from typing import BinaryIO, Protocol

from hstu_preserve.bundle.damage import DamagedError
from hstu_preserve.errors import UnavailableError
from hstu_preserve.records.contents import FindingClass

deflate: ModuleType
try:
    from isal import isal_zlib as deflate
except ImportError:  # a platform without wheels: slower, and other compressed bytes of the same tar
    deflate = zlib

COMPRESSION_LEVEL = 1
GZIP_MAGIC = b"\x1f\x8b\x08"
GZIP_HEADER = GZIP_MAGIC + bytes(6) + b"\xff"
"""No flags, mtime 0, no extra flags, unknown system: the same whichever library compresses."""
INPUT_BYTES = 2**18
OUTPUT_BYTES = 2**20


class Writable(Protocol):
    """Where bytes go."""

    def write(self, chunk: bytes, /) -> object:
        """Take the bytes."""


class GzipWriter:
    """Compresses into a stream; `finish` ends the stream without closing it."""

    def __init__(self, sink: Writable) -> None:
        self.sink = sink
        self.compressor = deflate.compressobj(COMPRESSION_LEVEL, deflate.DEFLATED, -deflate.MAX_WBITS)
        self.checksum = self.size = 0
        sink.write(GZIP_HEADER)

    def write(self, chunk: bytes) -> None:
        """Add bytes."""
        self.checksum = zlib.crc32(chunk, self.checksum)
        self.size += len(chunk)
        self.sink.write(self.compressor.compress(chunk))

    def finish(self) -> None:
        """Write what is left and the checksum."""
        self.sink.write(self.compressor.flush())
        self.sink.write(struct.pack("<II", self.checksum, self.size % 2**32))


class GzipReader:
    """Decompresses a stream front to back in flat memory and hashes the compressed bytes on the way."""

    def __init__(self, stream: BinaryIO, *, source: str) -> None:
        self.stream = stream
        self.source = source
        self.place = source
        """What a finding names: the member that is being read."""
        self.position = 0
        """Decompressed bytes handed out."""
        self.limit = 0
        """Decompressed bytes beyond which reading stops: against bombs; whoever reads raises it."""
        self.header_found = b""
        self.transport_sha256: str | None = None
        """Of the compressed bytes, once the end was reached."""
        self._transport = hashlib.sha256()
        self._decompressor = deflate.decompressobj(16 + deflate.MAX_WBITS)
        self._chunk = b""
        self._offset = 0

    def read(self, size: int) -> bytes:
        """Return at least one and at most `size` bytes, or none at the end of a stream that ended properly.

        Raises:
            DamagedError: The compressed stream is damaged, cut off or followed by something.
            UnavailableError: The stream cannot be read.
        """
        if self._offset == len(self._chunk):
            self._chunk, self._offset = self._decompress(), 0
        piece = self._chunk[self._offset : self._offset + size]
        self._offset += len(piece)
        self.position += len(piece)
        if self.position > self.limit:
            raise self.damage(FindingClass.TRAILING_BYTES, expected=f"at most {self.limit} bytes of tar", found="more")
        return piece

    def read_exactly(self, size: int) -> bytes:
        """Return `size` bytes.

        Raises:
            DamagedError: The stream ends before.
        """
        pieces = []
        left = size
        while left:
            piece = self.read(left)
            if not piece:
                raise self.damage(
                    FindingClass.TRUNCATED, expected=f"{size} more bytes", found=f"the end after {size - left}"
                )
            pieces.append(piece)
            left -= len(piece)
        return b"".join(pieces)

    def damage(self, kind: FindingClass, *, expected: str | None, found: str | None) -> DamagedError:
        """Return the error that ends the reading here."""
        return DamagedError(kind, self.place, expected=expected, found=found)

    def _decompress(self) -> bytes:
        """Return the next decompressed bytes; none at the end."""
        while not self._decompressor.eof:
            pending = self._decompressor.unconsumed_tail or self._read_raw()
            try:
                chunk: bytes = self._decompressor.decompress(pending, OUTPUT_BYTES)
            except (zlib.error, deflate.error) as error:
                raise self.damage(
                    FindingClass.BAD_COMPRESSION, expected="a gzip stream", found=f"damage ({error})"
                ) from None
            if chunk:
                return chunk
            if not pending and not self._decompressor.eof:
                raise self.damage(FindingClass.TRUNCATED, expected="more compressed bytes", found="the end of the file")
        if self.transport_sha256 is None:
            self._require_end()
        return b""

    def _require_end(self) -> None:
        """Require that nothing follows the stream's checksum, and keep the digest."""
        after = self._decompressor.unused_data or self._read_raw()
        if after:
            self.place = self.source
            found = (
                "a second gzip member" if after.startswith(GZIP_MAGIC[:2]) else "zeros" if not any(after) else "data"
            )
            raise self.damage(FindingClass.TRAILING_BYTES, expected="the end of the file", found=found)
        self.transport_sha256 = self._transport.hexdigest()

    def _read_raw(self) -> bytes:
        """Return the next compressed bytes."""
        try:
            raw = self.stream.read(INPUT_BYTES)
        except OSError as error:
            raise UnavailableError(f"{self.source}: cannot be read ({error.strerror})") from None
        self._transport.update(raw)
        missing = len(GZIP_HEADER) - len(self.header_found)
        self.header_found += raw[:missing]
        return raw
