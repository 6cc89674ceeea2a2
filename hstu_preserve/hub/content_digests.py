"""Several digests of one content, made while it arrives."""

import hashlib
from collections.abc import Iterable

from hstu_preserve.records.downloads import DigestKind, KnownDigest


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
        """Return the digests of what was taken in."""
        return {kind: one.hexdigest() for kind, one in self._hashes.items()}

    def find_differing(self, known: Iterable[KnownDigest]) -> list[tuple[KnownDigest, str]]:
        """Return each known digest that the content does not have, with the one that it has."""
        found = self.digests()
        return [(one, found[one.kind]) for one in known if found[one.kind] != one.hex]


def start_hash(kind: DigestKind, *, size: int) -> "hashlib._Hash":
    """Return a hash that has taken in what comes before the content."""
    if kind is DigestKind.GIT_BLOB:
        return hashlib.sha1(b"blob %d\0" % size, usedforsecurity=False)
    return hashlib.new(kind.value, usedforsecurity=kind is DigestKind.SHA256)
