"""Read a response body in pieces of up to 1 MiB, so that the cost per piece is negligible."""

import socket
import ssl
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from huggingface_hub.utils import httpx  # type: ignore[attr-defined]  # re-exported

PIECE_BYTES = 1 << 20
DIRECT_FROM_BYTES = 1 << 18
"""A body with less left is read through the client, which can use the connection again."""
MIN_BYTES_PER_SECOND = 256
"""A tenth of what the slowest modem brought; a server that sends byte by byte keeps a client waiting for ever."""


class SlowBodyError(TimeoutError):
    """A server sends next to nothing."""


def read_body(response: "httpx.Response", *, timeout_seconds: float) -> Iterator[bytes]:
    """Yield the bytes as they were sent, never decoded, each piece as soon as it is here.

    Raises:
        OSError: The connection broke or stalled, ended too early, or brings next to nothing.
    """
    return require_pace(read_pieces(response, timeout_seconds=timeout_seconds), seconds=timeout_seconds)


def require_pace(pieces: Iterator[bytes], *, seconds: float) -> Iterator[bytes]:
    """Yield the pieces; the client limits how long it waits for each of them, but not how small they may be.

    Raises:
        SlowBodyError: In so many seconds of waiting, less than `MIN_BYTES_PER_SECOND` came.
    """
    waited, num_bytes = 0.0, 0
    while True:
        began = time.monotonic()
        piece = next(pieces, None)
        if piece is None:
            return
        waited += time.monotonic() - began
        num_bytes += len(piece)
        if waited >= seconds:
            if num_bytes < MIN_BYTES_PER_SECOND * waited:
                raise SlowBodyError(f"the answer arrives too slowly ({num_bytes} bytes in {waited:.0f} s)")
            waited, num_bytes = 0.0, 0
        yield piece


def read_pieces(response: "httpx.Response", *, timeout_seconds: float) -> Iterator[bytes]:
    """Yield the bytes as they were sent, each piece as soon as it is here.

    The client reads 64 KiB at a time and parses each piece, which takes longer than hashing it. Once the first piece is
    taken it holds nothing back, so the rest of a body whose length was told is read from the connection itself, which
    is then closed.

    Raises:
        OSError: The connection broke or stalled, or ended too early.
    """
    pieces = response.iter_raw()
    connection = find_connection(response)
    missing = int(response.headers.get("content-length", 0))
    for piece in pieces:
        missing -= len(piece)
        yield piece
        if connection is not None and missing >= DIRECT_FROM_BYTES:
            yield from read_connection(connection, num_bytes=missing, timeout_seconds=timeout_seconds)
            return


def find_connection(response: "httpx.Response") -> socket.socket | None:
    """Return the connection that a body comes over as it is; None if chunks, frames or a second TLS wrap it."""
    stream = response.extensions.get("network_stream")
    is_bare = response.http_version == "HTTP/1.1" and "transfer-encoding" not in response.headers
    if stream is None or not is_bare:
        return None
    connection = stream.get_extra_info("socket")
    is_wrapped = isinstance(stream.get_extra_info("ssl_object"), ssl.SSLObject)  # TLS to a proxy, and TLS within
    return connection if isinstance(connection, socket.socket) and not is_wrapped else None


def read_connection(connection: socket.socket, *, num_bytes: int, timeout_seconds: float) -> Iterator[bytes]:
    """Yield so many bytes."""
    connection.settimeout(timeout_seconds)
    while num_bytes:
        piece = connection.recv(min(PIECE_BYTES, num_bytes))
        if not piece:
            raise ConnectionResetError(f"closed with {num_bytes} bytes still to come")
        num_bytes -= len(piece)
        yield piece
