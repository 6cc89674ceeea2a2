"""Write numbers, lists and names from outside as people read them."""

from collections.abc import Iterable, Sequence


def count(number: int, noun: str) -> str:
    """Return `1 thread`, `2 threads`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def describe_duration(seconds: float) -> str:
    """Return a time in its two largest units: `45 s`, `3 min 20 s`, `2 h 10 min`, `4 d 3 h`."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    for size, large, part, small in ((86400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s")):
        if whole >= size:
            rest = whole % size // part
            return f"{whole // size} {large}" + (f" {rest} {small}" if rest else "")
    raise AssertionError(whole)


def list_some(items: Iterable[str], *, at_most: int, separator: str = ", ") -> str:
    """Return the first items, and how many there are beyond them: `a, b, c and 4 more`."""
    every = list(items)
    hidden = len(every) - at_most
    return separator.join(every[:at_most]) + (f" and {hidden} more" if hidden > 0 else "")


def cut_lines(lines: Sequence[str], *, at_most: int, noun: str = "") -> list[str]:
    """Return the first lines, and a last one that says how many there are beyond them: `… and 4 more`."""
    hidden = len(lines) - at_most
    return [*lines[:at_most], *([f"… and {hidden} more {noun}".rstrip()] if hidden > 0 else [])]


MAX_SHOWN_CHARACTERS = 4096
"""Of a name in a finding: as long as a path may be."""


def printable(name: str) -> str:
    """Return a name from outside, shortened if it is absurd, with escapes for characters a terminal cannot take."""
    shown = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in name[:MAX_SHOWN_CHARACTERS])
    return shown if len(name) <= MAX_SHOWN_CHARACTERS else f"{shown}…"
