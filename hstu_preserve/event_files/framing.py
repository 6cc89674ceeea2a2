"""The framing of TensorBoard's event files: length, its checksum, data, its checksum."""

import struct

import google_crc32c

NAME_BEGINNING = "events.out.tfevents."
"""Of an event file's name; TensorBoard reads the files whose names hold `tfevents`."""
FILE_VERSION = "brain.Event:2"
HEADER_BYTES = 12
FOOTER_BYTES = 4


def frame_record(content: bytes) -> bytes:
    """Return the record that holds `content`."""
    length = struct.pack("<Q", len(content))
    return b"".join((length, pack_checksum(length), content, pack_checksum(content)))


def pack_checksum(content: bytes) -> bytes:
    """Return the CRC-32C of `content`, masked as TFRecord masks it, in four bytes."""
    checksum = google_crc32c.value(content)
    rotated = (checksum >> 15 | checksum << 17) & 0xFFFFFFFF
    return struct.pack("<I", (rotated + 0xA282EAD8) & 0xFFFFFFFF)
