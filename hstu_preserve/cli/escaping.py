"""Spell out control characters, so that no text can steer the terminal; needs nothing heavy."""


def escape_controls(text: str) -> str:
    """Return text in which nothing but line ends can move a terminal's cursor, change its colours or hide a letter."""
    return "".join(c if c.isprintable() or c == "\n" else c.encode("unicode_escape").decode() for c in text)
