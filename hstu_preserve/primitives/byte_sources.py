"""Hold a source of bytes outside this machine that can be read front to back more than once."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import BinaryIO


@dataclass(frozen=True, kw_only=True)
class ByteSource:
    """Bytes elsewhere.

    Attributes:
        name: The file's name, without folders.
        place: Its path or address, for messages.
        size: In bytes.
        open: Begins to read it; bytes that are not read are not fetched.
    """

    name: str
    place: str
    size: int
    open: Callable[[], AbstractContextManager[BinaryIO]]

    def __str__(self) -> str:
        return self.place
