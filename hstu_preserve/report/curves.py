"""Draw curves with letters: in braille, or in ASCII if the terminal knows no other letters."""

from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Console, ConsoleOptions, RenderResult
from rich.text import Text

COLUMNS = 56
"""Of the drawing: 80 less the labels before it and an indent."""
ROWS = 5
BRAILLE = 0x2800
DOTS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))
"""The bit of each dot of a braille letter, by row and column."""
LABEL_COLUMNS = 8
IN_ASCII = str.maketrans("│┼─━┣┫●−·", "|+-=[]o--")


@dataclass(frozen=True, kw_only=True)
class PlottedCurve:
    """One curve with the epochs that are named below it.

    Attributes:
        epochs: Ascending.
        values: One for each epoch.
        claimed: The epoch that is claimed; None if none is yet.
    """

    epochs: Sequence[int]
    values: Sequence[float]
    claimed: int | None

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Yield the drawing, in the letters that the terminal has."""
        lines = draw_in_ascii(self.values) if options.ascii_only else draw_in_braille(self.values)
        labels = {0: f"{max(self.values):.4f}", len(lines) - 1: f"{min(self.values):.4f}"}
        for number, line in enumerate(lines):
            yield Text(f"{labels.get(number, ''):>{LABEL_COLUMNS}} {line}".rstrip(), no_wrap=True)
        yield Text(f"{'':{LABEL_COLUMNS}} {self.mark()}", no_wrap=True)
        yield Text(self.describe(), style="dim")

    def mark(self) -> str:
        """Return a line with a letter below the first, the best and the claimed epoch."""
        line = [" "] * COLUMNS
        for letter, epoch in (("f", self.epochs[0]), ("b", self.epochs[self.find_best()]), ("c", self.claimed)):
            if epoch in self.epochs:
                line[find_column(self.epochs.index(epoch), len(self.epochs), COLUMNS)] = letter
        return "".join(line).rstrip()

    def find_best(self) -> int:
        """Return the place of the largest value, of the first one if there are several."""
        return max(range(len(self.values)), key=self.values.__getitem__)

    def describe(self) -> str:
        """Return the first, best and claimed value in figures."""
        best = self.find_best()
        parts = [
            f"f: first {self.values[0]:.4f}, epoch {self.epochs[0]}",
            f"b: best {self.values[best]:.4f}, epoch {self.epochs[best]}",
        ]
        if self.claimed in self.epochs:
            value = self.values[self.epochs.index(self.claimed)]
            parts.append(f"c: claimed {value:.4f}, epoch {self.claimed}")
        else:
            parts.append(f"last {self.values[-1]:.4f}, epoch {self.epochs[-1]}")
        return "; ".join(parts)


def find_column(place: int, number: int, columns: int) -> int:
    """Return the column of a value among so many."""
    return 0 if number < 2 else round(place * (columns - 1) / (number - 1))


def spread_values(values: Sequence[float], columns: int) -> list[float]:
    """Return the height of each column from 0 to 1: values in between lie on a line from one to the next."""
    low, reach = min(values), (max(values) - min(values)) or 1.0
    last = len(values) - 1
    heights = []
    for column in range(columns):
        place = column * last / (columns - 1)
        before = min(int(place), max(last - 1, 0))
        after = min(before + 1, last)
        value = values[before] + (values[after] - values[before]) * (place - before)
        heights.append((value - low) / reach)
    return heights


def draw_in_braille(values: Sequence[float]) -> list[str]:
    """Return the curve in letters of two by four dots."""
    dots_down, dots_across = ROWS * len(DOTS), COLUMNS * 2
    cells = [[0] * COLUMNS for _ in range(ROWS)]
    before = None
    for column, height in enumerate(spread_values(values, dots_across)):
        at = round((1.0 - height) * (dots_down - 1))
        for row in fill_between(before, at):
            cells[row // len(DOTS)][column // 2] |= DOTS[row % len(DOTS)][column % 2]
        before = at
    return ["".join(chr(BRAILLE + cell) if cell else " " for cell in line).rstrip() for line in cells]


def fill_between(before: int | None, at: int) -> range:
    """Return the rows that join a column's row to the row of the column before, so that a steep line has no gap."""
    if before is None or before == at:
        return range(at, at + 1)
    return range(before + 1, at + 1) if before < at else range(at, before)


def draw_in_ascii(values: Sequence[float]) -> list[str]:
    """Return the curve in asterisks."""
    lines = [[" "] * COLUMNS for _ in range(ROWS)]
    before = None
    for column, height in enumerate(spread_values(values, COLUMNS)):
        at = round((1.0 - height) * (ROWS - 1))
        for row in fill_between(before, at):
            lines[row][column] = "*"
        before = at
    return ["".join(line).rstrip() for line in lines]


@dataclass(frozen=True, kw_only=True)
class DrawnLines:
    """Lines that are drawn with letters of a box, or with ASCII's if the terminal has no others."""

    lines: Sequence[str]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Yield the lines."""
        for line in self.lines:
            shown = line.translate(IN_ASCII) if options.ascii_only else line
            yield Text(shown, no_wrap=True)
