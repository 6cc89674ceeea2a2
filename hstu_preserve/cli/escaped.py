"""Pass what rich laid out through two rules: no text of a bundle steers the terminal, no line ends in blanks."""

from collections.abc import Iterable
from dataclasses import dataclass

from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.segment import Segment

from hstu_preserve.cli.escaping import escape_controls


@dataclass(frozen=True)
class Escaped:
    """A rich object whose control characters are spelled out, even if no earlier code escaped them."""

    shown: RenderableType

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Yield the segments of the wrapped object line by line, their text escaped, blanks at the end left out."""
        for line in Segment.split_lines(console.render(self.shown, options)):
            yield from strip_end(line)
            yield Segment.line()


def strip_end(line: Iterable[Segment]) -> list[Segment]:
    """Return the segments of a line, escaped, without the blanks at its end: rich fills cells with them."""
    kept = [Segment(escape_controls(part.text), part.style, part.control) for part in line]
    while kept and not kept[-1].text.strip(" ") and not kept[-1].control:
        kept.pop()
    if kept:
        kept[-1] = Segment(kept[-1].text.rstrip(" "), kept[-1].style, kept[-1].control)
    return kept
