"""Say what a file is that is not what its name says, by its first bytes, and what helps."""

import re
from collections.abc import Callable

from hstu_preserve.primitives.wording import printable

BEGINNING_BYTES = 600
"""Enough to tell every kind below."""
LFS_POINTER = b"version https://git-lfs.github.com/spec/"
REPACK = "unpack it and pack the files with 'tar czf'"
FETCH = "fetch it again"
SIGNATURES = {
    LFS_POINTER: "a Git LFS pointer, not the file: 'git lfs pull' or 'hstu-preserve download' brings it",
    b"\x28\xb5\x2f\xfd": f"a zstd file: {REPACK}",
    b"\xfd7zXZ\0": f"an xz file: {REPACK}",
    b"BZh": f"a bzip2 file: {REPACK}",
    b"PK\x03\x04": f"a zip file: {REPACK}",
    b"PK\x05\x06": "an empty zip file",
    b"PK\x07\x08": f"a zip file in parts: {REPACK}",
    b"7z\xbc\xaf\x27\x1c": f"a 7z file: {REPACK}",
    b"Rar!\x1a\x07": f"a rar file: {REPACK}",
    b"LZIP": f"an lzip file: {REPACK}",
    b"\x04\x22\x4d\x18": f"an lz4 file: {REPACK}",
    b"\x1f\x9d": f"a file that 'compress' wrote: {REPACK}",
    b"\x1f\x8b": "a gzip file",
    b"\x80\x02": "a pickle, such as a checkpoint",
    b"\x89HDF": "an HDF5 file",
    b"\x93NUMPY": "an array of NumPy",
}
TAR_MAGIC = b"ustar"
TAR_MAGIC_PLACE = slice(257, 262)
TAR_CHECKSUM = slice(148, 156)
TAR_BLOCK_BYTES = 512
MAX_QUOTED_CHARACTERS = 60


def describe_beginning(beginning: bytes) -> str:
    """Return what begins with these bytes, with an article, and what helps where that is known.

    Args:
        beginning: The first `BEGINNING_BYTES` of a file, or all of it.
    """
    known = next((kind for signature, kind in SIGNATURES.items() if beginning.startswith(signature)), None)
    known = known or next((kind for is_kind, kind in SHAPES if is_kind(beginning)), None)
    if known is None and is_text(beginning):
        return f"a text that begins with {quote(beginning)}"
    return known or f"bytes of no kind that is known here (they begin with {beginning[:4].hex()}): {FETCH}"


def is_text(beginning: bytes) -> bool:
    """Whether these bytes are the beginning of a text in UTF-8."""
    try:
        text = beginning.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        if error.start < len(beginning) - 3:  # else a character is cut in two
            return False
        text = beginning[: error.start].decode("utf-8-sig")
    return all(character.isprintable() or character in "\t\r\n\f" for character in text)


def quote(beginning: bytes) -> str:
    """Return the first line of a text, shortened, in quotes."""
    line = beginning.decode("utf-8-sig", "ignore").lstrip().partition("\n")[0].strip()
    shown = line if len(line) <= MAX_QUOTED_CHARACTERS else f"{line[:MAX_QUOTED_CHARACTERS]}…"
    return f"'{printable(shown)}'"


def is_tar(beginning: bytes) -> bool:
    """Whether these bytes begin with the header of a tar member: by its magic, or in old forms by its checksum."""
    if beginning[TAR_MAGIC_PLACE] == TAR_MAGIC:
        return True
    block = beginning[:TAR_BLOCK_BYTES]
    digits = block[TAR_CHECKSUM].strip(b" \0")
    if len(block) < TAR_BLOCK_BYTES or not re.fullmatch(rb"[0-7]{1,7}", digits):
        return False
    checked = block[: TAR_CHECKSUM.start] + b" " * 8 + block[TAR_CHECKSUM.stop :]
    return sum(checked) == int(digits, 8)


SHAPES: tuple[tuple[Callable[[bytes], object], str], ...] = (
    (lambda beginning: not beginning, f"nothing, it is empty: {FETCH}"),
    (is_tar, "a tar that is not compressed: 'gzip -n' compresses it"),
    (
        re.compile(rb"\s*<(?:!doctype html|html|head|body)", re.IGNORECASE).match,
        f"an HTML page, as servers answer errors and ask for logins: {FETCH}",
    ),
    (re.compile(rb"\s*<\?xml").match, f"an XML text, as servers answer errors: {FETCH}"),
    (lambda beginning: not any(beginning), f"zeros, as a copy leaves them that was cut off: {FETCH}"),
)
"""Kinds without a signature, the first that fits."""
