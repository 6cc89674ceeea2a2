"""Read a file of a repository as a stream, once, front to back; a broken connection is taken up again."""

import errno
import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO, cast

from hstu_preserve.errors import ContentError, PreserveError, UnavailableError
from hstu_preserve.hub.content_digests import ContentHasher, describe_differing
from hstu_preserve.hub.repository import Answer, Hub
from hstu_preserve.hub.retries import DiscardError, PassingError, RetryPolicy
from hstu_preserve.hub.transfer import CONTENT_RANGE, refuse
from hstu_preserve.records.downloads import PublishedFile, Snapshot


class RemoteStream(io.RawIOBase):
    """The bytes of a file as they arrive; a lasting failure is an OSError, as with any other stream."""

    def __init__(self, file: PublishedFile, *, hub: Hub, snapshot: Snapshot, policy: RetryPolicy) -> None:
        self.file, self.hub, self.snapshot, self.policy = file, hub, snapshot, policy
        self.source = f"{snapshot.repository}/{file.path}"
        self.hasher = ContentHasher(size=file.size, kinds=[file.kind])
        self._pieces = self.receive()
        self._rest = b""
        self.wrong: ContentError | None = None
        """How the bytes that the Hub sent differ from the digest that it lists, if they do."""

    def readable(self) -> bool:
        """It can be read."""
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]  # any writable buffer
        """Fill the buffer with the next bytes, as far as they are here; 0 at the end."""
        if not self._rest:
            try:
                self._rest = next(self._pieces, b"")
            except PreserveError as error:
                self.wrong = error if isinstance(error, ContentError) else None
                raise OSError(errno.EIO, str(error).removeprefix(f"{self.source}: ")) from None
        taken = self._rest[: len(buffer)]
        buffer[: len(taken)] = taken
        self._rest = self._rest[len(taken) :]
        return len(taken)

    def require_digest(self) -> None:
        """Raise ContentError if the whole file was read and lacks the digest that the Hub lists."""
        if self.hasher.position < self.file.size:
            return
        differing = self.hasher.find_differing([self.file.known])
        if differing:
            raise ContentError(f"{self.source}: {describe_differing(differing)}")

    def receive(self) -> Iterator[bytes]:
        """Yield the file's bytes, over as many connections as it takes."""
        failures = 0
        while self.hasher.position < self.file.size:
            before = self.hasher.position
            try:
                yield from self._receive_once()
            except PassingError as problem:
                failures = problem.count(failures, has_progressed=self.hasher.position > before)
                self.policy.wait(problem, failures=failures, source=self.source)
            except DiscardError as problem:
                raise problem.error from None

    def _receive_once(self) -> Iterator[bytes]:
        """Yield the bytes that one connection brings."""
        address = self.hub.locate(self.snapshot, self.file)
        headers = {"Range": f"bytes={self.hasher.position}-"} if self.hasher.position else {}
        with self.hub.open(address, headers=headers, source=self.source) as answer:
            superfluous = self._count_superfluous(answer)
            for chunk in answer.chunks:
                piece, superfluous = chunk[superfluous:], max(0, superfluous - len(chunk))
                if self.hasher.position + len(piece) > self.file.size:
                    raise DiscardError(ContentError(f"{self.source}: more bytes than the Hub lists"))
                self.hasher.update(piece)
                if piece:
                    yield piece
        if self.hasher.position < self.file.size:
            raise PassingError(f"the connection ended after {self.hasher.position} of {self.file.size} bytes")

    def _count_superfluous(self, answer: Answer) -> int:
        """Return how many bytes at the answer's beginning were read before."""
        if answer.status not in {200, 206}:
            refuse(answer, source=self.source)
        found = CONTENT_RANGE.match(answer.headers.get("content-range", ""))
        start = int(found["first"]) if answer.status == 206 and found else 0
        if answer.status == 206 and (not found or start > self.hasher.position):
            raise PassingError("the server sends another part than was asked for")
        return self.hasher.position - start


def read_remote(file: PublishedFile, *, hub: Hub, snapshot: Snapshot, policy: RetryPolicy) -> bytes:
    """Return a small file's content; if wrong bytes arrive, they are asked for again.

    Raises:
        ContentError: Every attempt brought other bytes than the Hub lists.
        UnavailableError: It cannot be had.
    """
    restarts = 0
    while True:
        stream = RemoteStream(file, hub=hub, snapshot=snapshot, policy=policy)
        try:
            content = b"".join(stream.receive())
            stream.require_digest()
        except ContentError:
            restarts += 1
            if restarts > policy.restarts:
                raise
        else:
            return content


@contextmanager
def open_remote(file: PublishedFile, *, hub: Hub, snapshot: Snapshot, policy: RetryPolicy) -> Iterator[BinaryIO]:
    """Yield a file as a stream.

    Raises:
        ContentError: The bytes that were read are not those that the Hub lists.
    """
    stream = RemoteStream(file, hub=hub, snapshot=snapshot, policy=policy)
    try:
        yield cast("BinaryIO", stream)
    except (OSError, UnavailableError):  # what a reader makes of an OSError
        if stream.wrong is None:
            raise
        raise stream.wrong from None
    stream.require_digest()
