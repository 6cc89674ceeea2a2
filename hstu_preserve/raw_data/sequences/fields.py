"""The fields of a line that holds one review: JSON, or the text of a Python dictionary, of which nothing is executed.

Numbers stay the text that they are written as, so that no reader rounds them; what nests is passed over.
"""

import json
import re
from collections.abc import Iterator, Mapping

from hstu_preserve.primitives.strict_json import MAX_DEPTH, require_shallow, unique_pairs

TOKEN = re.compile(
    r"""\s*(?:
    [uU]?(?P<string>'[^'\\]*(?:\\.[^'\\]*)*' | "[^"\\]*(?:\\.[^"\\]*)*")
    | (?P<plain>[\w.+-]+)
    | (?P<mark>[{}\[\]():,])
    )""",
    re.VERBOSE | re.DOTALL,
)
OPENING, CLOSING = frozenset("{[("), frozenset("}])")
COLON, COMMA = ":", ","


def read_fields(text: str) -> Mapping[str, object]:
    """Return the fields of a dictionary; those that are text or numbers as text.

    Raises:
        ValueError: Not a dictionary in JSON, or as Python writes one.
    """
    return read_json(text) if text.lstrip()[1:].lstrip().startswith(('"', "}")) else dict(read_literal(text))


def read_json(text: str) -> Mapping[str, object]:
    """Return the fields of one JSON object.

    Raises:
        ValueError: Not one, or one that two readers could understand differently.
    """
    if (
        text.count("[") + text.count("{") > MAX_DEPTH
    ):  # else it cannot nest deeper, and a look at each character is slow
        require_shallow(text)
    try:
        value = json.loads(text, object_pairs_hook=unique_pairs, parse_int=str, parse_float=str, parse_constant=str)
    except json.JSONDecodeError as error:
        raise ValueError(f"not JSON ({error.msg}, column {error.colno})") from None
    assert isinstance(value, dict)  # it begins with a brace
    return value


def read_literal(text: str) -> Iterator[tuple[str, str]]:
    """Yield the fields of a dictionary in Python's own notation; text as it stands between its quotes.

    Escapes are not resolved: one writer writes one name in one way, and names are only compared with each other.

    Raises:
        ValueError: Not a dictionary of this notation.
    """
    entry: list[str] = []
    depth = 0
    for token in list_tokens(text):
        depth += (token in OPENING) - (token in CLOSING)
        is_end = depth == 0 or (depth == 1 and token == COMMA)
        if is_end and len(entry) == 3 and entry[1] == COLON:
            yield unquote(entry[0]), unquote(entry[2])
        if is_end:
            entry = []
        elif not (depth == 1 and token in OPENING and not entry):
            entry.append(token)
    if depth:
        raise ValueError("not a whole dictionary")


def list_tokens(text: str) -> Iterator[str]:
    """Yield strings with their quotes, plain words and marks, until the dictionary is closed.

    Raises:
        ValueError: Something else stands there, or after the end.
    """
    place, depth, end = 0, 0, len(text.rstrip())
    while place < end:
        found = TOKEN.match(text, place)
        if found is None or (place and not depth):
            raise ValueError(f"not a dictionary at column {place + 1}")
        token = found["string"] or found["plain"] or found["mark"]
        depth += (token in OPENING) - (token in CLOSING)
        place = found.end()
        yield token


def unquote(token: str) -> str:
    """Return a string without its quotes, and a plain word as it is."""
    return token[1:-1] if token[0] in "'\"" else token
