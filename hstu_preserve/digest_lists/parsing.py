"""Read a list of digests in the form that its text has: JSON, or lines."""

import re

from hstu_preserve.digest_lists.digest_list import DigestList, decode
from hstu_preserve.digest_lists.json_lists import parse_json_list
from hstu_preserve.digest_lists.markdown_lists import parse_lines

JSON_BEGINNING = re.compile(r"\s*(?:\{|\[\s*[\[\]{\"])")
"""An object, or an array of them; a Markdown text may begin with a bracket, too, which a word follows."""
JSON_SUFFIX = ".json"


def parse_list(content: bytes, *, source: str) -> DigestList:
    """Return the digests in a list.

    Args:
        content: Its bytes, in UTF-8 or another encoding of Unicode with a byte order mark.
        source: Its name or path. What is named as JSON must be JSON; other names decide nothing.

    Raises:
        ContentError: Not a text, too large, not strict JSON, or it gives one name two digests.
    """
    text = decode(content, source=source)
    if source.casefold().endswith(JSON_SUFFIX) or JSON_BEGINNING.match(text):
        return parse_json_list(text.encode(), source=source)[1]
    return parse_lines(text, source=source)
