"""Hold one line of text; lines need no table, and so none of the time that loading rich takes."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Line:
    """One line, or several, of which a terminal shows the beginning in a style."""

    mark: str = ""
    style: str = ""
    """Of the mark, as rich names it."""
    text: str

    def __str__(self) -> str:
        return self.mark + self.text
