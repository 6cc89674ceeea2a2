"""Read JSON strictly: refuse a text that two readers could understand differently."""

import json
import math
from codecs import BOM_UTF8
from typing import Never

from hstu_preserve.errors import ContentError
from hstu_preserve.primitives.json_values import Json

MAX_DEPTH = 64
MAX_VALUES = 2**20
"""Of one text. Each takes some hundred bytes of memory, of which two characters suffice to ask for."""
MAX_NUMBER_CHARACTERS = 32
# RFC 8785 (through I-JSON, RFC 7493) has exact integers only up to 2**53 - 1.
MAX_INTEGER = 2**53 - 1


def strict_loads(content: bytes, *, source: str, max_values: int = MAX_VALUES) -> Json:
    """Parse one JSON value and refuse everything ambiguous.

    Refused: more than `max_values` values, duplicate keys, NaN and infinities, numbers outside I-JSON's exact range,
    more than `MAX_DEPTH` levels, lone surrogates, a byte order mark, other encodings than UTF-8, anything after the
    value.

    Args:
        content: The stored bytes.
        source: The origin of the bytes, for the message.
        max_values: The number of values that it may have.

    Raises:
        ContentError: The text is not strict JSON; the message names the source and the reason.
    """
    if content.startswith(BOM_UTF8):
        raise ContentError(f"{source}: starts with a byte order mark; save it as UTF-8 without one")
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ContentError(f"{source}: not UTF-8 (byte {error.start})") from None
    try:
        require_few_values(text, at_most=max_values)
        require_shallow(text)
        value: Json = json.loads(
            text,
            object_pairs_hook=unique_pairs,
            parse_constant=refuse_constant,
            parse_int=exact_integer,
            parse_float=finite_float,
        )
        require_scalar_text(value)
    except json.JSONDecodeError as error:
        raise ContentError(f"{source}: not JSON (line {error.lineno}, column {error.colno}: {error.msg})") from None
    except ValueError as error:
        raise ContentError(f"{source}: not strict JSON ({error})") from None
    return value


def require_few_values(text: str, *, at_most: int) -> None:
    """Raise ValueError if a text may have more values than these; its commas and brackets count them closely enough."""
    if sum(text.count(mark) for mark in ",[{") > at_most:
        raise ValueError(f"more than {at_most} values")


def require_shallow(text: str) -> None:
    """Raise ValueError if brackets nest deeper than `MAX_DEPTH`, before a recursive parser sees them."""
    depth = 0
    inside_string = escaped = False
    for character in text:
        if inside_string:
            if escaped:
                escaped = False
            elif character == "\\":
                escaped = True
            elif character == '"':
                inside_string = False
        elif character == '"':
            inside_string = True
        elif character in "[{":
            depth += 1
            if depth > MAX_DEPTH:
                raise ValueError(f"nested deeper than {MAX_DEPTH}")
        elif character in "]}":
            depth -= 1


def unique_pairs(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    """Return the pairs as a dict, refusing equal keys."""
    result: dict[str, Json] = {}
    for key, value in pairs:
        if key in result:
            raise ValueError(f"duplicate key {key[:80]!r}")
        result[key] = value
    return result


def refuse_constant(name: str) -> Never:
    """Refuse NaN, Infinity and -Infinity, which JSON does not have."""
    raise ValueError(f"{name} is not a JSON number")


def exact_integer(digits: str) -> int:
    """Read an integer that every JSON reader keeps exactly."""
    if len(digits) > MAX_NUMBER_CHARACTERS or abs(int(digits)) > MAX_INTEGER:
        raise ValueError(f"integer {digits[:24]}… is outside ±(2**53 - 1)")
    return int(digits)


def finite_float(digits: str) -> float:
    """Read a number with a fraction or exponent that does not overflow."""
    value = float(digits) if len(digits) <= MAX_NUMBER_CHARACTERS else math.inf
    if not math.isfinite(value):
        raise ValueError(f"number {digits[:24]} cannot be kept")
    return value


def require_scalar_text(value: Json) -> None:
    """Raise ValueError if a string holds a lone surrogate (an escape that is no character)."""
    match value:
        case str():
            if any("\ud800" <= character <= "\udfff" for character in value):
                raise ValueError("lone surrogate in a string")
        case list():
            for item in value:
                require_scalar_text(item)
        case dict():
            for key, item in value.items():
                require_scalar_text(key)
                require_scalar_text(item)
        case _:
            pass
