"""Read a target, or a list of digests, from standard input; what was read is kept, so that it can be read again."""

import io
import sys
import tempfile
import weakref
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import BinaryIO, cast

from hstu_preserve.digest_lists.digest_list import MAX_LIST_BYTES
from hstu_preserve.errors import ContentError
from hstu_preserve.primitives.byte_sources import ByteSource
from hstu_preserve.primitives.files import CHUNK_BYTES

STANDARD_INPUT = "-"
MAX_BYTES_IN_MEMORY = 16 * 2**20
"""The beginning of a bundle holds all that `show` reads; only what is beyond goes to the temporary folder."""


class KeptInput:
    """A stream that can be read once, kept as far as it was read."""

    def __init__(self, stream: BinaryIO) -> None:
        self.stream = stream
        self.kept = tempfile.SpooledTemporaryFile(max_size=MAX_BYTES_IN_MEMORY)  # noqa: SIM115  as long as the stream
        weakref.finalize(self, self.kept.close)
        self.size = 0

    def read(self, position: int, *, num_bytes: int) -> bytes:
        """Return bytes from a position on, at least one unless it is the end."""
        if position == self.size:
            piece = self.stream.read(CHUNK_BYTES)
            self.kept.seek(self.size)
            self.kept.write(piece)
            self.size += len(piece)
        self.kept.seek(position)
        return self.kept.read(num_bytes)


class Reading(io.RawIOBase):
    """One reading of a kept stream, from its beginning."""

    def __init__(self, kept: KeptInput) -> None:
        self.source = kept
        self.position = 0

    def readable(self) -> bool:
        """It can be read."""
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]  # any writable buffer
        """Fill the buffer with the next bytes; 0 at the end."""
        piece = self.source.read(self.position, num_bytes=len(buffer))
        buffer[: len(piece)] = piece
        self.position += len(piece)
        return len(piece)


def keep_standard_input() -> ByteSource:
    """Return standard input as a source that can be read more than once; no byte is read yet."""
    kept = KeptInput(sys.stdin.buffer)

    @contextmanager
    def read() -> Iterator[BinaryIO]:
        yield cast("BinaryIO", Reading(kept))

    return ByteSource(name=STANDARD_INPUT, place=STANDARD_INPUT, size=0, open=read)


def choose_list(md5_list: str | Path | None) -> Path | ByteSource | None:
    """Return the list of digests that a user names; `-` reads it from standard input, whole.

    Raises:
        ContentError: It is larger than a list may be.
    """
    if md5_list is None or str(md5_list) != STANDARD_INPUT:
        return None if md5_list is None else Path(md5_list)
    content = sys.stdin.buffer.read(MAX_LIST_BYTES + 1)
    if len(content) > MAX_LIST_BYTES:
        raise ContentError(f"{STANDARD_INPUT}: more than the {MAX_LIST_BYTES} bytes that a list of digests may have")
    return ByteSource(
        name=STANDARD_INPUT, place=STANDARD_INPUT, size=len(content), open=lambda: nullcontext(io.BytesIO(content))
    )
