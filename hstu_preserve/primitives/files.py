"""Write files whole or not at all, and read them with errors that name the file."""

import errno
import os
import stat
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from io import BufferedReader
from itertools import takewhile
from pathlib import Path
from typing import IO, BinaryIO

from hstu_preserve.errors import ContentError, MissingPathError, UnavailableError, UsageError
from hstu_preserve.primitives.temporaries import draw_temporary, is_held, list_leftovers, remove_abandoned

MAX_NAME_BYTES = 255
"""Of a file's name, on every file system in use."""
CHUNK_BYTES = 2**20
"""Bytes that are read, hashed and written at once: the memory of a walk, however large the file."""
NOT_SUPPORTED = frozenset({errno.EINVAL, errno.ENOTSUP, errno.ENOSYS, errno.EPERM, errno.EACCES})
"""What a file system answers that cannot flush a file or has no modes; a full or broken disk answers otherwise."""


@contextmanager
def atomic_writer(path: Path) -> Iterator[IO[bytes]]:
    """Yield a stream whose content appears at `path`, whatever is there, if the block ends without an error.

    The file is written beside its destination, flushed to disk and renamed; a failure leaves nothing behind. What
    killed processes left of earlier attempts at the same path is removed.

    Raises:
        UnavailableError: The directory cannot be written, or the disk is full.
    """
    with temporary_file(path) as (stream, temporary):
        yield stream
        finish_temporary(stream, temporary)
        temporary.replace(path)
    flush_directory(path.parent)


@contextmanager
def new_file_writer(path: Path) -> Iterator[IO[bytes]]:
    """Yield a stream as `atomic_writer` does, whose content replaces nothing.

    Raises:
        UsageError: Another process made the file meanwhile; it stays.
        UnavailableError: The directory cannot be written, or the disk is full.
    """
    with temporary_file(path) as (stream, temporary):
        yield stream
        finish_temporary(stream, temporary)
        try:
            take_free_name(temporary, path)
        except FileExistsError:
            raise UsageError(f"{path}: came into being meanwhile; nothing was written over it") from None
    flush_directory(path.parent)


@contextmanager
def temporary_file(path: Path) -> Iterator[tuple[IO[bytes], Path]]:
    """Yield a new file beside `path`, locked, as a stream and by name; it is removed at the end if it has that name.

    Raises:
        UnavailableError: It cannot be made, or something in the block cannot be written.
    """
    remove_abandoned(list_leftovers(path))
    with refuse_unwritable(path), ExitStack() as stack:
        make_directory(path.parent)
        while True:
            temporary = draw_temporary(path)
            stack.callback(temporary.unlink, missing_ok=True)  # before it is made: a signal may come right after
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
            stream = stack.enter_context(os.fdopen(os.open(temporary, flags, 0o600), "wb"))
            if is_held(stream.fileno(), temporary):
                break
        yield stream, temporary


def finish_temporary(stream: IO[bytes], temporary: Path) -> None:
    """Put a file's content on the disk, and give it the mode of a new file.

    Raises:
        OSError: It cannot be written.
    """
    stream.flush()
    flush_file(stream.fileno())
    set_mode(temporary, 0o666 & ~current_umask())


def take_free_name(temporary: Path, path: Path) -> None:
    """Give a file its final name unless something has it.

    Raises:
        FileExistsError: Something has it.
        OSError: It cannot be named so.
    """
    try:
        os.link(temporary, path)
    except FileExistsError:
        raise
    except OSError:  # a file system without second names
        path.open("xb").close()
        temporary.replace(path)


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


def write_new(path: Path, content: bytes) -> None:
    """Write `content` to a file that did not exist, whole or not at all.

    Raises:
        UsageError: Another process made the file meanwhile; it stays.
        UnavailableError: The directory cannot be written, or the disk is full.
    """
    with new_file_writer(path) as stream:
        stream.write(content)


def read_bytes(path: Path) -> bytes:
    """Return the file's content.

    Raises:
        MissingPathError: There is no such file.
        UsageError: It is a directory.
        UnavailableError: It cannot be read.
    """
    with refuse_unreadable(path):
        return path.read_bytes()


@contextmanager
def refuse_unreadable(path: Path) -> Iterator[None]:
    """Turn an error of the operating system on reading the file `path` into one of ours.

    Raises:
        MissingPathError: There is no such file.
        UsageError: It is a directory.
        UnavailableError: It cannot be read.
    """
    try:
        yield
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
    with refuse_unreadable(path), path.open("rb") as stream:
        content = stream.read(max_bytes + 1)
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
