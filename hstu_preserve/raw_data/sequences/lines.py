"""The lines of a file that others made, compressed with gzip or plain, each numbered, none longer than a block."""

import gzip
import hashlib
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path

from hstu_preserve.errors import ContentError
from hstu_preserve.primitives.file_kinds import BEGINNING_BYTES, REPACK, SIGNATURES, describe_beginning
from hstu_preserve.primitives.files import open_stream
from hstu_preserve.primitives.text import find_other_encoding
from hstu_preserve.raw_data.sources import ByteReader, read_line_blocks

OTHER_FILES = tuple(SIGNATURES)
GZIP_MAGIC = b"\x1f\x8b"
MAX_GROWTH = 200
"""Of what gzip compressed: text of events shrinks to a tenth; deflate's own bound is 1,032."""
FREE_BYTES = 2**23
"""That may come out of a file of any size."""


@dataclass(frozen=True, kw_only=True)
class Line:
    """One line without its end."""

    number: int
    content: bytes


class BoundedGunzip:
    """Decompressed bytes of a gzip file; one that grows beyond all measure is refused before it fills the disk.

    Args:
        stream: The compressed file.
        label: Its name, for messages.
    """

    def __init__(self, stream: BufferedReader, *, label: str) -> None:
        self.compressed = stream
        self.stream = gzip.GzipFile(fileobj=stream)
        self.label = label

    def read(self, size: int, /) -> bytes:
        """Return the next bytes.

        Raises:
            ContentError: Damaged, or too much comes out of too little.
        """
        try:
            content = self.stream.read(size)
        except (gzip.BadGzipFile, EOFError, zlib.error) as error:
            raise ContentError(f"{self.label}: damaged gzip ({error}); fetch it again") from None
        if self.stream.tell() > max(FREE_BYTES, MAX_GROWTH * self.compressed.tell()):
            raise ContentError(
                f"{self.label}: grows to more than {MAX_GROWTH} times its size when it is decompressed, as no file of "
                "events does; if it is sound, decompress it first"
            )
        return content


class HashedFile:
    """The bytes of a plain file, and the name that git gives to its content.

    Args:
        stream: The file.
        size: Its bytes, with which git's hash begins.
    """

    def __init__(self, stream: BufferedReader, *, size: int) -> None:
        self.stream = stream
        self.digest = hashlib.sha1(b"blob %d\0" % size, usedforsecurity=False)

    def read(self, size: int, /) -> bytes:
        """Return the next bytes."""
        content = self.stream.read(size)
        self.digest.update(content)
        return content

    @property
    def git_blob(self) -> str:
        """Git's name of the content, once the file was read to its end."""
        return self.digest.hexdigest()


@dataclass(kw_only=True)
class LineFile:
    """A file of lines that can be read several times."""

    path: Path
    git_blob: str | None = None
    """Git's name of its content once it was read to its end; None before, and if it is compressed."""
    num_bytes_read: int = 0
    """Of the file, as it lies there, since it was opened last."""

    @property
    def label(self) -> str:
        """Its name, for messages and provenance; no machine's path."""
        return self.path.name

    def read_lines(self) -> Iterator[Line]:
        """Yield the lines that hold anything.

        Raises:
            MissingPathError: There is no such file.
            UsageError: A directory, a pipe or a device.
            ContentError: Another kind of file, damaged, UTF-16, or with a line longer than a block.
        """
        number = 0
        with open_stream(self.path) as raw, self.open(raw) as stream:
            for block in read_line_blocks(stream, label=self.label):
                self.num_bytes_read = raw.tell()
                for content in block[:-1].split(b"\n"):
                    number += 1
                    if content.strip():
                        yield Line(number=number, content=content)

    @contextmanager
    def open(self, raw: BufferedReader) -> Iterator[ByteReader]:
        """Yield the text of an opened file as bytes."""
        beginning = raw.peek(BEGINNING_BYTES)[:BEGINNING_BYTES]
        if beginning.startswith(GZIP_MAGIC):
            yield BoundedGunzip(raw, label=self.label)
            return
        if not beginning or beginning.startswith(OTHER_FILES):
            found = describe_beginning(beginning).replace(REPACK, "unpack it")
            raise ContentError(f"{self.label}: expected lines of events, found {found}")
        if b"\0" in beginning and find_other_encoding(beginning) is None:
            raise ContentError(f"{self.label}: holds NUL bytes, which no text has; save it as UTF-8")
        hashed = HashedFile(raw, size=self.path.stat().st_size)
        yield hashed
        self.git_blob = hashed.git_blob
