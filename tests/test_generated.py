"""What is generated is as the code and the records would give it now (`make generated`)."""

import json
import re
from pathlib import Path

import jsonschema
import pytest

from hstu_preserve.cli.reference import list_commands
from hstu_preserve.gin_recipes.bindings import KNOWN_NAMES
from hstu_preserve.gin_recipes.reader import read_chain
from hstu_preserve.gin_recipes.resolve import resolve
from hstu_preserve.records.results import ShownBundle
from hstu_preserve.verbs.show import show
from tools.generate import generated_files
from tools.gin_reference import BUNDLE_DEFAULTS, CLAIM_DEFAULTS
from tools.schemas import PUBLISHED_RECORDS

ROOT = Path(__file__).resolve().parent.parent


GENERATED = generated_files()
"""Generating takes seconds, and one run gives every file."""


@pytest.mark.parametrize("path", GENERATED, ids=lambda path: path.name)
def test_generated_files_are_fresh(path: Path) -> None:
    assert path.read_text(encoding="utf-8") == GENERATED[path], "run 'make generated'"


def test_the_reference_has_every_command_with_every_option() -> None:
    text = (ROOT / "docs" / "reference" / "commands.md").read_text(encoding="utf-8")
    for name, command in list_commands():
        (section,) = re.findall(rf"^## {name}$(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
        for parameter in command.params:
            assert f"`{parameter.metavar if parameter.param_type_name == 'argument' else parameter.opts[0]}" in section


def test_the_reference_has_every_gin_name() -> None:
    text = (ROOT / "docs" / "reference" / "gin.md").read_text(encoding="utf-8")
    for name in KNOWN_NAMES:
        assert f"`{name}`" in text, name


def test_the_defaults_of_claims_and_bundles_are_what_an_empty_chain_resolves_to(tmp_path: Path) -> None:
    gin = tmp_path / "nothing.gin"
    gin.write_text("")
    resolution = resolve(read_chain(gin, root=None))
    (policy,), bundle = resolution.policies, resolution.bundle
    said = {
        "name": policy.metric,
        "metric": policy.metric,
        "direction": policy.direction.value,
        "selection_rule": policy.selection_rule.value,
        "margin": policy.margin,
        "margin_derivation": policy.margin_derivation,
        "loss_tolerance": policy.loss_tolerance,
        "spread": policy.spread,
        "spread_degrees": policy.spread_degrees,
        "spread_derivation": policy.spread_derivation,
    }
    assert CLAIM_DEFAULTS.keys() - said.keys() == {"evaluation", "seeds"}
    assert policy.find_kind(resolution.recipe.evaluation) is resolution.recipe.evaluation.effective_kind
    assert policy.name == policy.metric
    assert policy.seeds == (resolution.recipe.training.random_seed,)
    for argument in said.keys() - {"name"}:
        assert CLAIM_DEFAULTS[argument].startswith(f"`{said[argument]}`"), argument
    assert (bundle.id, bundle.title, bundle.citation) == ("nothing", "nothing", "")
    assert BUNDLE_DEFAULTS["licence"] == f"`{bundle.licence}`"
    assert BUNDLE_DEFAULTS["include_data"] == f"`{bundle.include_data}`"


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


def test_the_sample_is_small_and_holds_only_synthetic_data() -> None:
    shown = show("sample")
    assert isinstance(shown, ShownBundle)
    assert Path(shown.path).stat().st_size <= 2 * 10**6
    assert shown.manifest.run.data.redistributable
    assert shown.manifest.run.data.name == "synthetic"
