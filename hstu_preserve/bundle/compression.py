"""Gzip, framed strictly: ten fixed header bytes, one deflate stream, its checksum, nothing after.

isal compresses if it is installed: about 20 times faster than zlib at the same size. Level 1, since isal's level 0
makes float weights larger than they were. Whatever compressed it, zlib inflates: see `inflating`.
"""

import hashlib
import struct
import weakref
import zlib
from collections.abc import Callable
from types import ModuleType
from typing import BinaryIO, Protocol

from hstu_preserve.bundle.damage import DamagedError
from hstu_preserve.bundle.inflating import GZIP_MAGIC, Block, Damage, End, Inflating
from hstu_preserve.errors import UnavailableError
from hstu_preserve.primitives.voice import count_nothing
from hstu_preserve.records.contents import FindingClass

deflate: ModuleType
try:
    from isal import isal_zlib as deflate
except ImportError:  # a platform without wheels: slower, and other compressed bytes of the same tar
    deflate = zlib

COMPRESSION_LEVEL = 1
GZIP_HEADER = GZIP_MAGIC + bytes(6) + b"\xff"
"""No flags, mtime 0, no extra flags, unknown system: the same whichever library compresses."""


class Writable(Protocol):
    """Anything that takes bytes."""

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
        self.checksum = deflate.crc32(chunk, self.checksum)
        self.size += len(chunk)
        self.sink.write(self.compressor.compress(chunk))

    def finish(self) -> None:
        """Write the rest of the stream and its checksum."""
        self.sink.write(self.compressor.flush())
        # RFC 1952 gives the size 32 bits: above 4 GiB it wraps.
        self.sink.write(struct.pack("<II", self.checksum, self.size % 2**32))


class GzipReader:
    """Decompresses a stream front to back in flat memory and hashes the compressed bytes on the way."""

    def __init__(self, stream: BinaryIO, *, source: str, count: Callable[[int], None] = count_nothing) -> None:
        self.stream = stream
        self.count = count
        """Is told of compressed bytes as they are read, by whoever reads, never by the thread that inflates."""
        self.source = source
        self.place = source
        """The path that a finding names: the member being read."""
        self.position = 0
        """Decompressed bytes handed out."""
        self.limit = 0
        """Decompressed bytes beyond which reading stops, against bombs; the caller raises it as it learns more."""
        self.header_found = b""
        self.transport_sha256: str | None = None
        """Of the compressed bytes, once the end was reached."""
        self._transport = hashlib.sha256()
        self._inflating: Inflating | None = None
        self._is_at_end = False
        self._chunk = b""
        self._offset = 0

    def close(self) -> None:
        """End the thread that reads ahead; the stream stays open."""
        if self._inflating is not None:
            self._inflating.close()

    def read(self, size: int) -> bytes:
        """Return at least one and at most `size` bytes, or none at the end of a stream that ended properly.

        Raises:
            DamagedError: The compressed stream is damaged, cut off or followed by something.
            UnavailableError: The stream cannot be read.
        """
        if self._offset == len(self._chunk):
            self._chunk, self._offset = self._next_content(), 0
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

    def _next_content(self) -> bytes:
        """Return the next decompressed bytes; none at the end."""
        if self._inflating is None:
            self._inflating = Inflating(self.stream)
            weakref.finalize(self, self._inflating.request_stop)  # a reader dropped unclosed ends its thread, too
        while not self._is_at_end:
            match self._inflating.take():
                case Block() as block:
                    self._note_raw(block.raw)
                    if block.content:
                        return block.content
                case End(after=after):
                    self._is_at_end = True
                    self._require_nothing(after)
                    self.transport_sha256 = self._transport.hexdigest()
                case Damage() as damage:
                    self._is_at_end = True
                    raise self.damage(damage.kind, expected=damage.expected, found=damage.found)
                case OSError() as error:
                    self._is_at_end = True
                    raise UnavailableError(f"{self.source}: cannot be read ({error.strerror})") from None
        return b""

    def _note_raw(self, raw: bytes) -> None:
        """Hash compressed bytes, and keep the first ones: the gzip header."""
        self._transport.update(raw)
        self.count(len(raw))
        missing = len(GZIP_HEADER) - len(self.header_found)
        self.header_found += raw[:missing]

    def _require_nothing(self, after: bytes) -> None:
        """Require that nothing follows the stream's checksum."""
        # gzip and tarfile take zeros or a second member here without a word, and so could hide bytes.
        if after:
            self.place = self.source
            found = (
                "a second gzip member" if after.startswith(GZIP_MAGIC[:2]) else "zeros" if not any(after) else "data"
            )
            raise self.damage(FindingClass.TRAILING_BYTES, expected="the end of the file", found=found)
