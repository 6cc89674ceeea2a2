"""The one tar header that a path and a size have: packing writes it, verification expects it.

POSIX ustar, a regular file of mode 0644 without owner or time. A PAX extended header stands only before a path that is
not ASCII or fits neither the name field nor a split into prefix (the shortest that works) and name, and before a size
above 8 GiB - 1; it holds nothing else. The archive ends with two zero blocks and is not padded to tape records:
GNU tar, bsdtar and Python read it without a warning.
"""

BLOCK_BYTES = 512
END_OF_ARCHIVE = bytes(2 * BLOCK_BYTES)

REGULAR = b"0"
EXTENDED = b"x"
EXTENDED_NAME = b"././@PaxHeader"
"""The name that Python's tarfile gives it; readers that know PAX never show it."""

MAX_NAME_BYTES = 100
MAX_PREFIX_BYTES = 155
MAX_USTAR_SIZE = 8**11 - 1


def make_header(path: str, *, size: int) -> bytes:
    """Return the header of a member: one block, or three and more if PAX is needed."""
    place = split_path(path)
    prefix, name = place or (b"", path.encode("ascii", "replace")[:MAX_NAME_BYTES])
    fits = size <= MAX_USTAR_SIZE
    block = make_block(name, prefix=prefix, size=size if fits else 0, kind=REGULAR)
    records = b"" if place else make_pax_record("path", path)
    records += b"" if fits else make_pax_record("size", str(size))
    if not records:
        return block
    extended = make_block(EXTENDED_NAME, prefix=b"", size=len(records), kind=EXTENDED)
    return extended + records + make_padding(len(records)) + block


def make_padding(size: int) -> bytes:
    """Return the zeros that fill the last block of `size` bytes."""
    return bytes(-size % BLOCK_BYTES)


def measure_member(path: str, *, size: int) -> int:
    """Return how many bytes the member takes in the archive."""
    return len(make_header(path, size=size)) + size + len(make_padding(size))


def split_path(path: str) -> tuple[bytes, bytes] | None:
    """Return ustar's prefix and name for a path, or None if they cannot hold it."""
    if not path.isascii():
        return None
    whole = path.encode()
    if len(whole) <= MAX_NAME_BYTES:
        return b"", whole
    for position in (position for position, byte in enumerate(whole) if byte == ord("/")):
        prefix, name = whole[:position], whole[position + 1 :]
        if len(prefix) <= MAX_PREFIX_BYTES and len(name) <= MAX_NAME_BYTES:
            return prefix, name
    return None


def make_block(name: bytes, *, prefix: bytes, size: int, kind: bytes) -> bytes:
    """Return one ustar header block."""
    before = b"".join(
        (
            name.ljust(MAX_NAME_BYTES, b"\0"),
            b"0000644\0",  # mode
            b"0000000\0",  # uid
            b"0000000\0",  # gid
            b"%011o\0" % size,
            b"00000000000\0",  # mtime
        )
    )
    after = b"".join(
        (
            kind,
            bytes(100),  # link name
            b"ustar\x00" + b"00",  # magic and version
            bytes(32 + 32 + 8 + 8),  # user and group name, device numbers
            prefix.ljust(MAX_PREFIX_BYTES, b"\0"),
            bytes(12),
        )
    )
    return before + b"%06o\0 " % compute_checksum(before, after) + after


def compute_checksum(before: bytes, after: bytes) -> int:
    """Return the sum over a header block whose checksum field, between the two parts, counts as spaces."""
    return sum(before) + 8 * ord(" ") + sum(after)


def make_pax_record(keyword: str, value: str) -> bytes:
    """Return length, keyword, value and line feed; the length counts its own digits."""
    text = f" {keyword}={value}\n".encode()
    length = len(text)
    # One more digit in the length may make the length one digit longer.
    while length != len(text) + len(str(length)):
        length = len(text) + len(str(length))
    return str(length).encode() + text
