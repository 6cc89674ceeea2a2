"""Compute several digests of one content while it arrives."""

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from queue import Queue

from hstu_preserve.errors import UnavailableError
from hstu_preserve.primitives.files import CHUNK_BYTES
from hstu_preserve.primitives.threads import start_thread
from hstu_preserve.records.downloads import DigestKind, KnownDigest

CHUNKS_AHEAD = 4
"""How many chunks may wait to be hashed; this bounds the memory."""


class ContentHasher:
    """Makes the digests that a file's content is compared by; sha256 in any case."""

    def __init__(self, *, size: int, kinds: Iterable[DigestKind]) -> None:
        self.position = 0
        self._hashes = {kind: start_hash(kind, size=size) for kind in {DigestKind.SHA256, *kinds}}

    def update(self, chunk: bytes) -> None:
        """Take in the next bytes."""
        self.position += len(chunk)
        for one in self._hashes.values():
            one.update(chunk)

    def digests(self) -> dict[DigestKind, str]:
        """Return the digests of the bytes taken in so far."""
        return {kind: one.hexdigest() for kind, one in self._hashes.items()}

    def find_differing(self, known: Iterable[KnownDigest]) -> list[tuple[KnownDigest, str]]:
        """Return each known digest that the content does not have, with the one that it has."""
        found = self.digests()
        return [(one, found[one.kind]) for one in known if found[one.kind] != one.hex]


@contextmanager
def hashing_behind(hasher: ContentHasher) -> Iterator[Callable[[bytes], None]]:
    """Yield a function that queues a chunk for hashing while the next arrive; all are hashed when the block is left.

    They are hashed at once if the system gives no thread for it.
    """
    waiting: Queue[bytes | None] = Queue(maxsize=CHUNKS_AHEAD)

    def work() -> None:
        while (chunk := waiting.get()) is not None:
            hasher.update(chunk)

    worker = start_thread(work, name="hashing")
    if worker is None:
        yield hasher.update
        return
    try:
        yield waiting.put
    finally:
        waiting.put(None)
        worker.join()


def describe_differing(differing: Iterable[tuple[KnownDigest, str]]) -> str:
    """Return a sentence with each expected digest, who gave it, and the digest found instead."""
    return "; ".join(
        f"{one.kind} differs (expected {one.hex} by {one.source}, found {found})" for one, found in differing
    )


def heed_nothing() -> None:
    """Never stop."""


def hash_file(path: Path, *, kinds: Iterable[DigestKind], heed: Callable[[], None] = heed_nothing) -> ContentHasher:
    """Return a hasher that has taken in a file.

    Args:
        path: The file.
        kinds: Which digests, beside sha256.
        heed: Is called again and again meanwhile, and raises if the work was stopped.

    Raises:
        UnavailableError: The file cannot be read.
    """
    try:
        with path.open("rb") as stream:
            hasher = ContentHasher(size=os.fstat(stream.fileno()).st_size, kinds=kinds)
            while chunk := stream.read(CHUNK_BYTES):
                heed()
                hasher.update(chunk)
    except OSError as error:
        raise UnavailableError(f"{path}: cannot be read ({error.strerror or error})") from None
    return hasher


def start_hash(kind: DigestKind, *, size: int) -> "hashlib._Hash":
    """Return a new hash; for a git blob, it has taken in the header that git puts before the content."""
    if kind is DigestKind.GIT_BLOB:
        return hashlib.sha1(b"blob %d\0" % size, usedforsecurity=False)
    return hashlib.new(kind.value, usedforsecurity=kind is DigestKind.SHA256)
