"""What is generated is as the code would generate it now (`make generated`, `make report`)."""

import json
from pathlib import Path

import jsonschema
import pytest

from hstu_preserve.cli.reference import list_commands
from hstu_preserve.library.catalog import list_experiments
from hstu_preserve.records.results import ShownBundle
from hstu_preserve.records.schemas import PUBLISHED_RECORDS
from hstu_preserve.report.preservation_report import HEADINGS, describe_collection
from hstu_preserve.verbs.show import show
from tools.generate import generated_files

ROOT = Path(__file__).resolve().parent.parent


@pytest.mark.parametrize("path", generated_files(), ids=lambda path: path.name)
def test_generated_files_are_fresh(path: Path) -> None:
    assert path.read_text(encoding="utf-8") == generated_files()[path], "run 'make generated'"


def test_the_readme_names_every_command() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    for name, _ in list_commands():
        assert f"`hstu-preserve {name}" in text


@pytest.mark.parametrize("path", sorted((ROOT / "manifests").glob("*.json")), ids=lambda path: path.stem)
def test_every_catalog_entry_follows_its_schema_and_is_named_after_its_id(path: Path) -> None:
    schema = json.loads((ROOT / "manifests" / "schema" / "catalog-entry.schema.json").read_text())
    entry = json.loads(path.read_text())
    jsonschema.validate(entry, schema)
    assert entry["id"] == path.stem


def test_the_samples_manifest_follows_the_published_schema() -> None:
    shown = show("sample")
    assert isinstance(shown, ShownBundle)
    schema = json.loads((ROOT / "manifests" / "schema" / "manifest.schema.json").read_text())
    jsonschema.validate(shown.manifest.to_json_value(), schema)


def test_a_schema_refuses_what_its_record_refuses() -> None:
    schema = json.loads((ROOT / "manifests" / "schema" / "store.schema.json").read_text())
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"schema_version": 0, "unknown": 1}, schema)
    assert set(PUBLISHED_RECORDS) == {path.name.split(".")[0] for path in (ROOT / "manifests" / "schema").iterdir()}


def test_the_preservation_report_lists_today_s_catalog_and_today_s_sample() -> None:
    text = (ROOT / "PRESERVATION_REPORT.md").read_text(encoding="utf-8")
    listed = list_experiments().experiments
    for collection in HEADINGS:
        assert describe_collection(collection, listed) in text, "run 'make report'"
    shown = show("sample")
    assert isinstance(shown, ShownBundle)
    assert shown.identity in text, "run 'make report'"


def test_the_sample_is_small_and_holds_only_synthetic_data() -> None:
    shown = show("sample")
    assert isinstance(shown, ShownBundle)
    assert Path(shown.path).stat().st_size <= 2 * 10**6
    assert shown.manifest.run.data.redistributable
    assert shown.manifest.run.data.name == "synthetic"
