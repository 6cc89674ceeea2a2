"""Read a tar header tolerantly, so that a finding can name what stands in an archive instead of the expected member."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from hstu_preserve.bundle.compression import GzipReader
from hstu_preserve.bundle.headers import BLOCK_BYTES, compute_checksum, make_header
from hstu_preserve.primitives.file_kinds import describe_beginning, is_tar

MAX_HEADER_BYTES = 2**20
"""Of a header with its extensions; more is damage."""

FIELDS = {
    "name": slice(0, 100),
    "mode": slice(100, 108),
    "uid": slice(108, 116),
    "gid": slice(116, 124),
    "size": slice(124, 136),
    "mtime": slice(136, 148),
    "checksum": slice(148, 156),
    "type": slice(156, 157),
    "link name": slice(157, 257),
    "format": slice(257, 265),
    "user name": slice(265, 297),
    "group name": slice(297, 329),
    "device": slice(329, 345),
    "prefix": slice(345, 500),
    "padding": slice(500, 512),
}
"""The place of each field in the block, by POSIX."""

KINDS = {
    b"0": "a regular file",
    b"\0": "a regular file (old form)",
    b"1": "a hard link",
    b"2": "a symbolic link",
    b"3": "a character device",
    b"4": "a block device",
    b"5": "a directory",
    b"6": "a named pipe",
    b"7": "a contiguous file",
    b"S": "a sparse file",
}
KINDS_WITHOUT_CONTENT = frozenset({b"1", b"2", b"3", b"4", b"5", b"6"})
OLD_REGULAR = b"\0"
DIRECTORY = b"5"
GLOBAL = b"g"
EXTENSIONS = frozenset({b"x", GLOBAL, b"L", b"K"})
POSIX_FORMAT = b"ustar\x0000"
DISPUTED_NAMES = frozenset({"SCHILY.realsize", "hdrcharset"})
"""Fields of extended headers that change name or size for some readers alone."""
PAX_LENGTH = re.compile(rb"([0-9]{1,7}) ")


@dataclass(frozen=True, kw_only=True)
class FoundHeader:
    """A header as it lies in the archive, its extensions included."""

    raw: bytes
    name: str
    size: int
    kind: bytes
    damage: str | None
    """Why it cannot be believed, or None."""
    overrides: Mapping[str, str]
    """The fields that its extensions override; a GNU long name counts as `path`."""
    disputed: str | None
    """What in it other readers read otherwise, or None: GNU tar, bsdtar and Python's tarfile differ in odd headers."""
    global_names: frozenset[str]
    """Those of them that a PAX global header gives, and that therefore hold for every later member too."""

    @property
    def is_regular(self) -> bool:
        """Whether it announces a plain file."""
        return self.kind == b"0"

    @property
    def content_size(self) -> int:
        """How many bytes of content follow."""
        return 0 if self.kind in KINDS_WITHOUT_CONTENT else self.size

    def describe(self) -> str:
        """Return type and size."""
        kind = KINDS.get(self.kind, f"unknown type {self.kind!r}")
        return kind if self.kind in KINDS_WITHOUT_CONTENT else f"{kind} of {self.size} bytes"


class UnreadableHeaderError(ValueError):
    """A header block or an extension that follows no known form."""


def read_header(reader: GzipReader) -> FoundHeader | None:
    """Read one header with its extensions; return None for a zero block, which ends an archive.

    Raises:
        DamagedError: The stream is damaged or ends before or inside the header.
    """
    raw = b""
    overrides: dict[str, str] = {}
    names: set[str] = set()
    global_names: frozenset[str] = frozenset()
    while True:
        block = reader.read_exactly(BLOCK_BYTES)
        if not raw and not any(block):
            return None
        raw += block
        try:
            kind, size = parse_block(block)
            if kind not in EXTENSIONS:
                name = overrides.get("path") or decode(join_name(block))
                if kind == OLD_REGULAR and name.endswith("/"):  # old forms have no type of their own for it
                    kind = DIRECTORY
                return FoundHeader(
                    raw=raw,
                    name=name.rstrip("/") if kind == DIRECTORY else name,
                    size=parse_decimal(overrides["size"]) if "size" in overrides else size,
                    kind=kind,
                    damage=None,
                    disputed=find_disputed(block, names=names, overrides=overrides),
                    overrides=overrides,
                    global_names=global_names,
                )
            body = reader.read_exactly(require_modest(size, before=len(raw)))
            raw += body + reader.read_exactly(-size % BLOCK_BYTES)
            extension = parse_extension(kind, body)
            names |= {extension["path"]} if "path" in extension else set()
            overrides |= extension
            global_names |= frozenset(extension if kind == GLOBAL else ())
        except UnreadableHeaderError as error:
            is_first = reader.position == BLOCK_BYTES and not is_tar(block)
            return make_damaged(raw, damage=f"no tar but {describe_beginning(block)}" if is_first else str(error))


def make_damaged(raw: bytes, *, damage: str) -> FoundHeader:
    """Return a header of which nothing can be believed."""
    return FoundHeader(
        raw=raw, name="", size=0, kind=b"", damage=damage, disputed=None, overrides={}, global_names=frozenset()
    )


def find_disputed(block: bytes, *, names: set[str], overrides: Mapping[str, str]) -> str | None:
    """Return what in a header other readers read otherwise; None if they all read the same."""
    # Python reads the prefix whatever the magic says, GNU tar whatever the version says.
    if any(block[FIELDS["prefix"]]) and block[FIELDS["format"]] != POSIX_FORMAT and "path" not in overrides:
        return "a name prefix in a header of an older form"
    if len(names) > 1:
        return "several names in one header"
    if not all(overrides.get(name, "x") for name in ("path", "size")):
        return "an empty name or size in an extended header"
    return next((f"the field {name}" for name in sorted(DISPUTED_NAMES & overrides.keys())), None)


def describe_differences(found: FoundHeader, *, path: str) -> str:
    """Return which fields of the header are not as the canonical form has them."""
    expected = make_header(path, size=found.size)
    if len(found.raw) != len(expected) or found.raw[:-BLOCK_BYTES] != expected[:-BLOCK_BYTES]:
        return "another extended header"
    # A different field changes the checksum, too: only the field is worth naming.
    want, have = expected[-BLOCK_BYTES:], found.raw[-BLOCK_BYTES:]
    fields = [
        f"{name} {decode(have[place].rstrip(bytes(1)))!r}"
        for name, place in FIELDS.items()
        if want[place] != have[place] and name != "checksum"
    ]
    return ", ".join(fields) or "another spelling of the checksum"


def parse_block(block: bytes) -> tuple[bytes, int]:
    """Return type and size of a header block whose checksum is right."""
    field = FIELDS["checksum"]
    before, after = block[: field.start], block[field.stop :]
    # Some old tars took bytes for signed numbers; every reader allows for both.
    num_large = sum(byte >= 128 for byte in before + after)
    if compute_checksum(before, after) - parse_number(block[field]) not in {0, 256 * num_large}:
        raise UnreadableHeaderError("a damaged header (its checksum is wrong)")
    return block[FIELDS["type"]], parse_number(block[FIELDS["size"]])


def require_modest(size: int, *, before: int) -> int:
    """Return the size of an extension, unless it and the extensions before it are absurdly large together."""
    if before + size > MAX_HEADER_BYTES:
        raise UnreadableHeaderError(f"an extended header of {size} bytes")
    return size


def parse_number(field: bytes) -> int:
    """Read a number in octal digits, or in base 256 as GNU tar writes large ones."""
    if field[0] == 0x80:
        return int.from_bytes(field[1:], "big")
    digits = field.strip(b" \0")
    if not re.fullmatch(rb"[0-7]*", digits):
        raise UnreadableHeaderError(f"a header with the number {field!r}")
    return int(digits or b"0", 8)


def parse_decimal(text: str) -> int:
    """Read the number of a PAX record."""
    if not re.fullmatch(r"[0-9]{1,20}", text, re.ASCII):
        raise UnreadableHeaderError("an extended header with a size that is no number")
    return int(text)


def parse_extension(kind: bytes, body: bytes) -> dict[str, str]:
    """Return the fields that an extended header overrides."""
    if kind == b"L":
        return {"path": decode(body.rstrip(b"\0"))}
    if kind == b"K":  # a link's target: no link is ever followed
        return {}
    overrides, start = {}, 0
    while start < len(body):  # never `body = body[length:]`: that takes a minute for a megabyte of tiny records
        match = PAX_LENGTH.match(body, start)
        end = start + int(match[1]) if match else start
        record = body[match.end() if match else start : end]
        keyword, separator, value = record.partition(b"=")
        if not separator or not value.endswith(b"\n") or end > len(body):
            raise UnreadableHeaderError("an extended header that follows no form")
        overrides[decode(keyword)] = decode(value[:-1])
        start = end
    return overrides


def join_name(block: bytes) -> bytes:
    """Return the path that a block's prefix and name give."""
    prefix, name = (block[FIELDS[field]].split(b"\0", 1)[0] for field in ("prefix", "name"))
    is_posix = block[FIELDS["format"]] == POSIX_FORMAT
    return prefix + b"/" + name if prefix and is_posix else name


def decode(raw: bytes) -> str:
    """Return the text, with escapes for bytes that are not UTF-8."""
    return raw.decode("utf-8", "backslashreplace")
