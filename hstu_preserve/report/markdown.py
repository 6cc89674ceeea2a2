"""Write text from outside into Markdown, so that no renderer takes it for Markdown, HTML or YAML."""

from hstu_preserve.primitives.wording import printable

ESCAPED = frozenset("&<>\"'`\\|*_[]{}#~$!@")
"""Characters with a meaning for some renderer wherever they stand; others have one only at the start of a line."""


def escape(text: str) -> str:
    """Return text from outside so that it reads as itself and as nothing else, on one line."""
    return "".join(f"&#{ord(c)};" if c in ESCAPED else c for c in printable(text)).strip() or "&#8203;"


def quote_lines(text: str) -> str:
    """Return text from outside as an indented code block, which nothing in it can end."""
    return "\n".join(f"    {printable(line)}" for line in (text.strip() or "not stated").splitlines())
