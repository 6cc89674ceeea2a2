"""The named files of a download, read from a folder or straight out of a zip."""

import hashlib
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Protocol

from hstu_preserve.errors import ContentError, MissingPathError, UnavailableError
from hstu_preserve.primitives.files import open_stream
from hstu_preserve.primitives.text import NotUtf8Error, drop_mark

BLOCK_BYTES = 2**20


class ByteReader(Protocol):
    """Whatever gives bytes one after the other."""

    def read(self, size: int, /) -> bytes:
        """Return the next bytes, at most `size`; none at the end."""
        ...


class Source(Protocol):
    """Named files, wherever they lie."""

    @property
    def name(self) -> str:
        """Of the folder or zip, for messages and provenance; no machine's path."""
        ...

    @property
    def md5(self) -> str | None:
        """Of the zip; None for a folder."""
        ...

    def open(self, file_name: str) -> IO[bytes]:
        """Return the file's stream."""
        ...


@dataclass(frozen=True, kw_only=True)
class DirectorySource:
    """The files of a folder, or of the one folder inside it that has them."""

    root: Path
    md5: None = None

    @property
    def name(self) -> str:
        """The folder's name."""
        return self.root.resolve().name

    def open(self, file_name: str) -> IO[bytes]:
        """Return the file's stream.

        Raises:
            MissingPathError: The file is not there, or in more than one subfolder.
            UnavailableError: It cannot be read.
        """
        return open_stream(self.locate(file_name))

    def locate(self, file_name: str) -> Path:
        """Return the file's path."""
        if (self.root / file_name).is_file():
            return self.root / file_name
        nested = [path for path in self.root.glob(f"*/{file_name}") if path.is_file()]
        if len(nested) != 1:
            where = "in none of its folders" if not nested else f"in {len(nested)} of its folders"
            raise MissingPathError(f"{self.root}: {file_name} is not there and {where}; name the unpacked folder")
        return nested[0]


@dataclass(frozen=True, kw_only=True)
class ZipSource:
    """The files of a zip: read in place, so that no member's path is ever written to."""

    archive: zipfile.ZipFile
    name: str
    md5: str

    def open(self, file_name: str) -> IO[bytes]:
        """Return the member's stream.

        Raises:
            ContentError: No member, or several, of that name at the top or one folder below; or an encrypted one.
        """
        members = [info for info in self.archive.infolist() if is_named(info.filename, file_name)]
        if len(members) != 1:
            raise ContentError(f"{self.name}: expected one {file_name}, found {len(members)}")
        try:
            return self.archive.open(members[0])
        except (RuntimeError, NotImplementedError, zipfile.BadZipFile) as error:
            raise ContentError(f"{self.name}: {file_name} cannot be read ({error})") from None


def is_named(member: str, file_name: str) -> bool:
    """Say whether a zip member is that file, at the top or in one folder."""
    parts = PurePosixPath(member.replace("\\", "/")).parts  # some tools of Windows write their own separator
    return 1 <= len(parts) <= 2 and parts[-1] == file_name and parts[0] != "__MACOSX"


@contextmanager
def open_source(path: Path, *, zip_md5: str | None) -> Iterator[Source]:
    """Yield the files of a folder or zip; a zip's md5 is compared before anything is read from it.

    Args:
        path: A folder or a zip.
        zip_md5: The md5 that the zip must have, if one is published.

    Raises:
        MissingPathError: There is nothing at `path`.
        ContentError: Not a zip, or not the published one.
    """
    if path.is_dir():
        yield DirectorySource(root=path)
        return
    with open_stream(path) as stream:
        found = hashlib.file_digest(stream, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
        if zip_md5 is not None and found != zip_md5:
            raise ContentError(f"{path}: md5 differs (expected {zip_md5}, found {found}); fetch the zip again")
        try:
            archive = zipfile.ZipFile(stream)
        except zipfile.BadZipFile as error:
            raise ContentError(f"{path}: neither a folder nor a zip ({error})") from None
        with archive:
            yield ZipSource(archive=archive, name=path.name, md5=found)


def read_line_blocks(stream: ByteReader, *, label: str) -> Iterator[bytes]:
    r"""Yield the stream in blocks of whole lines, each line ending in a single `\n`, without a byte order mark.

    Args:
        stream: Read to its end; memory stays within a few blocks unless one line is longer.
        label: Names the stream in the message.

    Raises:
        ContentError: The zip member is damaged, UTF-16 or UTF-32, or a line is longer than a block.
    """
    rest = b""
    is_beginning = True
    try:
        while block := stream.read(BLOCK_BYTES):
            block = drop_mark(block) if is_beginning else block
            is_beginning = False
            whole, newline, rest = (rest + block).rpartition(b"\n")
            if len(rest) > BLOCK_BYTES:
                raise ContentError(f"{label}: a line longer than {BLOCK_BYTES} bytes")
            if newline:
                yield (whole + newline).replace(b"\r\n", b"\n")
    except (zipfile.BadZipFile, zlib.error, EOFError) as error:
        raise ContentError(f"{label}: damaged ({error})") from None
    except NotUtf8Error as error:
        raise ContentError(f"{label}: {error}") from None
    except OSError as error:
        raise UnavailableError(f"{label}: cannot be read ({error.strerror})") from None
    if rest:
        yield rest.removesuffix(b"\r") + b"\n"


def read_whole(stream: IO[bytes], *, label: str, limit_bytes: int) -> bytes:
    """Return all lines of a stream that is small if it is the expected file.

    Raises:
        ContentError: Damaged, or larger than `limit_bytes`.
    """
    content = bytearray()
    for block in read_line_blocks(stream, label=label):
        content += block
        if len(content) > limit_bytes:
            raise ContentError(f"{label}: larger than {limit_bytes:,} bytes, which no movie table is")
    return bytes(content)
