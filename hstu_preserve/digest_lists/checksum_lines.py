"""Read a line as the tools that compute digests print it: coreutils, BSD, OpenSSL; the name is the rest of the line."""

import re
from dataclasses import dataclass

HEX = r"[0-9a-fA-F]{64}|[0-9a-fA-F]{32}"
MARKED_LINE = re.compile(rf"[ \t]*(?P<escaped>\\?)(?P<digest>{HEX})(?: [ *]|\t+)(?P<name>\S.*)", re.DOTALL)
"""`md5sum`, `sha256sum`, `openssl dgst -r`: a digest, a mark of text or binary mode, a name; some put tabs between."""
REVERSED_LINE = re.compile(rf"[ \t]*(?P<escaped>)(?P<digest>{HEX}) (?P<name>[^\s`*:=–—-].*)", re.DOTALL)
"""`md5 -r` of the BSD tools: one blank, then the name."""
TAGGED_LINE = re.compile(
    rf"[ \t]*(?P<escaped>\\?)(?P<algorithm>[A-Za-z0-9/-]{{1,20}}) ?\((?P<name>.+)\) ?= ?(?P<digest>{HEX})[ \t]*",
    re.DOTALL,
)
"""`md5`, `sha256sum --tag`, `openssl dgst`."""
DIGEST_LENGTHS = {"MD5": 32, "SHA256": 64, "SHA2-256": 64, "SHA-256": 64}
"""By the algorithms' names. Others have digests of these lengths, too: SHA3-256, SHA512/256, BLAKE2s, SM3, MD4."""
ESCAPE = re.compile(r"\\(.?)", re.DOTALL)
ESCAPED_CHARACTERS = {"\\": "\\", "n": "\n", "r": "\r"}


@dataclass(frozen=True, kw_only=True)
class ChecksumLine:
    """One line that a tool printed.

    Attributes:
        digest: As printed.
        name: The file's name, whole; None if the digest is of an unknown algorithm, or the name cannot be read.
    """

    digest: str
    name: str | None


def read_checksum_line(line: str) -> ChecksumLine | None:
    """Return digest and name of a tool's line, whatever characters the name has; None for another line."""
    if match := TAGGED_LINE.fullmatch(line):
        is_known = DIGEST_LENGTHS.get(match["algorithm"].upper()) == len(match["digest"])
        return ChecksumLine(digest=match["digest"], name=read_name(match) if is_known else None)
    match = MARKED_LINE.fullmatch(line)
    if match is None and (one := REVERSED_LINE.fullmatch(line)) and not re.search(HEX, one["name"]):
        match = one  # with another digest behind the first, it is a sentence
    if match is not None:
        return ChecksumLine(digest=match["digest"], name=read_name(match))
    return None


def read_name(match: re.Match[str]) -> str | None:
    r"""Return the name; of a line that begins with a backslash, `\n`, `\r` and `\\` stand for one character each."""
    if not match["escaped"]:
        return match["name"]
    if any(one not in ESCAPED_CHARACTERS for one in ESCAPE.findall(match["name"])):
        return None
    return ESCAPE.sub(lambda one: ESCAPED_CHARACTERS[one[1]], match["name"])
