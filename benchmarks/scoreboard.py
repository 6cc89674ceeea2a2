"""The recipes' comparison as a Markdown table between two marks of `benchmarks/README.md`."""

from collections.abc import Mapping
from pathlib import Path

README = Path(__file__).with_name("README.md")
COLUMNS = (
    "recipe",
    "NDCG@10 (95 %)",
    "difference to BASE (95 % over seeds)",
    "p (Holm)",
    "± over users",
    "p (Holm)",
    "detectable",
    "coverage@10",
    "epochs",
)
BEGIN, END = "<!-- recipes: begin -->", "<!-- recipes: end -->"


def write_table(recipes: Mapping[str, Mapping[str, object]], *, base: str) -> str:
    """Put the table in its place and return it."""
    return replace_between((BEGIN, END), list_lines(recipes, base=base))


def replace_between(marks: tuple[str, str], lines: list[str]) -> str:
    """Put a table's lines between two marks of the page and return them as text."""
    begin, end = marks
    table = "\n".join(lines)
    text = README.read_text()
    before, _, rest = text.partition(begin)
    _, _, after = rest.partition(end)
    README.write_text(f"{before}{begin}\n{table}\n{end}{after}")
    return table


def list_lines(recipes: Mapping[str, Mapping[str, object]], *, base: str) -> list[str]:
    """Return the table's lines, the best mean first."""
    lines = [
        f"| {' | '.join(COLUMNS)} |",
        "|---" * len(COLUMNS) + "|",
    ]
    ordered = sorted(recipes.items(), key=lambda item: -number(item[1], "mean"))
    return lines + [describe(name, figures, base=base) for name, figures in ordered]


def describe(name: str, figures: Mapping[str, object], *, base: str) -> str:
    """Return one recipe's line."""
    cells = [name, f"{number(figures, 'mean'):.4f} ± {number(figures, 'half_width'):.4f}"]
    if figures["difference"] is None:
        cells += ["(BASE)" if name == base else "(other terms)", "", "", "", ""]
    else:
        cells += [
            f"{number(figures, 'difference'):+.4f} ± {number(figures, 'difference_half_width'):.4f}",
            f"{number(figures, 'p_holm'):.2f}",
            f"{1.96 * number(figures, 'difference_user_error'):.4f}",
            f"{number(figures, 'users_p_holm'):.2f}",
            f"{number(figures, 'detectable'):.4f}",
        ]
    cells += [f"{average(figures, 'coverage@10'):.3f}", f"{average(figures, 'epochs'):.0f}"]
    return f"| {' | '.join(cells)} |"


def number(figures: Mapping[str, object], name: str) -> float:
    """Return one figure."""
    value = figures[name]
    assert isinstance(value, int | float)
    return float(value)


def average(figures: Mapping[str, object], name: str) -> float:
    """Return the mean of a figure that every seed has."""
    values = figures[name]
    assert isinstance(values, list)
    return float(sum(values) / len(values))
