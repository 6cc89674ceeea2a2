"""Inflate a gzip stream in a second thread, a few blocks ahead of the thread that reads and hashes the result.

With zlib, though isal is faster: isal takes streams that zlib, gzip and tar refuse, such as those with an incomplete
Huffman code, and what is verified here must be what everybody can unpack.

If the system gives no second thread, the reading thread inflates.

Inflating is the longest part of a verification and releases the interpreter's lock, as hashing does: on two cores
hashing takes no extra time. Memory stays flat, since the queue between the two is short.
"""

import os
import queue
import select
import stat
import threading
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import BinaryIO, TypeAlias

from hstu_preserve.primitives.file_kinds import BEGINNING_BYTES, describe_beginning
from hstu_preserve.primitives.threads import start_thread
from hstu_preserve.records.contents import FindingClass

GZIP_MAGIC = b"\x1f\x8b\x08"
GZIP_WINDOW_BITS = 16 + zlib.MAX_WBITS
"""Of zlib, for one gzip member, whose checksum and size it compares."""
INPUT_BYTES = 2**20
OUTPUT_BYTES = 2**20  # smaller blocks are handed over too often, as measured
BLOCKS_AHEAD = 6
POLL_SECONDS = 0.05


@dataclass(frozen=True, kw_only=True)
class Block:
    """Compressed bytes that were read, and decompressed bytes, either of which may be empty."""

    raw: bytes
    content: bytes


@dataclass(frozen=True, kw_only=True)
class End:
    """The stream ended properly; `after` holds bytes that follow it in the file, if any do."""

    after: bytes


@dataclass(frozen=True, kw_only=True)
class Damage:
    """The stream cannot be decompressed any further."""

    kind: FindingClass
    expected: str
    found: str


Item: TypeAlias = Block | End | Damage | OSError


class Inflating:
    """Items of one stream, made ahead by a daemon thread that `close` ends; without a thread, `take` makes each.

    Args:
        stream: Compressed bytes; nothing else may read it.
    """

    def __init__(self, stream: BinaryIO) -> None:
        self._ahead: queue.Queue[Item] = queue.Queue(maxsize=BLOCKS_AHEAD)
        self._stopped = threading.Event()
        self._thread = start_thread(partial(produce, stream, self._ahead, self._stopped), name="inflating")
        self._here = inflate(RawReader(stream, self._stopped))  # begins at the first item, if it is ever asked

    def take(self) -> Item:
        """Return the next item; none comes after an `End`, a `Damage` or an error."""
        if self._thread is not None:
            return self._ahead.get()
        try:
            return next(self._here)
        except OSError as error:
            return error

    def request_stop(self) -> None:
        """Ask the thread to end before it reads any further."""
        self._stopped.set()

    def close(self) -> None:
        """End the thread, even if the stream is not read to its end."""
        self.request_stop()
        if self._thread is not None:
            self._thread.join()


def produce(stream: BinaryIO, items: "queue.Queue[Item]", stopped: threading.Event) -> None:
    """Put the stream's items into the queue, until the end or until stopped."""
    try:
        for item in inflate(RawReader(stream, stopped)):
            if not put(item, items, stopped):
                return
    except OSError as error:
        put(error, items, stopped)
    except ValueError:
        if not stream.closed:
            raise
        # The reader has closed the stream and waits for nothing more.


def put(item: Item, items: "queue.Queue[Item]", stopped: threading.Event) -> bool:
    """Put one item as soon as there is room; return False if the reader asked to stop before that."""
    while not stopped.is_set():
        try:
            items.put(item, timeout=POLL_SECONDS)
        except queue.Full:
            continue
        return True
    return False


class RawReader:
    """Reads compressed bytes; it waits for a pipe in small steps, so that `close` need not wait for the pipe's writer.

    Args:
        stream: A file, a pipe or bytes in memory.
        stopped: Set when nobody reads any more.
    """

    def __init__(self, stream: BinaryIO, stopped: threading.Event) -> None:
        self._stream = stream
        self._stopped = stopped
        self._pipe = find_pipe(stream)

    def read(self) -> bytes:
        """Return the next bytes; none at the end, or if the reader asked to stop.

        Raises:
            OSError: The stream cannot be read.
        """
        if self._pipe is None:
            return self._stream.read(INPUT_BYTES)
        while not self._stopped.is_set():
            if select.select([self._pipe], [], [], POLL_SECONDS)[0]:
                return os.read(self._pipe, INPUT_BYTES)
        return b""

    def read_beginning(self) -> bytes:
        """Return the first bytes: enough to tell what they begin, or all there are."""
        beginning = b""
        while len(beginning) < BEGINNING_BYTES and (more := self.read()):
            beginning += more
        return beginning


def find_pipe(stream: BinaryIO) -> int | None:
    """Return the descriptor of a pipe, socket or device, which may keep its reader waiting; None for other streams."""
    try:
        descriptor = stream.fileno()
    except (OSError, AttributeError):
        return None
    mode = os.fstat(descriptor).st_mode
    return descriptor if stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode) or stat.S_ISCHR(mode) else None


def inflate(source: RawReader) -> Iterator[Item]:
    """Yield the items of one gzip member; the last one holds the bytes after it.

    Raises:
        OSError: The stream cannot be read.
    """
    inflater = zlib.decompressobj(GZIP_WINDOW_BITS)
    raw = source.read_beginning()
    if not raw or not raw.startswith(GZIP_MAGIC[: len(raw)]):
        kind = FindingClass.BAD_COMPRESSION if raw else FindingClass.TRUNCATED
        yield Block(raw=raw, content=b"")
        yield Damage(kind=kind, expected="a gzip stream", found=describe_beginning(raw))
        return
    while not inflater.eof:
        waiting = inflater.unconsumed_tail
        raw = raw or (b"" if waiting else source.read())
        if not raw and not waiting:
            yield Damage(kind=FindingClass.TRUNCATED, expected="more compressed bytes", found="the end of the file")
            return
        try:
            content = inflater.decompress(waiting + raw, OUTPUT_BYTES)
        except zlib.error as error:
            yield Block(raw=raw, content=b"")
            yield Damage(kind=FindingClass.BAD_COMPRESSION, expected="a gzip stream", found=f"damage ({error})")
            return
        yield Block(raw=raw, content=content)
        raw = b""
    yield End(after=inflater.unused_data or source.read())
