"""What a manifest must be before anything in it is believed."""

import json
from pathlib import Path
from typing import Any

import pytest

from hstu_preserve.errors import ContentError
from hstu_preserve.primitives.canonical_json import canonical_dumps
from hstu_preserve.primitives.json_values import Json
from hstu_preserve.records.manifest import Manifest, read_manifest
from tests.factories import CHECKPOINT, GIN_FILE, TINY_RUN, make_manifest, write_files


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    root = tmp_path_factory.mktemp("run")
    write_files(root, TINY_RUN)
    return make_manifest(root)


@pytest.fixture
def value(manifest: Manifest) -> Any:  # a JSON tree that each test changes in its own way
    return json.loads(manifest.to_json())


def read(value: Json) -> Manifest:
    manifest = read_manifest(canonical_dumps(value), source="some/where")
    assert isinstance(manifest, Manifest)
    return manifest


def test_a_manifest_read_back_is_the_manifest(manifest: Manifest) -> None:
    assert read_manifest(manifest.to_json(), source="test") == manifest


def test_files_out_of_order_are_refused(value: Any) -> None:
    value["contents"]["files"].reverse()
    with pytest.raises(ContentError, match=r"^some/where: contents: .*files are not sorted by path"):
        read(value)


def test_a_file_listed_twice_is_refused(value: Any) -> None:
    value["contents"]["files"].insert(0, value["contents"]["files"][0])
    with pytest.raises(ContentError, match="a path is listed twice"):
        read(value)


def test_two_spellings_of_one_name_are_refused(value: Any) -> None:
    files = value["contents"]["files"]
    files.append(files[-1] | {"path": "TB/other"})
    files.sort(key=lambda file: file["path"])
    with pytest.raises(ContentError, match="paths name one file on some systems"):
        read(value)


@pytest.mark.parametrize("path", ["../x", "/x", "a/../b", "a//b", "", ".", "con", "a\\b", "caf\u0065\u0301"])
def test_a_path_that_leaves_or_blurs_the_bundle_is_refused(path: str, value: Any) -> None:
    value["contents"]["files"].append(value["contents"]["files"][0] | {"path": path})
    value["contents"]["files"].sort(key=lambda file: file["path"])
    with pytest.raises(ContentError, match=r"contents\.files\.\d+\.path: "):
        read(value)


@pytest.mark.parametrize("path", [CHECKPOINT, GIN_FILE])
def test_a_file_that_the_manifest_names_must_be_listed(path: str, value: Any) -> None:
    value["contents"]["files"] = [file for file in value["contents"]["files"] if file["path"] != path]
    with pytest.raises(ContentError, match=f"{path} is named but not among the contents"):
        read(value)


@pytest.mark.parametrize("path", ["MANIFEST.json", "SHA256SUMS"])
def test_the_manifest_does_not_list_itself(path: str, value: Any) -> None:
    value["contents"]["files"].insert(0, value["contents"]["files"][0] | {"path": path})
    with pytest.raises(ContentError, match="cannot be listed in the manifest"):
        read(value)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"size": -1}, "size"),
        ({"size": 2.5}, "size"),
        ({"sha256": "0" * 63}, "sha256"),
        ({"sha256": None}, "sha256"),
        ({"role": "poem"}, "role"),
        ({"mode": 0o755}, "mode"),
    ],
)
def test_a_listed_file_of_another_form_is_refused(changes: dict[str, Json], field: str, value: Any) -> None:
    value["contents"]["files"][0] |= changes
    with pytest.raises(ContentError, match=rf"contents\.files\.0\.{field}: "):
        read(value)


@pytest.mark.parametrize("version", [2, 3, 2**53 - 1])
def test_a_newer_manifest_asks_for_a_newer_release(version: int, value: Any) -> None:
    # Whatever else such a manifest holds, the version is what is said.
    with pytest.raises(ContentError, match=f"schema_version {version} is newer than 1.*install a newer hstu-preserve"):
        read({"schema_version": version, "entirely": "different"})
    with pytest.raises(ContentError, match="install a newer hstu-preserve"):
        read(value | {"schema_version": version})


@pytest.mark.parametrize("version", [True, False, "0", 0.5, None, [0]])
def test_a_schema_version_is_a_whole_number(version: Json, value: Any) -> None:
    with pytest.raises(ContentError, match="schema_version must be a whole number"):
        read(value | {"schema_version": version})


def test_there_is_no_schema_before_the_first(value: Any) -> None:
    with pytest.raises(ContentError, match="schema_version"):
        read(value | {"schema_version": -1})


@pytest.mark.parametrize("other", [{}, [], None, "manifest", {"files": []}])
def test_what_has_no_schema_version_is_no_manifest_of_ours(other: Json) -> None:
    with pytest.raises(ContentError, match="not a manifest of this program"):
        read(other)


def test_another_spelling_of_a_manifest_is_refused(manifest: Manifest) -> None:
    spelled = json.dumps(json.loads(manifest.to_json()), indent=1).encode()
    with pytest.raises(ContentError, match=r"^some/where: JSON is not in canonical form"):
        read_manifest(spelled, source="some/where")


@pytest.mark.parametrize("content", [b"", b"{", b"\xff", b'{"schema_version":NaN}'])
def test_what_is_no_json_is_refused(content: bytes) -> None:
    with pytest.raises(ContentError, match=r"^some/where: not "):
        read_manifest(content, source="some/where")


def test_the_manifest_of_changed_files_is_another(manifest: Manifest, tmp_path: Path) -> None:
    write_files(tmp_path, TINY_RUN | {"results/empty.txt": b"not empty"})
    assert make_manifest(tmp_path).digest() != manifest.digest()
