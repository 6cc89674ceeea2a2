"""One row for each archive that somebody else made: what is reported, recorded, and found here."""

from collections.abc import Iterable

from hstu_preserve.records.results import Reproduction
from hstu_preserve.records.verdict import Outcome, Rung, Verdict
from hstu_preserve.report.markdown import escape

NOTHING = "—"
METRIC = "ndcg@10"


def describe_archives(reproductions: Iterable[Reproduction]) -> str:
    """Return the table of the reproductions that judged a reported number; nothing if there is none."""
    rows = [describe_row(one) for one in reproductions if find(one, Rung.RECORDED) is not None]
    if not rows:
        return ""
    return "\n".join(
        [
            f"### Archives of others, {METRIC}",
            "",
            "| archive | reported | in its event file | evaluated here | data | runner | verdicts |",
            "|---|---|---|---|---|---|---|",
            *rows,
        ]
    )


def describe_row(reproduction: Reproduction) -> str:
    """Return one archive's row."""
    recorded = read_facts(find(reproduction, Rung.RECORDED))
    evaluated = read_facts(find(reproduction, Rung.EVALUATION_NUMERIC))
    theirs = (reproduction.target, recorded.get("reported"), evaluated.get("store"), evaluated.get("runner"))
    target, reported, store, runner = (NOTHING if text is None else escape(str(text)) for text in theirs)
    cells = (
        target,
        reported,
        describe_recorded(recorded),
        shorten(evaluated.get(f"found {METRIC}")),
        store,
        runner,
        "; ".join(dict.fromkeys(f"{one.rung.value} {one.outcome.value}" for one in reproduction.verdicts)),
    )
    return f"| {' | '.join(cells)} |"


def describe_recorded(facts: dict[str, object]) -> str:
    """Return the value that the run wrote down, with its epoch and how many there are."""
    if "recorded" not in facts:
        return NOTHING
    return f"{shorten(facts['recorded'])} (epoch {facts['epoch']}, one of {facts['epochs']})"


def shorten(value: object) -> str:
    """Return a value with six digits, which tell apart what four digits print alike."""
    return f"{value:.6f}" if isinstance(value, float) else NOTHING


def find(reproduction: Reproduction, rung: Rung) -> Verdict | None:
    """Return the verdict on the metric, else the first one, on a rung; None if the rung was not judged."""
    verdicts = [one for one in reproduction.verdicts if one.rung is rung]
    ordered = sorted(verdicts, key=lambda one: (one.claim != METRIC, one.outcome is Outcome.NOT_RUN))
    return ordered[0] if ordered else None


def read_facts(verdict: Verdict | None) -> dict[str, object]:
    """Return the figures of a verdict by name."""
    return {} if verdict is None else {fact.name: fact.value for fact in verdict.evidence}
