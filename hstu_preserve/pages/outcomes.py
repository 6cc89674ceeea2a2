"""Say the outcome of a reproduction first, with the reason: as its verdicts have it, whatever the record calls it."""

from collections.abc import Iterator

from hstu_preserve.pages.blocks import Cell, Folded, Headline, Table, Tone, plain_row
from hstu_preserve.pages.judged import Judged
from hstu_preserve.primitives.wording import count
from hstu_preserve.records.results import Reproduction
from hstu_preserve.records.verdict import Outcome, Verdict
from hstu_preserve.verdict.rungs import PASSED, choose_exit_code, find_deciders, list_failed

TONES = {
    **dict.fromkeys(PASSED, Tone.GOOD),
    Outcome.NOT_REPRODUCED: Tone.BAD,
    Outcome.INCONCLUSIVE: Tone.OPEN,
    Outcome.NOT_RUN: Tone.OPEN,
}
SIGNS = {Tone.GOOD: "✓", Tone.BAD: "✗", Tone.OPEN: "?"}
"""So that a page without colours says the same."""
EXPLORATORY = "Exploratory: judged otherwise than claim and plan had fixed it, so that it cannot pass."


def find_headline(judged: Judged) -> Headline:
    """Return the verdict that the exit code rests on, with its reason and what it leaves open."""
    reproduction = judged.reproduction
    decider = choose_decider(reproduction)
    if decider is None:
        return Headline(
            outcome=f"? {Outcome.NOT_RUN.value}", tone=Tone.OPEN, why="Nothing was judged.", facts=list_gaps(judged)
        )
    tone = TONES[decider.outcome]
    return Headline(
        outcome=f"{SIGNS[tone]} {decider.outcome.value} · {decider.name}",
        tone=tone,
        why=f"{capitalize(decider.reason)}.",
        facts=(*list_facts(judged), *list_gaps(judged)),
    )


def choose_decider(reproduction: Reproduction) -> Verdict | None:
    """Return the first of the verdicts that the exit code rests on; None if none was required."""
    return next(iter(find_deciders(reproduction.verdicts)), None)


def list_facts(judged: Judged) -> Iterator[str]:
    """Yield how many verdicts hold, the first limit, and who says so."""
    reproduction = judged.reproduction
    required = [verdict for verdict in reproduction.verdicts if verdict.is_required]
    holding = len(required) - len(list_failed(reproduction.verdicts))
    code = choose_exit_code(reproduction.verdicts)
    yield f"{holding} of {count(len(required), 'required verdict')} {'hold' if holding != 1 else 'holds'}; exit {code}."
    if reproduction.exit_code != code:
        yield f"The record calls its exit code {reproduction.exit_code}, which does not follow from its verdicts."
    if reproduction.is_exploratory:
        yield EXPLORATORY
    if reproduction.limits:
        yield f"Limit: {reproduction.limits[0]}."
    if judged.record_path is not None:
        yield f"Read from {judged.record_path}, which nobody signed: its verdicts are its writer's word."


def list_gaps(judged: Judged) -> tuple[str, ...]:
    """Return what this page cannot show, and why."""
    return tuple(f"Not shown: {gap}." for gap in judged.gaps)


def capitalize(text: str) -> str:
    """Return a sentence with a capital; a metric's name stays as it is spelled."""
    head = text.split(" ", 1)[0]
    return text if "@" in head or not head.isalpha() else text[:1].upper() + text[1:]


def list_verdicts(reproduction: Reproduction) -> Table:
    """Return every verdict with its sentence."""
    return Table(
        caption="Each rung that was climbed; verdicts on different rungs are never merged into one",
        headings=("outcome", "rung", "claim", "why", "exit code"),
        rows=[
            (
                show_outcome(verdict),
                *plain_row(verdict.rung.value, verdict.claim or "", verdict.reason),
                Cell(text="depends on it" if verdict.is_required else "does not depend on it", tone=Tone.MUTED),
            )
            for verdict in reproduction.verdicts
        ],
    )


def show_outcome(verdict: Verdict) -> Cell:
    """Return an outcome with its sign and in its colour."""
    tone = TONES[verdict.outcome]
    return Cell(text=f"{SIGNS[tone]} {verdict.outcome.value}", tone=tone)


def list_evidence(reproduction: Reproduction) -> Iterator[Folded]:
    """Yield the figures that each verdict rests on."""
    for verdict in reproduction.verdicts:
        rows = [(*plain_row(fact.name), Cell(text=spell(fact.value), tone=Tone.CODE)) for fact in verdict.evidence]
        if rows:
            table = Table(caption=f"What {verdict.name} rests on", headings=("figure", "value"), rows=rows)
            yield Folded(summary=f"Evidence of {verdict.name}", blocks=(table,))


def spell(value: str | float | bool | None) -> str:
    """Return a figure as JSON has it, a text without quotes."""
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "null"}[value]
    return repr(value) if isinstance(value, float) else str(value)
