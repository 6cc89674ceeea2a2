"""Write files whole or not at all, and read them with errors that name the file."""

import errno
import os
import re
import stat
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedReader
from itertools import takewhile
from pathlib import Path
from typing import IO, BinaryIO

from hstu_preserve.errors import ContentError, MissingPathError, UnavailableError, UsageError

MAX_NAME_BYTES = 255
"""Of a file's name, on every file system in use."""
MAX_BORROWED_BYTES = 100
"""Of a path's own name in the name of its temporary, which has its own characters, too."""
CHUNK_BYTES = 2**20
"""Bytes that are read, hashed and written at once: the memory of a walk, however large the file."""
FOLDER_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
"""Open a folder itself, never the target of a link that took its place."""
NOT_SUPPORTED = frozenset({errno.EINVAL, errno.ENOTSUP, errno.ENOSYS, errno.EPERM, errno.EACCES})
"""What a file system answers that cannot flush a file or has no modes; a full or broken disk answers otherwise."""
TEMPORARY_ENDING = re.compile(r"[a-z0-9_]{8}\.tmp")
"""The eight characters that `tempfile` draws, and our suffix."""


@contextmanager
def atomic_writer(path: Path) -> Iterator[IO[bytes]]:
    """Yield a stream whose content appears at `path` only when the block ends without an error.

    The file is written beside its destination, flushed to disk and renamed; a failure leaves nothing behind.

    Raises:
        UnavailableError: The directory cannot be written, or the disk is full.
    """
    try:
        make_directory(path.parent)
        handle, temporary_name = tempfile.mkstemp(prefix=begin_temporary_name(path), suffix=".tmp", dir=path.parent)
    except OSError as error:
        raise UnavailableError(f"{path}: cannot be written ({error.strerror})") from None
    temporary = Path(temporary_name)
    try:
        with os.fdopen(handle, "wb") as stream:
            yield stream
            stream.flush()
            flush_file(stream.fileno())
        set_mode(temporary, 0o666 & ~current_umask())
        temporary.replace(path)
    except OSError as error:
        raise UnavailableError(f"{path}: cannot be written ({error.strerror or error})") from None
    finally:
        temporary.unlink(missing_ok=True)
    flush_directory(path.parent)


def begin_temporary_name(path: Path) -> str:
    """Return how the names of all temporaries of a path begin."""
    name = path.name[:MAX_BORROWED_BYTES]
    while len(os.fsencode(name)) > MAX_BORROWED_BYTES:  # a character may take four bytes
        name = name[:-1]
    return f".{name}."


def make_directory(directory: Path) -> None:
    """Make a directory and its missing parents, all of which outlive a power loss.

    Raises:
        OSError: It cannot be made.
    """
    made = list(takewhile(lambda path: not path.exists(), (directory, *directory.parents)))
    directory.mkdir(parents=True, exist_ok=True)
    for path in made:
        flush_directory(path.parent)


@contextmanager
def refuse_unwritable(path: Path, *, advice: str = "") -> Iterator[None]:
    """Turn an error of the operating system on writing `path` into an UnavailableError, which ends with the advice.

    Raises:
        UnavailableError: No permission, a full disk, ….
    """
    try:
        yield
    except OSError as error:
        raise UnavailableError(f"{path}: cannot be written ({error.strerror or error}){advice}") from None


def write_whole(stream: IO[bytes], content: memoryview) -> None:
    """Write all of `content` to a stream without a buffer, which may take less than it is offered.

    Raises:
        OSError: It takes no more.
    """
    while content:
        content = content[stream.write(content) :]


def write_atomically(path: Path, content: bytes) -> None:
    """Write `content` to `path`, whole or not at all.

    Raises:
        UnavailableError: The directory cannot be written, or the disk is full.
    """
    with atomic_writer(path) as stream:
        stream.write(content)


def read_bytes(path: Path) -> bytes:
    """Return the file's content.

    Raises:
        MissingPathError: There is no such file.
        UsageError: It is a directory.
        UnavailableError: It cannot be read.
    """
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise MissingPathError(f"{path}: no such file") from None
    except IsADirectoryError:
        raise UsageError(f"{path}: a directory, not a file") from None
    except OSError as error:
        raise UnavailableError(f"{path}: cannot be read ({error.strerror})") from None


def read_small(path: Path, *, max_bytes: int) -> bytes:
    """Return the content of a file or pipe that is read whole, and therefore must be small.

    Raises:
        MissingPathError: There is no such file.
        UsageError: It is a directory.
        ContentError: It is larger than `max_bytes`; no more than these are read.
        UnavailableError: It cannot be read.
    """
    try:
        with path.open("rb") as stream:
            content = stream.read(max_bytes + 1)
    except FileNotFoundError:
        raise MissingPathError(f"{path}: no such file") from None
    except IsADirectoryError:
        raise UsageError(f"{path}: a directory, not a file") from None
    except OSError as error:
        raise UnavailableError(f"{path}: cannot be read ({error.strerror})") from None
    if len(content) > max_bytes:
        raise ContentError(f"{path}: larger than the {max_bytes} bytes that are read of it")
    return content


def open_cut(path: Path, *, length: int) -> BinaryIO:
    """Open a file to be written on after its first `length` bytes; the bytes after them are cut off.

    Raises:
        UnavailableError: There is no such file, it is shorter, or it cannot be written.
    """
    try:
        stream = path.open("r+b")
        if os.fstat(stream.fileno()).st_size < length:
            stream.close()
            raise UnavailableError(f"{path}: shorter than the {length} bytes that shall stay")
        stream.truncate(length)
        stream.seek(length)
    except OSError as error:
        raise UnavailableError(f"{path}: cannot be written ({error.strerror})") from None
    return stream


def flush_to_disk(stream: IO[bytes], *, path: Path) -> int:
    """Flush the bytes written to `stream` to the disk, and return the position after them.

    Raises:
        UnavailableError: It cannot be written; `path` says where.
    """
    try:
        stream.flush()
        flush_file(stream.fileno())
        return stream.tell()
    except OSError as error:
        raise UnavailableError(f"{path}: cannot be written ({error.strerror})") from None


def close_written(stream: IO[bytes], *, path: Path) -> None:
    """Close a stream that was written to; this writes the bytes that its buffer still holds.

    An error under way stays the one that is raised: if a disk is full, closing fails after it for the same reason.

    Raises:
        UnavailableError: It cannot be written; `path` says where.
    """
    is_error_under_way = sys.exception() is not None
    try:
        stream.close()
    except OSError as error:
        if not is_error_under_way:
            raise UnavailableError(f"{path}: cannot be written ({error.strerror})") from None


def remove_leftovers(directory: Path) -> list[Path]:
    """Remove the files that interrupted atomic writes left below `directory`, and return their paths."""
    leftovers = sorted(path for path in directory.rglob(".*.tmp") if path.is_file() and not path.is_symlink())
    try:
        for path in leftovers:
            path.unlink(missing_ok=True)
    except OSError as error:
        raise UnavailableError(f"{error.filename}: cannot be removed ({error.strerror})") from None
    return leftovers


def list_leftovers(path: Path) -> list[Path]:
    """Return the files and folders that killed writers of `path` left beside it, not yet renamed to it."""
    beginning = begin_temporary_name(path)
    return sorted(
        other
        for other in path.parent.glob(".*.tmp")
        if other.name.startswith(beginning) and TEMPORARY_ENDING.fullmatch(other.name.removeprefix(beginning))
    )


def current_umask() -> int:
    """Return the process's file mode creation mask."""
    mask = os.umask(0)
    os.umask(mask)
    return mask


def flush_file(descriptor: int) -> None:
    """Have the system write a file's bytes to its disk, if its file system can; network shares and FUSE may not.

    Raises:
        OSError: The disk fails or is full.
    """
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in NOT_SUPPORTED:
            raise


def set_mode(place: Path | int, mode: int) -> None:
    """Set who may read and write a file or folder, if its file system knows that; a FAT disk refuses it."""
    try:
        os.chmod(place, mode)  # noqa: PTH101  a descriptor may be given
    except OSError as error:
        if error.errno not in NOT_SUPPORTED:
            raise


def flush_directory(directory: Path) -> None:
    """Make a rename in `directory` durable, if the platform can."""
    try:
        descriptor = os.open(directory, os.O_RDONLY)
    except OSError:
        return
    try:
        os.fsync(descriptor)
    except OSError:
        pass
    finally:
        os.close(descriptor)


def open_stream(path: Path) -> BufferedReader:
    """Open a file to be read as bytes.

    Raises:
        MissingPathError: There is no such file.
        UsageError: It is a directory, or a pipe or device, which cannot be read twice and may never end.
        UnavailableError: It cannot be read.
    """
    try:
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode):
            raise UsageError(f"{path}: a directory, not a file")
        if stat.S_ISFIFO(mode):
            raise UsageError(
                f"{path}: not a regular file but a named pipe; 'hstu-preserve verify -' reads standard input"
            )
        if not stat.S_ISREG(mode):
            raise UsageError(f"{path}: not a regular file but a device or socket")
        return path.open("rb")
    except FileNotFoundError:
        raise MissingPathError(f"{path}: no such file") from None
    except OSError as error:
        raise UnavailableError(f"{path}: cannot be read ({error.strerror})") from None
