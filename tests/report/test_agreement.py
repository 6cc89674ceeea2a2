"""Every run is shown, and the interval is drawn between the margins."""

from io import StringIO

from rich.console import Console

from hstu_preserve.records.retraining.agreement import Agreement, RunValue
from hstu_preserve.report.agreement import describe_agreement, draw_interval


def make(difference: float, half_width: float | None, *, margin: float | None = 0.01) -> Agreement:
    runs = tuple(RunValue(seed=seed, value=0.19, is_diverged=False, identity=None) for seed in (3, 4))
    collapsed = RunValue(seed=5, value=0.0, is_diverged=True, identity=None)
    return Agreement(
        reruns=(*runs, collapsed),
        references=(RunValue(seed=0, value=0.1948, is_diverged=False, identity=None),),
        difference=difference,
        half_width=half_width,
        level=0.9,
        spread=None if half_width is None else 0.002,
        degrees=None if half_width is None else 2,
        floor=0.0043,
        num_users=943,
        margin=margin,
        power=0.5,
        look=1,
        looks=1,
    )


def columns(agreement: Agreement) -> dict[str, int]:
    """Return where the parts of the drawing are."""
    _, axis, bar = draw_interval(agreement)
    left, right = axis.index("│"), axis.rindex("│")
    return {
        "−m": left,
        "0": axis.index("┼"),
        "m": right,
        "low": bar.index("┣"),
        "d": bar.index("●"),
        "high": bar.index("┫"),
    }


def test_an_interval_inside_is_drawn_between_the_ends_of_the_margin() -> None:
    found = columns(make(0.002, 0.004))
    assert found["−m"] < found["low"] < found["0"] < found["d"] < found["high"] < found["m"]


def test_an_interval_outside_is_drawn_beyond_one_end() -> None:
    found = columns(make(-0.03, 0.004))
    assert found["low"] < found["d"] < found["high"] < found["−m"]
    found = columns(make(0.03, 0.004))
    assert found["m"] < found["low"]


def test_an_interval_across_is_drawn_across() -> None:
    found = columns(make(0.009, 0.004))
    assert found["low"] < found["m"] < found["high"]


def test_no_line_is_wider_than_eighty_columns() -> None:
    for difference in (-0.9, -0.01, 0.0, 0.01, 0.9):
        assert max(map(len, draw_interval(make(difference, 0.05)))) <= 80


def test_without_an_interval_or_a_margin_nothing_is_drawn() -> None:
    assert draw_interval(make(0.0, None)) == []
    assert draw_interval(make(0.0, 0.001, margin=None)) == []


def test_every_value_is_shown_and_a_collapsed_run_is_seen() -> None:
    console = Console(file=StringIO(), width=80)
    console.print(describe_agreement(make(0.002, 0.004)))
    assert isinstance(console.file, StringIO)
    text = " ".join(console.file.getvalue().split())
    assert "recorded 0.1948 (seed 0)" in text
    assert "retrained 0.1900 (seed 3), 0.1900 (seed 4), 0.0000 (seed 5, diverged)" in text
    assert "0.002 from run to run, known by 2 degrees of freedom; 943 users alone scatter it by 0.0043" in text
