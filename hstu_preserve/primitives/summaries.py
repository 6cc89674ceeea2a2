"""Spell a value of a record on one short line, for whoever looks at it in Python."""

from collections.abc import Iterable, Mapping
from html import escape

MAX_VALUE_CHARACTERS = 40
MAX_LINE_CHARACTERS = 160


def summarize(value: object) -> str:
    """Return a value in a few characters; of what holds other values, only how many."""
    if isinstance(value, Mapping | tuple | list):
        return f"{len(value)} {'entry' if len(value) == 1 else 'entries'}"
    if isinstance(value, str | int | float | bool | None):
        text = repr(value)
        return text if len(text) <= MAX_VALUE_CHARACTERS else f"{text[:MAX_VALUE_CHARACTERS]}…"
    own = str(value) if not hasattr(value, "__pydantic_fields__") else type(value).__name__
    return (
        own if len(own) <= MAX_VALUE_CHARACTERS else f"…{own[-MAX_VALUE_CHARACTERS:]}"
    )  # the end of a path tells most


def summarize_all(kind: str, values: Iterable[tuple[str, object]]) -> str:
    """Return a record on one line."""
    line = f"{kind}({', '.join(f'{name}={summarize(value)}' for name, value in values)})"
    return line if len(line) <= MAX_LINE_CHARACTERS else f"{line[:MAX_LINE_CHARACTERS]}…)"


def tabulate(kind: str, values: Iterable[tuple[str, object]]) -> str:
    """Return a record as a small HTML table, for a notebook; no text of a bundle becomes markup."""
    rows = "".join(f"<tr><th>{escape(name)}</th><td>{escape(summarize(value))}</td></tr>" for name, value in values)
    return f"<table><caption>{escape(kind)}</caption>{rows}</table>"
