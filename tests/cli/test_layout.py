"""What a terminal shows: nothing that tells two rows apart is cut, no line ends in blanks."""

from io import StringIO

import pytest
from rich.console import Console

from hstu_preserve.cli.escaped import Escaped
from hstu_preserve.report.tables import list_fields, new_table


def print_at(columns: int, *rows: tuple[str, ...]) -> str:
    table = new_table("file", "where")
    for row in rows:
        table.add_row(*row)
    text = StringIO()
    Console(width=columns, file=text).print(Escaped(table))
    return text.getvalue()


@pytest.mark.parametrize("columns", [40, 60, 80])
@pytest.mark.parametrize(
    "cells",
    [
        ("ckpts/HSTU-b8-h2-dqk25-dv25-lsilud0.2_DotProduct_local-l2_ssl-t0.05-n128_ep100", "a.gin:1"),
        ("config/" + "folder/" * 12 + "recipe.gin", "config/configs/ml-20m/hstu-sampled-softmax-n128-large.gin:117"),
        ("e" * 255, "f" * 200 + ":9"),
    ],
)
def test_a_narrow_table_folds_long_names_and_cuts_none(cells: tuple[str, str], columns: int) -> None:
    lines = print_at(columns, cells, ("short", "b.gin:2")).splitlines()
    assert max(map(len, lines)) <= columns
    shown = "".join("".join(line.split()) for line in lines)
    assert "…" not in shown
    for number in (0, 1):
        rest = iter(shown)
        assert all(character in rest for character in cells[number])  # in this order, folded among the other column


@pytest.mark.parametrize("columns", [40, 200])
def test_no_line_ends_in_blanks(columns: int) -> None:
    lines = print_at(columns, ("a", "b"), ("", "  "), ("c  ", "")).splitlines()
    assert [line for line in lines if line != line.rstrip()] == []
    assert ["a", "b"] in [line.split() for line in lines]


@pytest.mark.parametrize(("columns", "num_lines"), [(76, 5), (80, 5), (100, 2)])
def test_a_digest_is_never_broken(columns: int, num_lines: int) -> None:
    digest, text = "ab" * 32, StringIO()
    fields = {"identity": f"sha256:{digest}", "file": f"sha256:{digest}, 254 bytes"}
    Console(width=columns, file=text).print(Escaped(list_fields(fields)))
    lines = text.getvalue().splitlines()
    assert len(lines) == num_lines
    assert sum(digest in line for line in lines) == 2
    assert max(map(len, lines)) <= columns
