"""Compose the page of a comparison: which recipe is better, by how much, and how sure that is."""

from collections.abc import Sequence

from hstu_preserve.pages.blocks import (
    FOOTER,
    Block,
    Figure,
    Headline,
    Page,
    Paragraphs,
    Part,
    Section,
    Table,
    Tone,
    plain_row,
)
from hstu_preserve.pages.figures import draw_comparison, draw_differences
from hstu_preserve.primitives.wording import count
from hstu_preserve.records.claim import ClaimPolicy
from hstu_preserve.report.studies import (
    NOTHING,
    describe_difference,
    describe_interval,
    describe_number,
    describe_p,
    explain,
)
from hstu_preserve.report.study_tables import list_headers, list_rows
from hstu_preserve.studies.results import ComparedRecipe, Comparison
from hstu_preserve.version import __version__

SIGNIFICANT = 0.05


def compose_comparison(record: Comparison, *, margin: float | None) -> Page:
    """Return the page of a comparison.

    Args:
        record: What was compared.
        margin: The first run's claim fixed it; None if it fixed none.
    """
    title = f"{record.metric}: {count(len(record.recipes), 'recipe')} compared on {record.data_name}"
    part = Part(
        anchor="comparison",
        title=title,
        headline=find_headline(record),
        first=(tabulate(record),),
        sections=[
            Section(title="Seeds and differences", blocks=draw_all(record, margin=margin)),
            Section(title="Terms", blocks=describe_terms(record)),
            Section(title="Runs", blocks=(list_runs(record), list_settings(record))),
        ],
    )
    return Page(
        command="compare", title=title, overview=(), parts=(part,), footer=FOOTER.format(__version__, "compare --html")
    )


def find_headline(record: Comparison) -> Headline:
    """Return which recipe is ahead of the baseline, and whether other seeds and other users would say the same."""
    others = [one for one in record.recipes if one.over_seeds is not None]
    facts = [f"Note: {note}." for note in record.notes]
    if not others:
        mean = describe_interval(record.recipes[0].mean, record.recipes[0].half_width)
        why = f"One recipe alone: {record.metric} {mean} over {count(len(record.recipes[0].runs), 'seed')}."
        return Headline(outcome="Nothing to compare with", tone=Tone.OPEN, why=why, facts=facts)
    best = max(others, key=lambda one: one.mean)
    tested, users = best.over_seeds, best.over_users
    assert tested is not None
    is_clear = tested.p_holm is not None and tested.p_holm < SIGNIFICANT
    side = "above" if tested.difference > 0 else "below"
    outcome = f"{best.name} is {side} {record.baseline}" if is_clear else "No difference over seeds is established"
    why = (
        f"{best.name}: {describe_difference(tested)} {record.metric} over seeds (p {describe_p(tested.p_holm)})"
        + ("" if users is None else f", {describe_difference(users)} over users (p {describe_p(users.p_holm)})")
        + f", against {record.baseline}."
    )
    if best.detectable is not None:
        facts.insert(0, f"So many runs find a difference of {best.detectable:.4f} four times in five.")
    return Headline(outcome=outcome, tone=Tone.GOOD if is_clear else Tone.OPEN, why=why, facts=facts)


def tabulate(record: Comparison) -> Table:
    """Return the table that stands in papers, too."""
    rows = [plain_row(*cells) for cells in list_rows(record)]
    return Table(caption="± is a 95 % interval; p is corrected by Holm", headings=list_headers(record), rows=rows)


def draw_all(record: Comparison, *, margin: float | None) -> tuple[Block, ...]:
    """Return every run's value with the means, and the differences to the baseline."""
    band = "" if margin is None else f" The band is the margin of the first run's claim, ±{margin:g}."
    rows = [
        plain_row(one.name, str(run.seed), "diverged" if run.is_diverged else f"{run.value:.6f}")
        for one in record.recipes
        for run in one.runs
    ]
    seeds = Figure(
        svg=draw_comparison("seeds", record, margin=margin),
        label=f"{record.metric} of every seed, with each recipe's mean",
        caption=f"A dot for each seed, under the recipe's mean with its 95 % interval.{band}",
        numbers=Table(caption="Every seed", headings=("recipe", "seed", record.metric), rows=rows),
    )
    others = [one for one in record.recipes if one.over_seeds is not None]
    if not others:
        return (seeds,)
    rows = [plain_row(one.name, *list_tests(one)) for one in others]
    headings = ("recipe", "over seeds", "p (Holm)", "over users", "p (Holm)")
    differences = Figure(
        svg=draw_differences("differences", record, margin=margin),
        label=f"differences to {record.baseline}",
        caption=f"Each recipe's difference to {record.baseline}, with 95 % intervals.{band}",
        numbers=Table(caption="Differences", headings=headings, rows=rows),
    )
    return (seeds, differences)


def list_tests(one: ComparedRecipe) -> tuple[str, ...]:
    """Return the differences of a recipe with their p values."""
    tests = (one.over_seeds, one.over_users)
    return tuple(
        text
        for tested in tests
        for text in ((NOTHING, NOTHING) if tested is None else (describe_difference(tested), describe_p(tested.p_holm)))
    )


def describe_terms(record: Comparison) -> tuple[Block, ...]:
    """Return what was compared on which terms, and what the columns mean."""
    terms = {
        "metric": f"{record.metric} of {count(record.num_users, 'user')}",
        "data": f"{record.data_name}, fingerprint {record.data_fingerprint}",
        "protocol": f"{record.protocol.value}, {record.selection_rule.value}",
        "filtered": "the whole history" if record.filter_all_seen else "what the model read",
    }
    rows = [plain_row(name, value) for name, value in terms.items()]
    table = Table(caption="Terms of the comparison", headings=("what", "value"), rows=rows)
    return (table, Paragraphs(texts=tuple(explain(record)), tone=Tone.MUTED))


def list_runs(record: Comparison) -> Table:
    """Return every run with where it is and what it cost."""
    rows = [
        plain_row(
            one.name,
            str(run.seed),
            "diverged" if run.is_diverged else f"{run.value:.6f}",
            describe_number(run.coverage_at_10),
            run.device or NOTHING,
            run.path,
            NOTHING if run.identity is None else f"sha256:{run.identity[:16]}…",
        )
        for one in record.recipes
        for run in one.runs
    ]
    headings = ("recipe", "seed", record.metric, "coverage@10", "device", "run", "identity")
    return Table(caption="Every run", headings=headings, rows=rows)


def list_settings(record: Comparison) -> Table:
    """Return the settings that each recipe has otherwise than the baseline."""
    rows = [plain_row(one.name, name, value) for one in record.recipes for name, value in one.settings.items()]
    return Table(
        caption=f"Settings that differ from {record.baseline}", headings=("recipe", "setting", "value"), rows=rows
    )


def find_margin(policies: Sequence[ClaimPolicy], metric: str) -> float | None:
    """Return the margin that the first run's claim on a metric fixed; None if there is no such claim or margin."""
    return next((policy.margin for policy in policies if policy.metric == metric), None)
