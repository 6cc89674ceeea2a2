"""What a schema version freezes: the form of every record, and the names that files, scripts and users rely on.

`python -m tools.generate` adds to the file and refuses what breaks it. Until the version is released, the file may be
deleted and so made anew; from then on it is only added to.
"""

import json
from pathlib import Path
from typing import TypeAlias

from pydantic.json_schema import models_json_schema

import hstu_preserve.errors
from hstu_preserve.archived.run_record import ArchivedRunRecord
from hstu_preserve.bundle.layout import METRICS, RANKS, ROLE_OF_FILE, ROLE_OF_FOLDER, STEPS
from hstu_preserve.certificates.envelopes import STATEMENT_PAYLOAD_TYPE
from hstu_preserve.certificates.statements import REPRODUCTION_TYPE, RESULTS_TYPE, ReproductionPredicate
from hstu_preserve.errors import PreserveError
from hstu_preserve.gin_recipes.bindings import KNOWN_NAMES, RECIPE_BINDINGS
from hstu_preserve.primitives.json_values import Json
from hstu_preserve.primitives.metric_names import METRIC_NAMES
from hstu_preserve.records.certificate import CERTIFICATE_SUFFIX
from hstu_preserve.records.environment import EnvironmentRecord
from hstu_preserve.records.manifest import CHECKSUMS_NAME, MANIFEST_NAME
from hstu_preserve.records.record import SCHEMA_VERSION, Record
from hstu_preserve.records.signature import PAYLOAD_TYPE, SIGNATURE_SUFFIX, Envelope
from hstu_preserve.runs.journal import JournalRecord
from tools.compatibility import Comparison, Schema, list_lost_names
from tools.schemas import PRINTED_RECORDS, PUBLISHED_RECORDS

Frozen: TypeAlias = dict[str, dict[str, Json]]
ROOT = Path(__file__).resolve().parent.parent
FROZEN = ROOT / "manifests" / "frozen" / f"schema-{SCHEMA_VERSION}.json"
"""Beside those of the catalog, whose files are not looked for in folders."""
OTHER_RECORDS: dict[str, type[Record]] = {
    "archived-run": ArchivedRunRecord,
    "certificate-predicate": ReproductionPredicate,
    "environment": EnvironmentRecord,
    "journal": JournalRecord,
    "signature": Envelope,
}
"""Records in files whose schema nobody asked for yet; frozen all the same."""
FROZEN_RECORDS = PUBLISHED_RECORDS | OTHER_RECORDS


def describe_frozen() -> Frozen:
    """Return names, and the schema of each record; texts are left out, since they may be put better."""
    roots, schema = models_json_schema([(record, "validation") for record in dict.fromkeys(FROZEN_RECORDS.values())])
    definitions = drop_texts(schema["$defs"])
    assert isinstance(definitions, dict)
    records: dict[str, Json] = {name: roots[record, "validation"] for name, record in sorted(FROZEN_RECORDS.items())}
    return {"names": describe_names(), "records": records, "$defs": dict(sorted(definitions.items()))}


def drop_texts(value: Json) -> Json:
    """Return a schema without titles and descriptions; fields of that name stay, since those are objects."""
    if isinstance(value, list):
        return [drop_texts(one) for one in value]
    if not isinstance(value, dict):
        return value
    texts = {name for name in ("title", "description") if isinstance(value.get(name), str)}
    return {name: drop_texts(one) for name, one in value.items() if name not in texts}


def describe_names() -> dict[str, Json]:
    """Return what each name means, by group; a name whose presence is all that it means has None."""
    errors = {
        name: one.exit_code
        for name, one in vars(hstu_preserve.errors).items()
        if isinstance(one, type) and issubclass(one, PreserveError)
    }
    return {
        "exit codes": {**errors},
        "files": {
            **{f"{folder}/": role.value for folder, role in ROLE_OF_FOLDER.items()},
            **{name: role.value for name, role in ROLE_OF_FILE.items()},
            **dict.fromkeys((MANIFEST_NAME, CHECKSUMS_NAME, METRICS, RANKS, STEPS)),
        },
        "gin names": {**dict.fromkeys(KNOWN_NAMES), **describe_defaults()},
        "metrics": {**dict.fromkeys(METRIC_NAMES)},
        "suffixes": {**dict.fromkeys((SIGNATURE_SUFFIX, CERTIFICATE_SUFFIX))},
        "types": {**dict.fromkeys((PAYLOAD_TYPE, STATEMENT_PAYLOAD_TYPE, REPRODUCTION_TYPE, RESULTS_TYPE))},
    }


def describe_defaults() -> dict[str, Json]:
    """Return the default of each gin name, by the condition under which it is read: an old chain relies on it."""
    defaults: dict[str, dict[str, Json]] = {}
    for row in RECIPE_BINDINGS:
        condition = "always" if row.read_if is None else f"{row.read_if.name} in {sorted(map(str, row.read_if.values))}"
        defaults.setdefault(row.name, {})[condition] = json.loads(json.dumps(row.default))
    return {**defaults}


def read_frozen() -> Frozen | None:
    """Return what was frozen before; None if nothing of this schema version was."""
    if not FROZEN.exists():
        return None
    frozen: Frozen = json.loads(FROZEN.read_text(encoding="utf-8"))
    return frozen


def list_breaks(before: Frozen, after: Frozen) -> list[str]:
    """Return everything that breaks between two descriptions, one sentence each, beginning with the record."""
    breaks = list_lost_names(before["names"], after["names"])
    for name, old in before["records"].items():
        if name not in after["records"]:
            breaks.append(f"{name}: removed")
            continue
        whole = Schema(value={}, definitions=before["$defs"]), Schema(value={}, definitions=after["$defs"])
        comparison = Comparison(
            before=whole[0].at(old), after=whole[1].at(after["records"][name]), is_printed=name in PRINTED_RECORDS
        )
        breaks += [f"{name}: {one}" for one in comparison.list_breaks()]
    return breaks


def list_own_breaks() -> list[str]:
    """Return what the records of this checkout break of what was frozen before."""
    before = read_frozen()
    return [] if before is None else list_breaks(before, describe_frozen())
