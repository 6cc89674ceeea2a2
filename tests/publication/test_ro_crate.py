"""A crate holds the packed bundle and a description that archives of research data read."""

import json
from pathlib import Path
from typing import Any

import pytest

from hstu_preserve.cli.main import main
from hstu_preserve.library.sources import find_here
from hstu_preserve.primitives.digests import sha256_of_file
from hstu_preserve.primitives.json_values import Json
from hstu_preserve.publication.ro_crate import describe_crate
from hstu_preserve.verbs.keygen import keygen
from hstu_preserve.verbs.signing import sign
from tests.factories import TINY_RUN, make_manifest, make_run_record, write_files


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    path = tmp_path / "my bundle.tar.gz"
    path.write_bytes(find_here("sample").path.read_bytes())
    return path


def export(target: Path, output: Path) -> int:
    return main(["export", str(target), "--format", "ro-crate", "--output", str(output)])


def index(graph: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    by_id = {entity["@id"]: entity for entity in graph}
    assert len(by_id) == len(graph)
    return by_id


def list_links(value: object) -> list[str]:
    """Return where a part of a description points to."""
    if isinstance(value, dict) and value.keys() == {"@id"}:
        return [value["@id"]]
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [one for part in parts for one in list_links(part)]


def test_the_description_has_what_the_profile_requires(bundle: Path, tmp_path: Path) -> None:
    sign(bundle, key=keygen(tmp_path / "key").path)
    assert export(bundle, tmp_path / "crate") == 0
    value = json.loads((tmp_path / "crate" / "ro-crate-metadata.json").read_bytes())
    assert value["@context"] == "https://w3id.org/ro/crate/1.1/context"
    entities = index(value["@graph"])
    assert entities["ro-crate-metadata.json"]["about"] == {"@id": "./"}
    root = entities["./"]
    assert root["conformsTo"] == {"@id": "https://w3id.org/ro/wfrun/process/0.5"}
    assert all(root[field] for field in ("name", "description", "datePublished", "license", "identifier"))
    assert [one["@id"] for one in root["hasPart"]] == ["my%20bundle.tar.gz", "my%20bundle.tar.gz.sig"]
    for name in ("my bundle.tar.gz", "my bundle.tar.gz.sig"):
        file = tmp_path / "crate" / name
        described = entities[name.replace(" ", "%20")]
        assert described["@type"] == "File"
        assert described["contentSize"] == str(file.stat().st_size)
        assert described["identifier"] == f"sha256:{sha256_of_file(file)}"
    (action,) = [one for one in value["@graph"] if one["@type"] == "CreateAction"]
    assert entities[action["instrument"]["@id"]]["@type"] == "SoftwareApplication"
    assert action["result"] == {"@id": "my%20bundle.tar.gz"}
    external = {"https://w3id.org/ro/crate/1.1"}
    assert set(list_links(value["@graph"])) - external <= entities.keys()
    assert main(["verify", str(tmp_path / "crate" / "my bundle.tar.gz")]) == 0


def test_what_a_bundle_says_is_no_address(tmp_path: Path) -> None:
    root = tmp_path / "tree"
    write_files(root, TINY_RUN)
    hostile = "javascript:alert(1) \x1b[31m"
    settings: Json = {"id": "tiny", "title": "", "licence": hostile, "citation": "nobody", "include_data": False}
    manifest = make_manifest(root, run=make_run_record(bundle=settings))
    file = tmp_path / "x.tar.gz"
    file.touch()
    value = describe_crate(manifest, files=[file], identity="0" * 64)
    assert isinstance(value, dict)
    graph: Any = value["@graph"]
    assert not any("javascript" in link for link in [*index(graph), *list_links(graph)])
    assert index(graph)["./"]["name"] == "tiny"


def test_folders_damaged_bundles_and_taken_places_are_refused(bundle: Path, tmp_path: Path) -> None:
    assert main(["unpack", str(bundle), "--output", str(tmp_path / "tree")]) == 0
    assert export(tmp_path / "tree", tmp_path / "crate") == 2
    assert export(bundle, tmp_path / "tree") == 2
    bundle.write_bytes(bundle.read_bytes()[:-1])
    assert export(bundle, tmp_path / "crate") == 3
    assert not (tmp_path / "crate").exists()
