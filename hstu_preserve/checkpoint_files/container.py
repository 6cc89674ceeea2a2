"""Read the zip that torch saves in, byte by byte; refuse bytes that belong to no member."""

import re
import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from io import SEEK_END
from typing import IO

from hstu_preserve.errors import CheckpointError
from hstu_preserve.primitives.files import CHUNK_BYTES

# Far above any checkpoint of this kind of model; no member of a smaller file needs zip64's fields.
MAX_FILE_BYTES = 2**32 - 2
MAX_MEMBERS = 10_000
MAX_PICKLE_BYTES = 8 * 2**20

END = struct.Struct("<4s4H2LH")
END_64 = struct.Struct("<4sQ2H2L4Q")
LOCATOR_64 = struct.Struct("<4sLQL")
ENTRY = struct.Struct("<4s6H3L5H2L")
HEADER = struct.Struct("<4s5H3L2H")
DESCRIPTOR = struct.Struct("<4s3L")
HAS_DESCRIPTOR, IS_UTF8 = 0x0008, 0x0800
PADDING = re.compile(rb"FB(?P<length>..)(?P<filling>Z*)", re.DOTALL)  # c10's PyTorchStreamWriter aligns by it

# The numbers of storages count from 0; torch 1.6 and 1.7 wrote addresses in memory.
MEMBER_NAME = re.compile(
    r"(?P<root>[^/\\]{1,255})/(?P<rest>data\.pkl|data/(?:0|[1-9][0-9]{0,19})|version|byteorder"
    r"|\.format_version|\.storage_alignment|\.data/serialization_id)"
)
NOTES = {
    "version": rb"[0-9]{1,2}\n",
    "byteorder": rb"little",
    ".format_version": rb"[0-9]{1,2}",
    ".storage_alignment": rb"[0-9]{1,5}",
    ".data/serialization_id": rb"[0-9]{1,64}",
}
OTHER_FORMATS = (
    (
        b"\x80",
        "a bare pickle or torch's format before 1.6: torch.load it where you trust it, and torch.save it again",
    ),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
    (b"\x93NUMPY", "a NumPy array"),
    (b"\x1f\x8b", "gzip"),
)
TAR_MAGIC, TAR_MAGIC_OFFSET = b"ustar", 257
TORCH_SCRIPT = re.compile(r"[^/\\]{1,255}/(?:code/.*|constants\.pkl|constants/.*)", re.DOTALL)


@dataclass(frozen=True, kw_only=True)
class ZipMember:
    """One file inside the zip.

    Attributes:
        name: Its name without the root.
        start: Where its content starts.
        size: Its content's size in bytes.
        crc: The CRC that its content must have.
    """

    name: str
    start: int
    size: int
    crc: int


def read_at(stream: IO[bytes], start: int, size: int) -> bytes:
    """Return exactly `size` bytes.

    Raises:
        CheckpointError: The file ends before.
    """
    stream.seek(start)
    content = stream.read(size)
    if len(content) < size:
        raise CheckpointError(f"truncated at byte {start + len(content)}")
    return content


def read_zip_members(stream: IO[bytes]) -> dict[str, ZipMember]:
    """Return the zip's members by name, after checking that they fill the file from its first byte to its last.

    Raises:
        CheckpointError: The container is not one that torch writes.
    """
    directory_start, num_members = read_end(stream)
    position, place, roots = 0, directory_start, set()
    members: dict[str, ZipMember] = {}
    for _ in range(num_members):
        entry = read_at(stream, place, ENTRY.size)
        name_length = ENTRY.unpack(entry)[10]
        raw_name = read_at(stream, place + ENTRY.size, name_length)
        root, name = split_name(raw_name)
        if name in members:
            raise CheckpointError(f"{name}: two members of that name")
        members[name], position = read_zip_member(stream, entry, raw_name, position)
        roots.add(root)
        place += ENTRY.size + name_length
    # A gap could hold bytes that no member names, and so no CRC covers.
    if position != directory_start:
        raise CheckpointError(f"{directory_start - position} bytes between the members and the central directory")
    if len(roots) > 1:
        raise CheckpointError(f"members below {len(roots)} different roots")
    for name in ("data.pkl", "version"):
        if name not in members:
            raise CheckpointError(f"no member {name}")
    return members


def read_end(stream: IO[bytes]) -> tuple[int, int]:
    """Return where the central directory starts, and how many members it names.

    Raises:
        CheckpointError: The end records disagree with each other or with the file's size, or it is no zip.
    """
    size = stream.seek(0, SEEK_END)
    require_zip(stream, size)
    end_start = max(0, size - END.size)
    signature, *disks, num_here, num_members, directory_size, start, comment_size = END.unpack(
        read_at(stream, end_start, END.size)
    )
    # A comment would allow bytes after the end record, and with them a second directory that another reader finds.
    if signature != b"PK\x05\x06" or comment_size:
        raise CheckpointError("the file does not end with a zip's end record: truncated, or bytes after it")
    if any(disks) or num_here != num_members:
        raise CheckpointError("the zip's end record tells of several disks")
    if num_members > MAX_MEMBERS:
        raise CheckpointError(f"{num_members} members; at most {MAX_MEMBERS} are read")
    rest = read_at(stream, start + directory_size, max(0, end_start - start - directory_size))
    expected = END_64.pack(
        b"PK\x06\x06", END_64.size - 12, 0, 0, 0, 0, num_members, num_members, directory_size, start
    ) + LOCATOR_64.pack(b"PK\x06\x07", 0, start + directory_size, 1)
    versions = slice(12, 16)
    if start + directory_size + len(rest) != end_start or (
        rest and rest[: versions.start] + bytes(4) + rest[versions.stop :] != expected
    ):
        raise CheckpointError("the zip's end records disagree with the place of the central directory")
    return start, num_members


def require_zip(stream: IO[bytes], size: int) -> None:
    """Refuse other formats by their name.

    Raises:
        CheckpointError: Not the start of a zip, or too large.
    """
    stream.seek(0)
    start = stream.read(TAR_MAGIC_OFFSET + len(TAR_MAGIC))
    if size > MAX_FILE_BYTES:
        raise CheckpointError(f"{size} bytes; at most {MAX_FILE_BYTES} are read")
    if start.startswith(b"PK\x03\x04"):
        return
    if start.endswith(TAR_MAGIC):
        raise CheckpointError("not a zip but a tar archive")
    for magic, name in OTHER_FORMATS:
        if start.startswith(magic):
            raise CheckpointError(f"not a zip but {name}")
    raise CheckpointError(f"not a zip: starts with {start[:4].hex() or 'nothing'}")


def split_name(raw_name: bytes) -> tuple[str, str]:
    """Return a member's root and its name below it.

    Raises:
        CheckpointError: torch writes no such name.
    """
    text = raw_name.decode("utf-8", "replace")
    match = MEMBER_NAME.fullmatch(text)
    if not match or not text.isprintable() or match["root"] in {".", ".."}:
        if TORCH_SCRIPT.fullmatch(text):
            raise CheckpointError(
                f"a TorchScript archive: member {text[:80]!r} is not a name that torch writes in a checkpoint; "
                "torch.jit.load it where you trust it, and torch.save its state_dict()"
            )
        raise CheckpointError(f"member {text[:80]!r}: not a name that torch writes")
    return match["root"], match["rest"]


def read_zip_member(stream: IO[bytes], entry: bytes, raw_name: bytes, position: int) -> tuple[ZipMember, int]:
    """Return the member that a directory entry describes, and where the next one must start.

    Args:
        stream: The file.
        entry: The fixed part of its entry in the central directory.
        raw_name: Its full name there.
        position: Where the member before it ended.

    Raises:
        CheckpointError: Compressed, encrypted, elsewhere, or its own header says something else.
    """
    name = split_name(raw_name)[1]
    signature, _, _, flags, method, time, date, crc, stored_size, size, *tail = ENTRY.unpack(entry)
    _, extra_size, comment_size, disk, _, _, start = tail
    if signature != b"PK\x01\x02" or extra_size or comment_size or disk:
        raise CheckpointError(f"{name}: its entry in the central directory is not one that torch writes")
    if flags & ~(HAS_DESCRIPTOR | IS_UTF8):
        raise CheckpointError(f"{name}: encrypted, or flags that torch never sets ({flags:#06x})")
    if method or stored_size != size:
        raise CheckpointError(f"{name}: compressed (method {method}); torch stores")
    if start != position:
        raise CheckpointError(f"{name}: starts at byte {start}, where {position} was expected: a gap or an overlap")
    header = HEADER.unpack(read_at(stream, start, HEADER.size))
    has_descriptor = bool(flags & HAS_DESCRIPTOR)
    told = (0, 0, 0) if has_descriptor else (crc, size, size)
    if (header[0], *header[2:9], header[9]) != (b"PK\x03\x04", flags, 0, time, date, *told, len(raw_name)):
        raise CheckpointError(f"{name}: its header at byte {start} disagrees with the central directory")
    name_start = start + HEADER.size
    if read_at(stream, name_start, len(raw_name)) != raw_name:
        raise CheckpointError(f"{name}: its header at byte {start} bears another name")
    padding = read_at(stream, name_start + len(raw_name), header[10])
    if padding and not is_padding(padding):
        raise CheckpointError(f"{name}: its header holds more than torch's padding")
    content_start = name_start + len(raw_name) + len(padding)
    end = content_start + size
    if has_descriptor:
        if read_at(stream, end, DESCRIPTOR.size) != DESCRIPTOR.pack(b"PK\x07\x08", crc, size, size):
            raise CheckpointError(f"{name}: its descriptor at byte {end} disagrees with the central directory")
        end += DESCRIPTOR.size
    return ZipMember(name=name, start=content_start, size=size, crc=crc), end


def is_padding(extra: bytes) -> bool:
    """Whether a header's extra field only aligns the content, as torch writes it."""
    match = PADDING.fullmatch(extra)
    return match is not None and int.from_bytes(match["length"], "little") == len(match["filling"])


def has_checksums(members: Mapping[str, ZipMember]) -> bool:
    """Whether the members have CRCs: torch writes one constant for all under `set_crc32_options(False)`."""
    return len({member.crc for member in members.values()}) > 1


def check_content(stream: IO[bytes], member: ZipMember, *, has_checksum: bool, max_pickle_bytes: int) -> None:
    """Compare a member's content with its CRC, if it has one, and a note's with what torch writes there.

    Raises:
        CheckpointError: They differ, or data.pkl is too large.
    """
    crc, left = 0, member.size
    stream.seek(member.start)
    while left:
        chunk = stream.read(min(left, CHUNK_BYTES))
        if not chunk:
            raise CheckpointError(f"{member.name}: truncated")
        crc, left = zlib.crc32(chunk, crc), left - len(chunk)
    if has_checksum and crc != member.crc:
        raise CheckpointError(f"{member.name}: bad CRC (expected {member.crc:08x}, found {crc:08x})")
    if member.name == "data.pkl" and member.size > max_pickle_bytes:
        raise CheckpointError(f"data.pkl: {member.size} bytes; at most {max_pickle_bytes} are read")
    pattern = NOTES.get(member.name)
    if pattern and not re.fullmatch(pattern, read_at(stream, member.start, min(member.size, 100))):
        raise CheckpointError(f"{member.name}: not what torch writes there")
