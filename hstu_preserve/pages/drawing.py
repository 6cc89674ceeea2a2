"""Draw figures as SVG: equal input gives equal bytes, and the page's style sheet chooses the colours."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Canvas

# Each stands for a custom property of the style sheet, which has one value for light screens and another for dark ones.
INK, FAINT, RECORDED, HERE, BAND = "#010101", "#020202", "#030303", "#040404", "#050505"
VARIABLES = {INK: "ink", FAINT: "faint", RECORDED: "recorded", HERE: "here", BAND: "band"}
WIDTH_INCHES = 5.0
"""Of 72 units each: as wide as a telephone's screen, so that letters of 10 units can be read there."""
SETTINGS = {
    "svg.fonttype": "none",  # letters stay text, in the page's own font
    "svg.hashsalt": "hstu-preserve",  # else each id is drawn at random
    "text.parse_math": False,  # a dollar sign in a name is a dollar sign
    "font.size": 10.0,
    "axes.edgecolor": FAINT,
    "axes.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": INK,
    "ytick.color": INK,
    "text.color": INK,
    "legend.frameon": False,
    "legend.labelcolor": INK,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "savefig.facecolor": "none",
}
NO_METADATA = dict.fromkeys(("Creator", "Date", "Format", "Type"))
METADATA = re.compile(r"\s*<metadata>.*?</metadata>|\s*<style[^>]*>.*?</style>|<!--.*?-->", re.DOTALL)
SIZE = re.compile(r'(<svg[^>]*?) width="[^"]*"([^>]*>)')
HEIGHT = re.compile(r'(<svg[^>]*?) height="[^"]*"([^>]*>)')
IDS = re.compile(r'(\bid="|url\(#|href="#)')
FONT = re.compile(r"font: ([^;\"]*?\b)(\d+(?:\.\d+)?)px [^;\"]*")


class Drawing:
    """One figure while it is drawn, and its SVG afterwards."""

    def __init__(self, axes: "Axes", canvas: "Canvas") -> None:
        self.axes = axes
        self.canvas = canvas
        self.svg = ""


@contextmanager
def draw(name: str, *, height: float) -> Iterator[Drawing]:
    """Yield a drawing with empty axes; when the block ends, `svg` holds what was drawn.

    Args:
        name: Of the figure on its page: two figures may not share ids.
        height: In inches.
    """
    from matplotlib import style
    from matplotlib.figure import Figure as Canvas

    with style.context(SETTINGS, after_reset=True):  # whatever the user's own settings choose
        canvas = Canvas(figsize=(WIDTH_INCHES, height), layout="constrained")
        drawing = Drawing(canvas.add_subplot(), canvas)
        yield drawing
        buffer = BytesIO()
        canvas.savefig(buffer, format="svg", metadata=NO_METADATA)
    drawing.svg = tidy(buffer.getvalue().decode(), name=name)


def tidy(text: str, *, name: str) -> str:
    """Return a written SVG as one element of a page: without a size, a style sheet or an id that others may have."""
    text = METADATA.sub("", text[text.index("<svg") :])
    text = HEIGHT.sub(r"\1\2", SIZE.sub(r"\1\2", text, count=1), count=1)
    text = IDS.sub(rf"\g<1>{name}-", text)
    text = FONT.sub(r"font: \1\2px var(--font)", text)
    for colour, variable in VARIABLES.items():
        text = text.replace(colour, f"var(--{variable})")
    return text.strip()
