"""Hand out a member's content in chunks, and hash it on the way.

Damage is raised by the walk, so that whoever consumes the chunks need not know of damaged archives.
"""

import hashlib
from collections.abc import Callable, Iterator

from hstu_preserve.bundle.compression import GzipReader
from hstu_preserve.bundle.damage import DamagedError
from hstu_preserve.primitives.files import CHUNK_BYTES
from hstu_preserve.records.contents import FindingClass


class ContentReader:
    """Reads contents from one archive.

    Args:
        reader: Stands at the content's first byte.
        guard: Called after each chunk; raises DamagedError if the rest of the archive must not be read.
    """

    def __init__(self, reader: GzipReader, *, guard: Callable[[], None]) -> None:
        self._reader = reader
        self._guard = guard
        self._damage: DamagedError | None = None

    def chunks(self, size: int, *, digests: "tuple[hashlib._Hash, ...]") -> Iterator[bytes]:
        """Yield the next `size` bytes and hash them; damage ends them early and is raised by `exhaust`."""
        left = size
        while left:
            try:
                chunk = self._reader.read(min(left, CHUNK_BYTES))
                if not chunk:
                    found = f"the end after {size - left}"
                    raise self._reader.damage(FindingClass.TRUNCATED, expected=f"{size} bytes", found=found)
                self._guard()
            except DamagedError as damage:
                self._damage = damage  # raised by `exhaust`: the consumer may be writing a file and cannot report it
                return
            for digest in digests:
                digest.update(chunk)
            left -= len(chunk)
            yield chunk

    def exhaust(self, chunks: Iterator[bytes]) -> None:
        """Read the chunks that the consumer left, and raise the damage that ended the content.

        Raises:
            DamagedError: The archive cannot be read any further.
        """
        for _ in chunks:
            pass
        if self._damage:
            raise self._damage
