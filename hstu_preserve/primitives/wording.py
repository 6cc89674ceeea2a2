"""Numbers with their nouns, as people say them."""


def count(number: int, noun: str) -> str:
    """Return `1 thread`, `2 threads`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


MAX_SHOWN_CHARACTERS = 4096
"""Of a name in a finding: as long as a path may be."""


def printable(name: str) -> str:
    """Return a name from outside, shortened where it is absurd, with escapes for what a terminal cannot take."""
    shown = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in name[:MAX_SHOWN_CHARACTERS])
    return shown if len(name) <= MAX_SHOWN_CHARACTERS else f"{shown}…"
