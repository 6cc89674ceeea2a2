"""Verdicts as text: one line per rung and claim."""

from rich import box
from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from hstu_preserve.records.results import Reproduction
from hstu_preserve.records.verdict import Outcome, Verdict
from hstu_preserve.report.tables import describe_numerics, list_fields

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
    table = Table("rung", "claim", "outcome", "why", box=box.SIMPLE_HEAD, pad_edge=False)
    for verdict in record.verdicts:
        table.add_row(verdict.rung.value, verdict.claim or "", styled_outcome(verdict), escape(verdict.reason))
    fields = {"target": record.target, "bundle": str(record.path), "title": record.title}
    if record.identity is not None:
        fields["identity"] = f"sha256:{record.identity}"
    numerics = record.environment.numerics if record.environment else None
    if numerics is not None:
        fields["re-run with"] = describe_numerics(numerics)
    return Group(list_fields(fields), table)


def styled_outcome(verdict: Verdict) -> Text:
    """Return the outcome in its colour."""
    return Text(verdict.outcome.value, style=OUTCOME_STYLES[verdict.outcome], no_wrap=True)
