"""Describe verdicts, rung by rung and claim by claim."""

from collections.abc import Iterable

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.text import Text

from hstu_preserve.primitives.wording import printable
from hstu_preserve.records.results import Reproduction
from hstu_preserve.records.verdict import Outcome, Verdict
from hstu_preserve.report.agreement import describe_agreements
from hstu_preserve.report.tables import describe_numerics, list_fields
from hstu_preserve.verdict.rungs import find_deciders

WIDEST_OUTCOME = max(map(len, Outcome))
OUTCOME_STYLES = {
    Outcome.REPRODUCED_BITWISE: "green",
    Outcome.REPRODUCED_NUMERIC: "green",
    Outcome.REPRODUCED_STATISTICAL: "green",
    Outcome.NOT_REPRODUCED: "bold red",
    Outcome.INCONCLUSIVE: "yellow",
    Outcome.NOT_RUN: "dim",
}


def describe_reproduction(record: Reproduction) -> RenderableType:
    """Return the verdicts, with what was judged above them and what no verdict speaks of below."""
    fields = {"target": record.target, "bundle": str(record.path), "title": record.title}
    if record.identity is not None:
        fields["identity"] = f"sha256:{record.identity}"
    if record.evaluation is not None:
        fields["evaluation"] = record.evaluation.effective_kind.words
    numerics = record.environment.numerics if record.environment else None
    if numerics is not None:
        fields["re-run with"] = describe_numerics(numerics)
    limits = [Text(f"limit: {printable(limit)}", style="dim") for limit in record.limits]
    causes = [Text(printable(cause.sentence)) for cause in record.causes]
    decided = f"decided by {printable(record.decided_by or '')}: {find_outcome(record)}, exit {record.exit_code}"
    last = [Text(decided)] if record.decided_by is not None else []
    below = [line for part in (causes, [*limits, *last]) if part for line in (Text(), *part)]
    agreements = describe_agreements(record.verdicts)
    return Group(list_fields(fields), list_verdicts(record.verdicts), *agreements, *below)


def find_outcome(record: Reproduction) -> str:
    """Return the outcome of the verdicts that the exit code rests on."""
    deciders = find_deciders(record.verdicts)
    return deciders[0].outcome.value if deciders else ""


def list_verdicts(verdicts: Iterable[Verdict]) -> RenderableType:
    """Return the verdicts below each other: a reason is a sentence, which a table's cell would spell word by word."""
    parts: list[RenderableType] = [Text()]
    for verdict in verdicts:
        claim = f" ({printable(verdict.claim_of_kind)})" if verdict.claim_of_kind else ""
        outcome = styled_outcome(verdict)
        outcome.pad_right(WIDEST_OUTCOME - len(outcome))
        parts.append(Text.assemble(outcome, f"  {verdict.rung.value}{claim}"))
        parts.append(Padding(Text(printable(verdict.reason)), (0, 0, 0, 2)))
    return Group(*parts)


def styled_outcome(verdict: Verdict) -> Text:
    """Return the outcome in its colour."""
    return Text(verdict.outcome.value, style=OUTCOME_STYLES[verdict.outcome])
