"""Hash in a second thread while the caller reads and compresses: both release the interpreter's lock."""

import hashlib
import queue
import threading
from types import TracebackType
from typing import Self

from hstu_preserve.primitives.threads import start_thread

CHUNKS_WAITING = 8  # a bound, so that memory stays flat if reading outruns hashing


class BackgroundDigest:
    """A sha256 that is computed in the hashing thread while the caller goes on."""

    def __init__(self, hashing: "HashingThread") -> None:
        self._hashing = hashing
        self._digest = hashlib.sha256()
        self.size = 0

    def update(self, chunk: bytes) -> None:
        """Add bytes, which the caller must not change afterwards."""
        self.size += len(chunk)
        self._hashing.submit(self._digest, chunk)

    def hexdigest(self) -> str:
        """Wait until all added bytes are hashed, and return the digest."""
        self._hashing.drain()
        return self._digest.hexdigest()


class HashingThread:
    """One thread that feeds digests in the order of submission; ends with the block.

    If the system gives no thread, the caller's thread feeds them.
    """

    def __init__(self) -> None:
        self._work: queue.Queue[tuple[hashlib._Hash, bytes] | None] = queue.Queue(maxsize=CHUNKS_WAITING)
        self._thread: threading.Thread | None = None

    def submit(self, digest: "hashlib._Hash", chunk: bytes) -> None:
        """Add bytes to a digest as soon as those before are done."""
        if self._thread is None:
            digest.update(chunk)
        else:
            self._work.put((digest, chunk))

    def drain(self) -> None:
        """Wait until everything submitted is hashed."""
        self._work.join()

    def __enter__(self) -> Self:
        self._thread = start_thread(self._feed, name="hashing")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._thread is not None:
            self._work.put(None)
            self._thread.join()

    def _feed(self) -> None:
        """Feed the digests until told to end."""
        while (task := self._work.get()) is not None:
            digest, chunk = task
            digest.update(chunk)
            self._work.task_done()
