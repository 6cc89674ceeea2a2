"""Escape text just before rich prints it: text from a bundle must not steer the terminal."""

from dataclasses import dataclass

from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.segment import Segment

from hstu_preserve.cli.escaping import escape_controls


@dataclass(frozen=True)
class Escaped:
    """A rich object whose control characters are spelled out, even if no earlier code escaped them."""

    shown: RenderableType

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Yield the segments of the wrapped object, their text escaped."""
        for segment in console.render(self.shown, options):
            yield Segment(escape_controls(segment.text), segment.style, segment.control)
