"""Describe what recipes are estimated to cost."""

from rich.console import Group, RenderableType
from rich.markup import escape
from rich.text import Text

from hstu_preserve.records.estimates.costs import CostTable, RecipeCost
from hstu_preserve.report.costs.rehearsals import describe_bytes
from hstu_preserve.report.tables import new_table

HOUR = 3600
NEXT = (
    "next: 'hstu-preserve train ID --dry-run' measures three steps on the data itself, 'hstu-preserve train ID "
    "--output run' trains, 'hstu-preserve data download NAME' fetches MovieLens"
)


def describe_costs(record: CostTable) -> RenderableType:
    """Return the recipes as a table, and below it what the figures rest on."""
    table = new_table("recipe", "data", "weights", "memory", "hours", "GPU memory", "GPU hours")
    table.title, table.title_justify = f"estimated, not measured: a training here, and on one {record.gpu}", "left"
    for column in table.columns[2:]:
        column.justify = "right"
    for one in record.recipes:
        table.add_row(*map(escape, list_cells(one)))
    return Group(Text(), table, *(Text(line, style="dim") for line in record.basis), Text(NEXT, style="dim"))


def list_cells(one: RecipeCost) -> tuple[str, ...]:
    """Return the cells of a recipe's row."""
    low, high = (describe_hours(seconds) for seconds in (one.gpu_seconds_low, one.gpu_seconds_high))
    return (
        one.id,
        one.dataset,
        f"{one.num_weights / 1e6:.3g} M",
        describe_bytes(one.memory_bytes),
        "" if one.seconds is None else describe_hours(one.seconds),
        describe_bytes(one.gpu_memory_bytes),
        low if low == high else f"{low} to {high}",
    )


def describe_hours(seconds: float) -> str:
    """Return hours with two digits, no fewer than a hundredth of one."""
    hours = seconds / HOUR
    if hours < 0.01:
        return "0.01"
    return f"{hours:,.0f}" if hours >= 10 else f"{hours:.2g}"
