"""Arrange the catalog for `list`: best claims first, each with its gain over the paper."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from hstu_preserve.library.catalog import list_chains, read_catalog
from hstu_preserve.records.catalog import CatalogEntry
from hstu_preserve.records.evaluation_kind import EvaluationKind

if TYPE_CHECKING:
    from hstu_preserve.records.results import CatalogListing


HEADLINE_METRIC = "ndcg@10"


def list_experiments() -> "CatalogListing":
    """Return the catalog: best claims first within each dataset, each with its gain over the paper's HSTU."""
    from hstu_preserve.records.results import CatalogListing, ListedExperiment  # most readers want one entry

    catalog = read_catalog()
    listed = [
        ListedExperiment(entry=entry, ndcg10=headline_value(entry), gain=find_gain(entry, catalog))
        for entry in catalog.values()
    ]
    kinds = [*EvaluationKind]
    listed.sort(
        key=lambda one: (
            kinds.index(one.kind),
            one.entry.dataset,
            one.entry.collection.value,
            -(one.ndcg10 or 0.0),
            one.entry.id,
        )
    )
    others = sorted(list_chains().keys() - catalog.keys())
    return CatalogListing(experiments=tuple(listed), other_recipes=tuple(others))


def headline_value(entry: CatalogEntry) -> float | None:
    """Return the published ndcg@10."""
    claim = entry.find_claim(HEADLINE_METRIC)
    return claim.value if claim else None


def find_gain(entry: CatalogEntry, catalog: Mapping[str, CatalogEntry]) -> float | None:
    """Return the relative gain in ndcg@10 over the row the entry is compared with; None over one of another kind."""
    reference = catalog.get(entry.compared_with or "")
    if reference is None or reference.kind is not entry.kind:
        return None
    value, base = headline_value(entry), headline_value(reference)
    return value / base - 1 if value is not None and base is not None else None
