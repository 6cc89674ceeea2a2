"""Describe catalog entries: the published numbers, their publisher, and the gain over the paper."""

from collections.abc import Iterable, Iterator

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from hstu_preserve.records.catalog import CatalogEntry
from hstu_preserve.records.evaluation_kind import NOT_COMPARABLE, EvaluationKind
from hstu_preserve.records.results import CatalogListing, ListedExperiment, ShownEntry
from hstu_preserve.report.tables import FittingWidth, describe_margin, list_fields, new_table

GAIN_NOTE = "gain: ndcg@10 relative to the paper's HSTU on that dataset, as published."
KIND_NOTE = f"{NOT_COMPARABLE}: each kind has a table of its own."
UNPUBLISHED = "never published; any recipe of this name is a reconstruction"
LEAST_WIDTH = 130
"""Columns that one line per experiment needs."""


def describe_listing(record: CatalogListing) -> RenderableType:
    """Return the catalog, one line per experiment if there is room, else with the recipe below its id."""
    tables = [part for kind in EvaluationKind for part in list_kind(kind, record.experiments)]
    recipes = f"'train' and 'show' also take recipes without a published number: {', '.join(record.other_recipes)}"
    notes = [GAIN_NOTE, KIND_NOTE, *([recipes] if record.other_recipes else [])]
    return Group(*tables, *(Text(note, style="dim") for note in notes))


def list_kind(kind: EvaluationKind, experiments: Iterable[ListedExperiment]) -> Iterator[RenderableType]:
    """Yield the experiments of one kind of evaluation below its name: no column holds numbers of two kinds."""
    chosen = [one for one in experiments if one.kind is kind]
    if chosen:
        yield Text(f"evaluation: {kind.words}", style="bold")
        yield FittingWidth(wide=list_wide(chosen), narrow=list_narrow(chosen), least_width=LEAST_WIDTH)


def list_wide(experiments: Iterable[ListedExperiment]) -> Table:
    """Return one line per experiment."""
    table = new_table("id", "dataset", "recipe", "ndcg@10", "gain", "bundle")
    table.columns[3].justify = table.columns[4].justify = "right"
    table.columns[0].no_wrap = table.columns[1].no_wrap = True
    for one in experiments:
        repository = one.entry.bundle.repository if one.entry.bundle else ""
        table.add_row(one.entry.id, one.entry.dataset, one.entry.recipe, *list_figures(one), repository)
    return table


def list_narrow(experiments: Iterable[ListedExperiment]) -> Table:
    """Return an experiment's id and, below it, its recipe and the location of its bundle."""
    table = new_table("id", "dataset", "ndcg@10", "gain")
    table.columns[0].overflow = "fold"
    for column in table.columns[1:]:
        column.no_wrap = True
    table.columns[2].justify = table.columns[3].justify = "right"
    for one in experiments:
        below = [one.entry.recipe, *([one.entry.bundle.repository] if one.entry.bundle else [])]
        name = Group(one.entry.id, *(Padding(Text(line, style="dim"), (0, 0, 0, 2)) for line in below))
        table.add_row(name, one.entry.dataset, *list_figures(one))
    return table


def list_figures(one: ListedExperiment) -> tuple[str, str]:
    """Return the published value and its gain, empty if there is none."""
    value = f"{one.ndcg10:.4f}" if one.ndcg10 is not None else ""
    return value, f"{one.gain:+.1%}" if one.gain is not None else ""


def describe_shown_entry(record: ShownEntry) -> RenderableType:
    """Return a catalog entry with its claims."""
    entry = record.entry
    claims = new_table("metric", "value", "epoch", "margin")
    for claim in entry.claims:
        epoch = "" if claim.epoch is None else str(claim.epoch)
        claims.add_row(claim.metric, f"{claim.value:.4f}", epoch, describe_margin(claim.margin))
    return Group(
        list_fields({"catalog entry": entry.id, "title": entry.title, **describe_entry(entry, record)}),
        claims,
        *list_derivations(entry),
        *(Text(f"note: {note}") for note in entry.notes),
    )


def list_derivations(entry: CatalogEntry) -> Iterator[Text]:
    """Yield where the margin and the spread of each claim come from."""
    for claim in entry.claims:
        if claim.margin is not None:
            yield Text(f"margin of {claim.metric}, ours: {claim.margin:g}, {claim.margin_derivation}")
        if claim.spread is not None:
            known = f"{claim.spread:g} by {claim.spread_degrees} degrees"
            yield Text(f"spread of {claim.metric}, ours: {known}, {claim.spread_derivation}")


def describe_entry(entry: CatalogEntry, record: ShownEntry) -> dict[str, str]:
    """Return the entry's fields in words."""
    fields = {
        "dataset": entry.dataset,
        "model": entry.model,
        "recipe": entry.recipe,
        "recipe's code": "published" if entry.recipe_is_published else UNPUBLISHED,
        "evaluation": f"{entry.kind.words} ({entry.claims[0].evaluation})",
        "data fingerprint": entry.data_fingerprint or "not published",
        "source": entry.source,
    }
    if record.gain is not None and record.compared_with is not None:
        fields["gain in ndcg@10"] = f"{record.gain:+.1%} over {record.compared_with.id}"
    elif record.compared_with is not None and record.compared_with.kind is not entry.kind:
        other = record.compared_with
        fields["gain in ndcg@10"] = f"not said: {other.id} was evaluated as {other.kind.words}; {NOT_COMPARABLE}"
    if entry.best_of is not None:
        fields["selected"] = f"the best of {entry.best_of} by the test metric: a selection on test"
    if entry.bundle is not None:
        digest = f"sha256 {entry.bundle.sha256}" if entry.bundle.sha256 else "digest never seen"
        fields["bundle"] = f"{entry.bundle.path} in {entry.bundle.repository} on the Hugging Face Hub ({digest})"
        fields["on this machine"] = "as shown below" if record.here else f"no; hstu-preserve download {entry.id}"
    return fields
