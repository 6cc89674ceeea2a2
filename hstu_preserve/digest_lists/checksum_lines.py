"""Read a line as `md5sum`, `sha256sum` and the BSD tools print it."""

import re

MD5SUM_LINE = re.compile(r"^\s*(?:[0-9a-fA-F]{64}|[0-9a-fA-F]{32})(?: [ *]|\t+)(?P<name>\S.*)$")
"""A digest, a mark of text or binary mode, a name; some tools put tabs between them."""
BSD_LINE = re.compile(r"^\s*(?:MD5|SHA256) \((?P<name>.+)\) = [0-9a-fA-F]{32,64}\s*$")


def find_named_file(line: str) -> str | None:
    """Return the file name of a checksum line, whatever characters it has; None for another line."""
    match = MD5SUM_LINE.match(line) or BSD_LINE.match(line)
    return match["name"] if match else None
