"""JSON Schemas of the records that others may read or write, generated from the records themselves."""

import ast
import inspect
import textwrap
from collections.abc import Iterator
from itertools import pairwise

from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core.core_schema import ModelSchema

from hstu_preserve.data.results import ExportedData, FetchedData, PreparedOrders
from hstu_preserve.gin_recipes.differences import RecipeDiff
from hstu_preserve.primitives.json_values import Json
from hstu_preserve.records import results
from hstu_preserve.records.catalog import CatalogEntry
from hstu_preserve.records.downloads import DownloadReport
from hstu_preserve.records.estimates.costs import Rehearsal
from hstu_preserve.records.evaluation import ResultsRecord
from hstu_preserve.records.failure import Failure
from hstu_preserve.records.legacy.shown import ShownLegacy
from hstu_preserve.records.manifest import Manifest, MigratedManifest, RunRecord
from hstu_preserve.records.record import Record
from hstu_preserve.records.retraining.plan import Plan
from hstu_preserve.records.runs import RunListing, ShownRun
from hstu_preserve.records.signature import KeyResult, SigningResult
from hstu_preserve.records.store import StoreRecord
from hstu_preserve.records.verification import VerificationReport
from hstu_preserve.studies.results import Comparison, TrainedSeeds

PRINTED_RECORDS: dict[str, type[Record]] = {
    "catalog-listing": results.CatalogListing,
    "diagnosis": results.Diagnosis,
    "bundle-diff": results.BundleDiff,
    "comparison": Comparison,
    "download-report": DownloadReport,
    "evaluation-result": results.EvaluationResult,
    "export-result": results.ExportResult,
    "exported-data": ExportedData,
    "failure": Failure,
    "fetched-data": FetchedData,
    "key-result": KeyResult,
    "migration-result": results.MigrationResult,
    "pack-result": results.PackResult,
    "prepared-orders": PreparedOrders,
    "publish-result": results.PublishResult,
    "report-result": results.ReportResult,
    "recipe-diff": RecipeDiff,
    "rehearsal": Rehearsal,
    "reproduction": results.Reproduction,
    "run-listing": RunListing,
    "shown-bundle": results.ShownBundle,
    "shown-entry": results.ShownEntry,
    "shown-legacy": ShownLegacy,
    "shown-migrated": results.ShownMigrated,
    "shown-recipe": results.ShownRecipe,
    "shown-run": ShownRun,
    "signing-result": SigningResult,
    "store-result": results.StoreResult,
    "trained-seeds": TrainedSeeds,
    "training-result": results.TrainingResult,
    "unpack-result": results.UnpackResult,
    "upgrade-result": results.UpgradeResult,
    "verification-report": VerificationReport,
}
"""What `--json` prints, by the name of the schema's file; `ok` and `schema_version` stand before the others."""
PUBLISHED_RECORDS: dict[str, type[Record]] = {
    "catalog-entry": CatalogEntry,
    "manifest": Manifest,
    "migrated-manifest": MigratedManifest,
    "plan": Plan,
    "results": ResultsRecord,
    "run": RunRecord,
    "store": StoreRecord,
    **PRINTED_RECORDS,
}
"""By the name of the schema's file."""
OK: dict[str, Json] = {"type": "boolean", "description": "Whether the command exits with 0; `--json` prints it first."}
VERSION: dict[str, Json] = {"type": "integer", "description": "Of the records that this release prints and writes."}


def generate_schema(name: str) -> Json:
    """Return the JSON Schema (draft 2020-12) of a published record."""
    schema: dict[str, Json] = PUBLISHED_RECORDS[name].model_json_schema(schema_generator=DescribingSchemaGenerator)
    if name in PRINTED_RECORDS:
        fields = schema["properties"]
        assert isinstance(fields, dict)
        schema["properties"] = {"ok": OK, "schema_version": VERSION, **fields}
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


class DescribingSchemaGenerator(GenerateJsonSchema):
    """Describes each field by the text below it in its class."""

    def model_schema(self, schema: ModelSchema) -> JsonSchemaValue:
        """Return the schema of one record."""
        value = super().model_schema(schema)
        for record in reversed(schema["cls"].__mro__):
            if issubclass(record, Record):
                for name, text in read_field_texts(record):
                    value["properties"][name]["description"] = text
        return value


def read_field_texts(record: type[Record]) -> Iterator[tuple[str, str]]:
    """Yield name and text of each field below which a text stands; Python itself drops it."""
    (definition,) = ast.parse(textwrap.dedent(inspect.getsource(record))).body
    assert isinstance(definition, ast.ClassDef)
    for field, text in pairwise(definition.body):
        match field, text:
            case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(words))):
                yield name, inspect.cleandoc(words)
            case _:
                pass
