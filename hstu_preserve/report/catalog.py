"""Catalog entries as text: what was published, by whom, and how much it gains."""

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from hstu_preserve.records.catalog import CatalogEntry
from hstu_preserve.records.results import CatalogListing, ShownEntry
from hstu_preserve.report.tables import describe_margin, list_fields


def describe_listing(record: CatalogListing) -> RenderableType:
    """Return the catalog, one line per experiment."""
    table = Table("id", "dataset", "recipe", "NDCG@10", "gain", "bundle", box=box.SIMPLE_HEAD, pad_edge=False)
    table.columns[3].justify = table.columns[4].justify = "right"
    table.columns[0].no_wrap = table.columns[1].no_wrap = True
    for one in record.experiments:
        bundle = one.entry.bundle
        table.add_row(
            one.entry.id,
            one.entry.dataset,
            one.entry.recipe,
            f"{one.ndcg10:.4f}" if one.ndcg10 is not None else "",
            f"{one.gain:+.1%}" if one.gain is not None else "",
            bundle.repository if bundle else "",
        )
    note = "gain: NDCG@10 relative to the paper's HSTU on that dataset (HSTU-large for HSTU-Tensorflow), as published."
    return Group(table, Text(note, style="dim"))


def describe_shown_entry(record: ShownEntry) -> RenderableType:
    """Return a catalog entry with its claims."""
    entry = record.entry
    claims = Table("metric", "value", "epoch", "margin", box=box.SIMPLE_HEAD, pad_edge=False)
    for claim in entry.claims:
        epoch = "" if claim.epoch is None else str(claim.epoch)
        claims.add_row(claim.metric, f"{claim.value:.4f}", epoch, describe_margin(claim.margin))
    return Group(
        list_fields({"catalog entry": entry.id, "title": entry.title, **describe_entry(entry, record)}),
        claims,
        *(Text(f"note: {note}") for note in entry.notes),
    )


def describe_entry(entry: CatalogEntry, record: ShownEntry) -> dict[str, str]:
    """Return the entry's fields in words."""
    fields = {
        "dataset": entry.dataset,
        "model": entry.model,
        "recipe": entry.recipe,
        "recipe's code": "published" if entry.recipe_is_published else "never published; ours is a reconstruction",
        "evaluation": entry.claims[0].evaluation,
        "data fingerprint": entry.data_fingerprint or "not published",
        "source": entry.source,
    }
    if record.gain is not None and record.compared_with is not None:
        fields["gain in NDCG@10"] = f"{record.gain:+.1%} over {record.compared_with.id}"
    if entry.bundle is not None:
        digest = f"sha256 {entry.bundle.sha256}" if entry.bundle.sha256 else "digest never seen"
        fields["bundle"] = f"{entry.bundle.path} in {entry.bundle.repository} on the Hugging Face Hub ({digest})"
    return fields
