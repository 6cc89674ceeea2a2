"""Arrange the first page of the site: how many published results hold, and a table of each kind of evaluation."""

from collections import Counter
from collections.abc import Iterator, Sequence

from hstu_preserve.pages.blocks import (
    FOOTER,
    Cell,
    Choice,
    Headline,
    Index,
    Listing,
    Paragraphs,
    Section,
    Table,
    Tone,
    plain_row,
)
from hstu_preserve.pages.judged import Judged
from hstu_preserve.pages.outcomes import SIGNS, TONES, choose_decider
from hstu_preserve.pages.site.entry_page import COMMAND, explain_absence
from hstu_preserve.pages.site.published import Published
from hstu_preserve.primitives.wording import count
from hstu_preserve.records.evaluation_kind import NOT_COMPARABLE, EvaluationKind
from hstu_preserve.records.verdict import Outcome
from hstu_preserve.report.catalog import GAIN_NOTE
from hstu_preserve.report.preservation_report import HEADINGS
from hstu_preserve.version import __version__

TITLE = "Published results of HSTU, and what was found of them"
HEADINGS_OF_TABLE = ("found here", "result", "dataset", "recipe", "published by", "ndcg@10", "gain")
CHOSEN = {"Found here": 0, "Dataset": 2, "Published by": 4}
"""Columns by which the tables are filtered."""
WORST_FIRST = (Tone.BAD, Tone.OPEN, Tone.GOOD)


def compose_index(published: Sequence[Published], others: Sequence[Judged]) -> Index:
    """Return the first page: published results by kind of evaluation, then what else was judged."""
    tables = [table for kind in EvaluationKind for table in list_kind(published, kind)]
    rows = [row for table in tables for row in table.rows]
    return Index(
        command=COMMAND,
        title=TITLE,
        headline=find_headline(published, others),
        choices=[
            Choice(label=label, column=column, options=list(dict.fromkeys(row[column].text for row in rows)))
            for label, column in CHOSEN.items()
        ],
        tables=tables,
        sections=tuple(list_sections(others)),
        footer=FOOTER.format(__version__, COMMAND),
    )


def name_page(published: Published) -> str:
    """Return the place of a result's page in the site; an id is a name that every file system and address takes."""
    return f"results/{published.listed.entry.id}.html"


def name_other(number: int) -> str:
    """Return the place of the page of what was judged and is of no published result, counted from 1."""
    return f"judged/{number}.html"


def find_outcome(judged: Sequence[Judged]) -> tuple[str, Tone]:
    """Return the worst outcome of some reproductions in one word, and its colour; NOT_RUN of none."""
    deciders = [choose_decider(one.reproduction) for one in judged]
    outcomes = [Outcome.NOT_RUN if one is None else one.outcome for one in deciders] or [Outcome.NOT_RUN]
    worst = min(outcomes, key=lambda outcome: WORST_FIRST.index(TONES[outcome]))
    return worst.value, TONES[worst]


def find_headline(published: Sequence[Published], others: Sequence[Judged]) -> Headline:
    """Return how many published results hold, and why the others do not."""
    tones = Counter(find_outcome(one.judged)[1] for one in published if one.judged)
    absences = Counter(explain_absence(one) for one in published if not one.judged)
    total = count(len(published), "published result")
    said = [
        f"{SIGNS[tone]} {tones[tone]} {words}"
        for tone, words in ((Tone.GOOD, "hold"), (Tone.BAD, "do not hold"), (Tone.OPEN, "are open"))
        if tones[tone]
    ]
    outcome = f"Of {total}: {', '.join(said)}" if said else f"{SIGNS[Tone.OPEN]} None of {total} was judged here"
    worst = next((tone for tone in WORST_FIRST if tones[tone]), Tone.OPEN)
    why = " ".join(f"{reason}: {count(number, 'result')}." for reason, number in absences.items())
    facts = [NOT_COMPARABLE[0].upper() + NOT_COMPARABLE[1:] + ".", GAIN_NOTE[0].upper() + GAIN_NOTE[1:]]
    if others:
        facts.insert(
            0, f"{count(len(others), 'other bundle')} judged here {'stand' if len(others) > 1 else 'stands'} below."
        )
    is_whole = not absences
    tone = worst if said and (worst is not Tone.GOOD or is_whole) else Tone.OPEN
    return Headline(outcome=outcome, tone=tone, why=why or "Every one of them was judged.", facts=facts)


def list_kind(published: Sequence[Published], kind: EvaluationKind) -> Iterator[Table]:
    """Yield the table of one kind of evaluation: no column holds numbers of two kinds."""
    chosen = [one for one in published if one.listed.kind is kind]
    if chosen:
        rows = [describe_row(one) for one in chosen]
        yield Table(caption=f"Evaluation: {kind.words}", headings=HEADINGS_OF_TABLE, rows=rows)


def describe_row(published: Published) -> tuple[Cell, ...]:
    """Return one published result's row."""
    listed = published.listed
    outcome, tone = find_outcome(published.judged)
    return (
        Cell(text=f"{SIGNS[tone]} {outcome}", tone=tone),
        Cell(text=listed.entry.id, address=name_page(published)),
        *plain_row(listed.entry.dataset, listed.entry.recipe, HEADINGS[listed.entry.collection]),
        number_cell(listed.ndcg10, "{:.4f}"),
        number_cell(listed.gain, "{:+.1%}"),
    )


def number_cell(value: float | None, form: str) -> Cell:
    """Return a number that rows are sorted by with all its digits."""
    return Cell(text="") if value is None else Cell(text=form.format(value), order=repr(value))


def list_sections(others: Sequence[Judged]) -> Iterator[Section]:
    """Yield what was judged beside the catalog, and how the site is made anew."""
    if others:
        rows = [list_other(one, number) for number, one in enumerate(others, start=1)]
        table = Table(
            caption="Bundles that were judged and are of no published result",
            headings=("found here", "bundle", "why"),
            rows=rows,
        )
        yield Section(title="Judged here, too", blocks=(table,))
    typed = Listing(
        label="What to type",
        lines=("hstu-preserve reproduce TARGET --output result", "hstu-preserve report result --site site"),
    )
    told = Paragraphs(
        texts=("Each result that is named stands on the page of the published result whose bundle it judged.",),
    )
    yield Section(title="Judge one, and write this site anew", blocks=(told, typed))


def list_other(judged: Judged, number: int) -> tuple[Cell, ...]:
    """Return the row of a bundle that is of no published result."""
    outcome, tone = find_outcome((judged,))
    decider = choose_decider(judged.reproduction)
    return (
        Cell(text=f"{SIGNS[tone]} {outcome}", tone=tone),
        Cell(text=judged.reproduction.title, address=name_other(number)),
        Cell(text="nothing was judged" if decider is None else f"{decider.name}: {decider.reason}"),
    )
