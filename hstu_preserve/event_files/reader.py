"""Reads every scalar of an event file, record by record, both checksums checked.

TensorBoard's own EventAccumulator is no evidence: by default it keeps 10,000 points of a tag, and of a damaged file it
returns the undamaged beginning without an error.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO

from hstu_preserve.errors import ContentError, MissingPathError, UnavailableError
from hstu_preserve.event_files.framing import FILE_VERSION, FOOTER_BYTES, HEADER_BYTES, pack_checksum
from hstu_preserve.primitives.files import read_bytes

MAX_RECORD_BYTES = 64 * 2**20


class CutOffError(ContentError):
    """The file ends within a record, as that of a killed writer does; every record before is whole."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ScalarPoint:
    """One point of a curve."""

    tag: str
    step: int
    value: float
    """As stored: single precision for points that SummaryWriter or this program wrote."""
    wall_time: float
    """Seconds since 1970."""


def read_scalars(path: Path) -> list[ScalarPoint]:
    """Return every scalar of the file in the order in which it was written; raises as `stream_scalars` does."""
    return list(stream_scalars(path))


def stream_scalars(path: Path) -> Iterator[ScalarPoint]:
    """Yield every scalar of the file as it is read.

    Raises:
        MissingPathError: There is no such file.
        UnavailableError: It cannot be read.
        ContentError: It is damaged or cut off, or no event file; file and byte offset are named.
    """
    try:
        with path.open("rb") as stream:
            yield from iterate_scalars(stream, source=str(path))
    except FileNotFoundError:
        raise MissingPathError(f"{path}: no such file") from None
    except OSError as error:
        raise UnavailableError(f"{path}: cannot be read ({error.strerror})") from None


def iterate_scalars(stream: BinaryIO, *, source: str) -> Iterator[ScalarPoint]:
    """Yield every scalar of the stream; histograms, texts and graphs are passed over.

    Raises:
        ContentError: The stream is damaged or cut off, or no event file; source and byte offset are named.
    """
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped]  # types only in a package of their own
    from tensorboard.compat.proto.event_pb2 import Event

    version = None
    for offset, content in iterate_records(stream, source=source):
        try:
            event = Event.FromString(content)
        except DecodeError:
            raise ContentError(f"{source}: record at byte {offset} is not an event") from None
        if version is None:
            version = event.file_version
            if version != FILE_VERSION:
                raise ContentError(f"{source}: not an event file (file version {version!r}, expected {FILE_VERSION!r})")
        for summary in event.summary.value:
            value = read_value(summary)
            if value is not None:
                yield ScalarPoint(tag=summary.tag, step=event.step, value=value, wall_time=event.wall_time)
    if version is None:
        raise ContentError(f"{source}: not an event file (empty)")


def iterate_records(stream: BinaryIO, *, source: str) -> Iterator[tuple[int, bytes]]:
    """Yield the byte offset and content of each record.

    Raises:
        CutOffError: The last record is cut off.
        ContentError: A record is absurdly long, or a checksum does not match.
    """
    offset = 0
    while header := stream.read(HEADER_BYTES):
        where = f"{source}: record at byte {offset}"
        if len(header) < HEADER_BYTES:
            raise CutOffError(f"{where} is cut off in its header")
        if pack_checksum(header[:8]) != header[8:]:
            raise ContentError(f"{where} is damaged (checksum of its length)")
        (length,) = struct.unpack("<Q", header[:8])
        if length > MAX_RECORD_BYTES:
            raise ContentError(f"{where} says it has {length} bytes; more than {MAX_RECORD_BYTES} are not read")
        body = stream.read(length + FOOTER_BYTES)
        if len(body) < length + FOOTER_BYTES:
            raise CutOffError(f"{where} is cut off (expected {length + FOOTER_BYTES} more bytes, found {len(body)})")
        content = body[:length]
        if pack_checksum(content) != body[length:]:
            raise ContentError(f"{where} is damaged (checksum of its content)")
        yield offset, content
        offset += HEADER_BYTES + len(body)


def require_whole_beginning(path: Path, *, length: int) -> None:
    """Require that the first `length` bytes of an event file are whole records.

    Raises:
        MissingPathError: There is no such file.
        UnavailableError: It cannot be read.
        ContentError: They are fewer, damaged, or end within a record; file and byte offset are named.
    """
    end = 0
    try:
        with path.open("rb") as stream:
            for offset, content in iterate_records(stream, source=str(path)):
                end = offset + HEADER_BYTES + len(content) + FOOTER_BYTES
                if end >= length:
                    break
    except FileNotFoundError:
        raise MissingPathError(f"{path}: no such file") from None
    except OSError as error:
        raise UnavailableError(f"{path}: cannot be read ({error.strerror})") from None
    if end != length:
        raise ContentError(f"{path}: no record ends at byte {length}, where the checkpoint was written ({end} found)")


def read_beginning(path: Path, *, length: int) -> list[ScalarPoint]:
    """Return every scalar in the first `length` bytes of an event file, which are whole records.

    Raises:
        MissingPathError: There is no such file.
        UnavailableError: It cannot be read.
        ContentError: They are fewer, damaged, or end within a record; file and byte offset are named.
    """
    require_whole_beginning(path, length=length)
    return list(iterate_scalars(BytesIO(read_bytes(path)[:length]), source=str(path)))


def read_value(summary: Any) -> float | None:  # a Summary.Value, whose type protobuf builds at run time
    """Return the number of a summary value, or None if it is no scalar."""
    kind = summary.WhichOneof("value")
    if kind == "simple_value":
        return float(summary.simple_value)
    return read_tensor(summary.tensor) if kind == "tensor" else None


def read_tensor(tensor: Any) -> float | None:  # a TensorProto
    """Return the number of a float tensor without dimensions, as newer writers store scalars, or None."""
    from tensorboard.compat.proto.types_pb2 import DT_DOUBLE, DT_FLOAT

    if tensor.dtype not in {DT_FLOAT, DT_DOUBLE} or tensor.tensor_shape.dim or tensor.tensor_shape.unknown_rank:
        return None
    form, values = ("<f", tensor.float_val) if tensor.dtype == DT_FLOAT else ("<d", tensor.double_val)
    if len(tensor.tensor_content) == struct.calcsize(form):
        return float(struct.unpack(form, tensor.tensor_content)[0])
    return float(values[0]) if len(values) == 1 else None
