"""What the manifest of a migrated bundle must be before anything in it is believed."""

import json
from pathlib import Path
from typing import Any

import pytest

from hstu_preserve.bundle.verification import read_stored_manifest
from hstu_preserve.errors import ContentError
from hstu_preserve.primitives.canonical_json import canonical_dumps
from hstu_preserve.records.manifest import MigratedManifest, read_manifest
from hstu_preserve.verbs.migrate import migrate
from tests.corpus.legacy.generators import Case, build


@pytest.fixture(scope="module")
def content(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    folder = tmp_path_factory.mktemp("legacy")
    archive = build(Case(id="x", kind="", canonical="", outcome="", manifest="list"), folder=folder)
    migrate(archive, output=folder / "b.tar.gz")
    return read_stored_manifest(folder / "b.tar.gz").content


@pytest.fixture
def value(content: bytes) -> Any:  # a JSON tree that each test changes in its own way
    return json.loads(content)


def read(value: Any) -> MigratedManifest:
    manifest = read_manifest(canonical_dumps(value), source="some/where")
    assert isinstance(manifest, MigratedManifest)
    return manifest


def find(value: Any, provenance: str) -> Any:
    return next(one for one in value["statements"] if one["provenance"] == provenance)


def test_a_manifest_read_back_is_the_same_text(content: bytes) -> None:
    assert read_manifest(content, source="test").to_json() == content


@pytest.mark.parametrize("kind", ["Migrated", "run", "", None, 1, ["migrated"]])
def test_another_kind_is_refused_and_named(kind: object, value: Any) -> None:
    value["kind"] = kind
    with pytest.raises(ContentError, match=r"^some/where: kind .* is unknown"):
        read(value)


def test_a_value_without_provenance_or_a_provenance_without_value_is_refused(value: Any) -> None:
    find(value, "unknown")["value"] = "guessed"
    with pytest.raises(ContentError, match="unknown, so value must not be given"):
        read(value)
    find(value, "unknown")["value"] = None
    find(value, "stated")["value"] = None
    with pytest.raises(ContentError, match="stated, so value must be given"):
        read(value)


@pytest.mark.parametrize("name", ["file", "place"])
def test_what_is_stated_says_where(name: str, value: Any) -> None:
    find(value, "stated")[name] = None
    with pytest.raises(ContentError, match="stated, so file and place must be given"):
        read(value)


def test_a_basis_is_of_one_provenance(value: Any) -> None:
    find(value, "derived")["provenance"] = "stated"
    with pytest.raises(ContentError, match="is not stated"):
        read(value)


def test_a_cited_file_is_in_the_archive(value: Any) -> None:
    find(value, "stated")["file"] = "config/absent.gin"
    with pytest.raises(ContentError, match=r"config/absent\.gin: cited but not in the archive"):
        read(value)


def test_every_subject_is_spoken_of(value: Any) -> None:
    value["statements"] = [one for one in value["statements"] if one["subject"] != "policy"]
    with pytest.raises(ContentError, match="nothing is said of policy"):
        read(value)


def test_every_file_is_one_file_of_the_archive(value: Any) -> None:
    value["files"][0]["original_path"] = value["files"][1]["original_path"]
    with pytest.raises(ContentError, match="two files have one original_path"):
        read(value)
    value["files"].pop(0)
    with pytest.raises(ContentError, match="files are not the contents, one by one"):
        read(value)


def test_a_refused_archive_cannot_have_been_migrated(value: Any) -> None:
    value["source"]["outcome"] = "refused"
    with pytest.raises(ContentError, match="a refused archive"):
        read(value)


@pytest.mark.parametrize("name", ["../x.tar.gz", "a/b", "", "/etc/passwd", "x\x1b[2J", "a\nb", "\u202ex"])
def test_the_archive_s_name_is_never_a_path(name: str, value: Any) -> None:
    value["source"]["name"] = name
    with pytest.raises(ContentError, match=r"source\.name"):
        read(value)


def test_what_is_generated_cannot_be_listed(value: Any) -> None:
    value["contents"]["files"][0]["path"] = value["files"][0]["path"] = "SHA256SUMS"
    with pytest.raises(ContentError, match="cannot be listed"):
        read(value)


def test_no_field_of_a_run_may_be_there(value: Any, tmp_path: Path) -> None:
    value["claims"] = []
    with pytest.raises(ContentError, match="claims: Extra inputs"):
        read(value)
