"""JSON Schemas of the records that others may read or write, generated from the records themselves."""

from hstu_preserve.primitives.strict_json import Json
from hstu_preserve.records.catalog import CatalogEntry
from hstu_preserve.records.evaluation import ResultsRecord
from hstu_preserve.records.manifest import Manifest, RunRecord
from hstu_preserve.records.record import Record
from hstu_preserve.records.results import Reproduction
from hstu_preserve.records.store import StoreRecord

PUBLISHED_RECORDS: dict[str, type[Record]] = {
    "catalog-entry": CatalogEntry,
    "manifest": Manifest,
    "reproduction": Reproduction,
    "results": ResultsRecord,
    "run": RunRecord,
    "store": StoreRecord,
}
"""By the name of the schema's file."""


def generate_schema(name: str) -> Json:
    """Return the JSON Schema (draft 2020-12) of a published record."""
    schema: dict[str, Json] = PUBLISHED_RECORDS[name].model_json_schema()
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}
