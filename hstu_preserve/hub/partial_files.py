"""A file that is not whole yet, and what it is a part of; it outlives the process that began it."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hstu_preserve.errors import ContentError, UnavailableError
from hstu_preserve.primitives.files import write_atomically
from hstu_preserve.records.numbers import NaturalInt
from hstu_preserve.records.record import Record

CHUNK_BYTES = 1 << 20


class PartRecord(Record):
    """What a partial file is a part of; never the signed address, which is a secret for a while."""

    repository: str
    path: str
    commit: str
    etag: str
    size: NaturalInt
    storage_etag: str | None
    """The strong ETag of the storage's own answer: what `If-Range` names."""


class PartialFile:
    """The bytes received so far, in a `.part` file with a record beside it; one process at a time."""

    def __init__(self, path: Path, *, descriptor: int) -> None:
        self.path = path
        self.descriptor = descriptor
        self.size = os.fstat(descriptor).st_size

    @property
    def record_path(self) -> Path:
        """Where its record is."""
        return self.path.with_suffix(".json")

    def read_record(self) -> PartRecord | None:
        """Return what it is a part of, None where that is not known."""
        try:
            return PartRecord.from_json(self.record_path.read_bytes(), source=str(self.record_path))
        except (OSError, ContentError):
            return None

    def write_record(self, record: PartRecord) -> None:
        """Say what it is a part of."""
        write_atomically(self.record_path, record.to_json())

    def append(self, chunk: bytes) -> None:
        """Add bytes; they are handed to the system at once, so that a killed process loses none.

        Raises:
            UnavailableError: The disk is full or cannot be written.
        """
        rest = memoryview(chunk)
        try:
            while rest:
                written = os.pwrite(self.descriptor, rest, self.size)
                self.size += written
                rest = rest[written:]
        except OSError as error:
            raise UnavailableError(
                f"{self.path}: cannot be written ({error.strerror}); what arrived is kept, the next run continues"
            ) from None

    def discard(self) -> None:
        """Forget the bytes."""
        os.ftruncate(self.descriptor, 0)
        self.size = 0

    def chunks(self) -> Iterator[bytes]:
        """Yield the bytes received so far."""
        position = 0
        while chunk := os.pread(self.descriptor, CHUNK_BYTES, position):
            position += len(chunk)
            yield chunk

    def move_to(self, destination: Path) -> None:
        """Give the whole file its name, read-only.

        The disk is not waited for, as little as other clients do. A power failure may leave the file short: the cache
        sees that by its size and fetches it again, and whoever works on a bundle compares its bytes in any case.

        Raises:
            UnavailableError: The system refuses.
        """
        try:
            os.fchmod(self.descriptor, 0o444)
            destination.parent.mkdir(parents=True, exist_ok=True)
            self.path.replace(destination)
            self.record_path.unlink(missing_ok=True)
        except OSError as error:
            raise UnavailableError(f"{destination}: cannot be written ({error.strerror})") from None


@contextmanager
def open_partial(path: Path) -> Iterator[PartialFile]:
    """Open or begin a partial file, and keep other processes away from it.

    Raises:
        UnavailableError: It cannot be written, or another process is at it.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise UnavailableError(f"{path}: cannot be written ({error.strerror})") from None
    try:
        lock(descriptor, path=path)
        yield PartialFile(path, descriptor=descriptor)
    finally:
        os.close(descriptor)


def lock(descriptor: int, *, path: Path) -> None:
    """Take the lock that ends with the process."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        raise UnavailableError(f"{path}: another process is fetching this file; wait for it") from None
