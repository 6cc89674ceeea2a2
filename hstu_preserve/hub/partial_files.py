"""Keep the bytes of an unfinished download and a record of their file, so that a later process can resume it."""

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from hstu_preserve.errors import ContentError, UnavailableError
from hstu_preserve.primitives.files import CHUNK_BYTES, refuse_unwritable, set_mode, write_atomically
from hstu_preserve.primitives.numbers import NaturalInt
from hstu_preserve.primitives.voice import Voice
from hstu_preserve.records.record import Record

MAX_IDLE_SECONDS = 180.0
"""How long another process may receive nothing; longer than any wait of its own between two attempts."""
POLL_SECONDS = 0.1


class PartRecord(Record):
    """The file that a partial file belongs to; never the signed address, which is a secret while it lasts."""

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
        """The path of its record."""
        return self.path.with_suffix(".json")

    def read_record(self) -> PartRecord | None:
        """Return the record of the file that it is a part of, None if there is no readable one."""
        try:
            return PartRecord.from_json(self.record_path.read_bytes(), source=str(self.record_path))
        except (OSError, ContentError):
            return None

    def write_record(self, record: PartRecord) -> None:
        """Write down which file it is a part of."""
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
                f"{self.path}: cannot be written ({error.strerror or error}); "
                "what arrived is kept, the next run continues"
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
        sees that by its size and fetches it again, and every verb that works on a bundle compares its bytes.

        Raises:
            UnavailableError: The system refuses.
        """
        try:
            set_mode(self.descriptor, 0o444)
            destination.parent.mkdir(parents=True, exist_ok=True)
            self.path.replace(destination)
            self.record_path.unlink(missing_ok=True)
        except OSError as error:
            raise UnavailableError(f"{destination}: cannot be written ({error.strerror or error})") from None

    def remove(self) -> None:
        """Leave nothing: the file is here already."""
        with refuse_unwritable(self.path):
            self.record_path.unlink(missing_ok=True)  # first: as soon as the name is free, it may be another's
            self.path.unlink(missing_ok=True)


@contextmanager
def open_partial(path: Path, *, pause: Callable[[float], None], voice: Voice) -> Iterator[PartialFile]:
    """Open or begin a partial file, and keep other processes away from it; one that is at it already is waited for.

    Args:
        path: Its path.
        pause: Waits so many seconds, or raises if the work was stopped.
        voice: Says once that another process is waited for.

    Raises:
        UnavailableError: It cannot be written, or the other process is at it and receives nothing.
    """
    if path.exists() and not os.access(path, os.R_OK | os.W_OK):
        # In a cache that several users share, another one began this file and only that user can go on with it.
        path = path.with_name(f"{path.stem}.{os.getuid()}{path.suffix}")
    descriptor = open_locked(path, pause=pause, voice=voice)
    try:
        yield PartialFile(path, descriptor=descriptor)
    finally:
        os.close(descriptor)


def open_locked(path: Path, *, pause: Callable[[float], None], voice: Voice) -> int:
    """Return a descriptor of the file that has this name, with the lock that ends with the process.

    The process that held the lock before may have renamed the file meanwhile: then it is whole, others see it, and none
    of its bytes may be touched. So the name is looked at again under the lock.
    """
    while True:
        with refuse_unwritable(path, advice="; name a folder that you may write with HF_HOME"):
            path.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644)
        try:
            wait_for_lock(descriptor, path=path, pause=pause, voice=voice)
            if is_named(descriptor, path):
                return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)


def wait_for_lock(descriptor: int, *, path: Path, pause: Callable[[float], None], voice: Voice) -> None:
    """Take the lock as soon as no other process holds it.

    Raises:
        UnavailableError: Nothing arrives there.
    """
    size, since = -1, time.monotonic()
    while not take_lock(descriptor):
        if size < 0:
            voice.say(f"{path}: another process is fetching this file; waiting for it")
        if (now := os.fstat(descriptor).st_size) != size:
            size, since = now, time.monotonic()
        if time.monotonic() - since > MAX_IDLE_SECONDS:
            raise UnavailableError(
                f"{path}: another process holds this file and has received nothing for {MAX_IDLE_SECONDS:.0f} s; "
                "end it, or try again later"
            )
        pause(POLL_SECONDS)


def take_lock(descriptor: int) -> bool:
    """Whether the lock was free and is now ours."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        reason = error.strerror or error
        raise UnavailableError(f"the cache's disk takes no locks ({reason}); name another with HF_HOME") from None
    return True


def is_named(descriptor: int, path: Path) -> bool:
    """Whether an open file still has this name."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.lstat())
    except OSError:
        return False
