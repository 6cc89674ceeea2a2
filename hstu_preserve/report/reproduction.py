"""Describe verdicts, one line per rung and claim."""

from collections.abc import Iterable

from rich.console import Group, RenderableType
from rich.markup import escape
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from hstu_preserve.primitives.wording import printable
from hstu_preserve.records.results import Reproduction
from hstu_preserve.records.verdict import Outcome, Verdict
from hstu_preserve.report.agreement import describe_agreements
from hstu_preserve.report.tables import FittingWidth, describe_numerics, list_fields, new_table
from hstu_preserve.verdict.rungs import name_decider

LEAST_WIDTH = 80
"""Columns that the table of verdicts needs."""

OUTCOME_STYLES = {
    Outcome.REPRODUCED_BITWISE: "green",
    Outcome.REPRODUCED_NUMERIC: "green",
    Outcome.REPRODUCED_STATISTICAL: "green",
    Outcome.NOT_REPRODUCED: "bold red",
    Outcome.INCONCLUSIVE: "yellow",
    Outcome.NOT_RUN: "dim",
}


def describe_reproduction(record: Reproduction) -> RenderableType:
    """Return the verdicts, one line per rung and claim."""
    verdicts = FittingWidth(
        wide=list_verdicts(record.verdicts), narrow=stack_verdicts(record.verdicts), least_width=LEAST_WIDTH
    )
    fields = {"target": record.target, "bundle": str(record.path), "title": record.title}
    if record.identity is not None:
        fields["identity"] = f"sha256:{record.identity}"
    numerics = record.environment.numerics if record.environment else None
    if numerics is not None:
        fields["re-run with"] = describe_numerics(numerics)
    limits = [Text(f"limit: {printable(limit)}", style="dim") for limit in record.limits]
    decided = f"decided by {printable(record.decided_by or '')}: {find_outcome(record)}, exit {record.exit_code}"
    last = [Text(decided)] if record.decided_by is not None else []
    return Group(list_fields(fields), verdicts, *describe_agreements(record.verdicts), *limits, *last)


def find_outcome(record: Reproduction) -> str:
    """Return the outcome of the verdict that the exit code rests on."""
    decider = name_decider(record.verdicts)
    return decider.outcome.value if decider is not None else ""


def list_verdicts(verdicts: Iterable[Verdict]) -> Table:
    """Return the verdicts as a table whose rungs and outcomes are never cut."""
    table = new_table("rung", "claim", "outcome", "why")
    table.columns[0].no_wrap = table.columns[2].no_wrap = True
    for verdict in verdicts:
        claim, reason = (escape(printable(text)) for text in (verdict.claim or "", verdict.reason))
        table.add_row(verdict.rung.value, claim, styled_outcome(verdict), reason)
    return table


def stack_verdicts(verdicts: Iterable[Verdict]) -> RenderableType:
    """Return the verdicts below each other, for a terminal that no table fits."""
    parts: list[RenderableType] = [Text()]
    for verdict in verdicts:
        claim = f" ({printable(verdict.claim)})" if verdict.claim else ""
        parts.append(Text.assemble(styled_outcome(verdict), f"  {verdict.rung.value}{claim}"))
        parts.append(Padding(Text(printable(verdict.reason)), (0, 0, 0, 2)))
    return Group(*parts)


def styled_outcome(verdict: Verdict) -> Text:
    """Return the outcome in its colour."""
    return Text(verdict.outcome.value, style=OUTCOME_STYLES[verdict.outcome])
