"""The last look at what rich is about to print: text from a bundle must not steer the terminal."""

from dataclasses import dataclass

from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.segment import Segment

from hstu_preserve.cli.escaping import escape_controls


@dataclass(frozen=True)
class Escaped:
    """What is shown with every control character spelled out, whoever forgot to do so before."""

    shown: RenderableType

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Yield the segments of what is shown, their text escaped."""
        for segment in console.render(self.shown, options):
            yield Segment(escape_controls(segment.text), segment.style, segment.control)
