"""The event files of the corpus: records built, framed and damaged as `cases.json` says."""

import math
import struct
from collections.abc import Callable
from typing import Any

from hstu_preserve.event_files.framing import FILE_VERSION, frame_record, pack_checksum
from tests.corpus.archives.generators import Arguments, to_bytes


def to_float(value: float | str) -> float:
    """JSON has no NaN and no infinity: they stand as text."""
    return float(value)


def make_event(event: dict[str, Any]) -> bytes:
    """Return one record: a version, a scalar (`tag`, `step`, `value`, `wall_time`) or raw protobuf bytes."""
    from tensorboard.compat.proto.event_pb2 import Event

    if "raw" in event:
        return frame_record(to_bytes(event["raw"]))
    wall_time = to_float(event.get("wall_time", 0.0))
    if "file_version" in event:
        return frame_record(Event(wall_time=wall_time, file_version=event["file_version"]).SerializeToString())
    summary: dict[str, Any] = {"tag": event.get("tag", "loss")}
    if "value" in event:
        summary["simple_value"] = to_float(event["value"])
    if "plugin" in event:
        summary["metadata"] = {"plugin_data": {"plugin_name": event["plugin"], "content": b"\0\xff"}}
    if "double" in event:
        from tensorboard.compat.proto.types_pb2 import DT_DOUBLE

        summary["tensor"] = {"dtype": DT_DOUBLE, "tensor_content": struct.pack("<d", to_float(event["double"]))}
    if "text" in event:
        from tensorboard.compat.proto.types_pb2 import DT_STRING

        summary["tensor"] = {"dtype": DT_STRING, "string_val": [event["text"].encode()]}
    fields: dict[str, Any] = {"wall_time": wall_time, "step": event.get("step", 0), "summary": {"value": [summary]}}
    return frame_record(Event(**fields).SerializeToString())


def with_version(events: list[dict[str, Any]], *, version: str | None = FILE_VERSION) -> list[bytes]:
    head = [] if version is None else [make_event({"file_version": version})]
    return head + [make_event(event) for event in events]


def events(*, events: list[dict[str, Any]], version: str | None = FILE_VERSION) -> bytes:
    """A sound file with these events; without a version record where it is null."""
    return b"".join(with_version(events, version=version))


def count_up(*, points: int) -> bytes:
    """So many points of one curve: more than TensorBoard's own reader keeps."""
    return b"".join(with_version([{"tag": "loss", "step": step, "value": step} for step in range(points)]))


def cut(*, at: int, record: int = 1) -> bytes:
    """Version and two points, cut `at` bytes into a record (counted from 0, the version)."""
    records = honest()
    return b"".join(records[:record]) + records[record][:at]


def flip(*, at: int, record: int = 1) -> bytes:
    """One bit of a record is another; `at` may count from its end."""
    records = honest()
    damaged = bytearray(records[record])
    damaged[at] ^= 1
    records[record] = bytes(damaged)
    return b"".join(records)


def announce(*, length: int, checksum_fits: bool = True) -> bytes:
    """After two points, a record that says it is that long, and is not."""
    header = struct.pack("<Q", length)
    return b"".join(honest()) + header + (pack_checksum(header) if checksum_fits else bytes(4)) + bytes(64)


def append(*, content: Arguments) -> bytes:
    """Something after the last record."""
    return b"".join(honest()) + to_bytes(content)


def other_file(*, content: Arguments) -> bytes:
    return to_bytes(content)


def second_file_appended() -> bytes:
    """Two files in one, as `cat` makes it."""
    return b"".join(honest()) * 2


def exchange_records() -> bytes:
    """The version comes after the first point."""
    version, first, second = honest()
    return first + version + second


def unmasked_checksums() -> bytes:
    """CRC-32C as it is, not masked as TFRecord masks it."""
    import google_crc32c

    content = b"\x1a\x0d" + FILE_VERSION.encode()
    length = struct.pack("<Q", len(content))
    return b"".join(
        (
            length,
            struct.pack("<I", google_crc32c.value(length)),
            content,
            struct.pack("<I", google_crc32c.value(content)),
        )
    )


def honest() -> list[bytes]:
    return with_version([{"tag": "loss", "step": 1, "value": 0.5}, {"tag": "loss", "step": 2, "value": 0.25}])


def describe(value: float) -> float | str:
    """Return a value as `cases.json` spells it."""
    return value if math.isfinite(value) else str(value)


GENERATORS: dict[str, Callable[..., bytes]] = {
    generator.__name__: generator
    for generator in (
        events,
        count_up,
        cut,
        flip,
        announce,
        append,
        other_file,
        second_file_appended,
        exchange_records,
        unmasked_checksums,
    )
}
