"""A curve fits 80 columns, names first, best and claimed epoch, and needs no letter that the terminal lacks."""

from io import BytesIO, TextIOWrapper

import pytest
from rich.console import Console

from hstu_preserve.report.agreement import describe_agreement
from hstu_preserve.report.curves import COLUMNS, ROWS, PlottedCurve, draw_in_ascii, draw_in_braille
from tests.report.test_agreement import make

VALUES = {
    "rising": [0.1, 0.2, 0.3],
    "one epoch": [0.25],
    "no change": [0.25] * 7,
    "long": [(epoch * 37 % 101) / 101 for epoch in range(500)],
}


def show(renderable: object, *, encoding: str) -> str:
    stream = TextIOWrapper(BytesIO(), encoding=encoding)
    Console(file=stream, width=80, force_terminal=True, color_system=None).print(renderable)
    stream.seek(0)
    return stream.read()


@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
@pytest.mark.parametrize("values", VALUES.values(), ids=VALUES)
def test_a_curve_fits_the_terminal_in_its_letters(values: list[float], encoding: str) -> None:
    curve = PlottedCurve(epochs=list(range(len(values))), values=values, claimed=len(values) - 1)
    lines = show(curve, encoding=encoding).splitlines()
    assert len(lines) == ROWS + 2
    assert max(map(len, lines)) <= 80
    best = max(values)
    assert f"b: best {best:.4f}, epoch {values.index(best)}" in lines[-1]
    assert f"c: claimed {values[-1]:.4f}, epoch {len(values) - 1}" in lines[-1]


@pytest.mark.parametrize("draw", [draw_in_ascii, draw_in_braille])
def test_a_rising_curve_begins_below_and_ends_above(draw: object) -> None:
    assert callable(draw)
    lines = draw([0.0, 1.0])
    assert lines[0][-1] != " "
    assert len(lines[0]) == COLUMNS
    assert lines[-1][0] != " "
    assert len(lines[-1]) < COLUMNS / 2


def test_a_steep_line_has_no_gap() -> None:
    assert all(line.strip() for line in draw_in_ascii([0.0, 1.0, 0.0] * 40))
    assert all(line.strip() for line in draw_in_braille([0.0] * 200 + [1.0] * 200))


def test_an_interval_is_drawn_without_box_letters_where_there_are_none() -> None:
    text = show(describe_agreement(make(0.001, 0.004)), encoding="ascii")
    assert text.isascii()
    assert "[" in text
    assert "o" in text.splitlines()[-1]
