"""A bundle that the catalog names by its identity is that bundle, or no file."""

import hashlib
import json
import shutil
import subprocess
from pathlib import Path

import pytest

from hstu_preserve.bundle.verification import read_stored_manifest
from hstu_preserve.errors import VerificationError
from hstu_preserve.hub.cache import Cache
from hstu_preserve.hub.repository import Hub
from hstu_preserve.hub.retries import RetryPolicy
from hstu_preserve.library.fetching import fetch_file
from hstu_preserve.library.repository import Repository
from hstu_preserve.library.targets import SAMPLE_BUNDLE
from hstu_preserve.library.vouching import Expectation
from hstu_preserve.primitives.shipped import shipped_directory
from tests.forked import PROGRAM
from tests.hub.conftest import REPOSITORY, Program
from tests.hub.local_hub import LocalHub
from tests.hub.repositories import StoredFile

SAMPLE_PATH = shipped_directory("bundles") / SAMPLE_BUNDLE
SAMPLE = SAMPLE_PATH.read_bytes()
IDENTITY = read_stored_manifest(SAMPLE_PATH).identity
ANOTHER = "0" * 64
ID, NAME = "iter8-exp4-SOTA", "iter8-exp4-SOTA.tar.gz"


@pytest.fixture
def published(hub: LocalHub, tmp_path: Path) -> Repository:
    hub.add(REPOSITORY, {NAME: SAMPLE, "noise.tar.gz": b"no bundle at all"})
    client = Hub(endpoint=hub.url)
    snapshot = client.read_snapshot(REPOSITORY, revision="main", policy=RetryPolicy())
    return Repository(snapshot=snapshot, hub=client, cache=Cache(tmp_path / "cache"))


def obtain(published: Repository, name: str, identity: str | None) -> Path:
    file = published.snapshot.find(name)
    assert file is not None
    return fetch_file(file, repository=published, expected=Expectation(identity=identity)).path


def test_the_named_bundle_is_kept(published: Repository) -> None:
    assert obtain(published, NAME, IDENTITY).read_bytes() == SAMPLE


@pytest.mark.parametrize("name", [NAME, "noise.tar.gz"])
def test_another_bundle_is_not_kept(name: str, published: Repository) -> None:
    with pytest.raises(VerificationError, match=f"{ANOTHER}.*") as caught:
        obtain(published, name, ANOTHER)
    assert f"{REPOSITORY}/{name}" in str(caught.value)
    kept = [path for path in published.cache.root.rglob("*") if path.is_file() and path.stat().st_size > 5000]
    assert kept == []


def test_what_was_fetched_before_the_catalog_named_it_is_compared_too(published: Repository) -> None:
    obtain(published, NAME, None)
    with pytest.raises(VerificationError, match="identity differs"):
        obtain(published, NAME, ANOTHER)


ELSEWHERE = """
from pathlib import Path
from hstu_preserve.primitives import shipped
shipped.PACKAGE = Path({package!r})
"""
"""The package as if it lay in another checkout."""


@pytest.fixture
def catalogued(hub: LocalHub, program: Program, tmp_path: Path) -> Path:
    """The program beside a catalog of its own; returns the catalog's file of one experiment."""
    site = tmp_path / "site"
    shutil.copytree(shipped_directory("manifests"), site / "manifests")
    program.text = ELSEWHERE.format(package=str(site / "package")) + PROGRAM
    hub.add(REPOSITORY, {NAME: SAMPLE})
    return site / "manifests" / f"{ID}.json"


def name_identity(entry: Path, identity: str) -> None:
    name_bundle(entry, identity=identity)


def name_bundle(entry: Path, **fields: str) -> None:
    record = json.loads(entry.read_bytes())
    record["bundle"] |= fields
    entry.write_text(json.dumps(record), encoding="utf-8")


def test_an_id_brings_the_bundle_that_the_catalog_names(catalogued: Path, program: Program) -> None:
    name_identity(catalogued, IDENTITY)
    assert program.run("download", ID).returncode == 0
    assert program.files == {NAME: SAMPLE}


def test_another_bundle_under_the_id_is_a_failed_verification(catalogued: Path, program: Program) -> None:
    name_identity(catalogued, ANOTHER)
    result = program.run("download", ID)
    assert (result.returncode, program.files) == (3, {})
    assert f"expected {ANOTHER} by the catalog, found {IDENTITY}" in result.stdout
    reproduced = program.run("reproduce", ID)
    assert reproduced.returncode == 3
    assert "identity differs" in reproduced.stderr
    assert list(program.home.rglob("objects/*")) == []


def test_the_sha256_of_the_catalog_is_held_against_the_file(catalogued: Path, program: Program) -> None:
    name_bundle(catalogued, sha256=ANOTHER)
    result = program.run("download", ID)
    assert (result.returncode, program.files) == (3, {})
    assert f"sha256 is {hashlib.sha256(SAMPLE).hexdigest()} by the Hub's metadata" in result.stdout
    assert f"{ANOTHER} by the catalog" in result.stdout
    name_bundle(catalogued, sha256=hashlib.sha256(SAMPLE).hexdigest())
    result = program.run("download", ID)
    assert (result.returncode, program.files) == (0, {NAME: SAMPLE})
    assert f"sha256 {hashlib.sha256(SAMPLE).hexdigest()}, as the catalog says" in result.stdout


WRONG = [{"sha256": ANOTHER}, {"identity": ANOTHER}]
FOUND = {"sha256": hashlib.sha256(SAMPLE).hexdigest(), "identity": IDENTITY}


def require_refused(result: "subprocess.CompletedProcess[str]", wrong: dict[str, str]) -> None:
    told, (field,) = result.stdout + result.stderr, wrong
    assert result.returncode == 3, told
    assert ANOTHER in told
    assert FOUND[field] in told
    assert "the catalog" in told


@pytest.mark.parametrize("wrong", WRONG, ids=str)
def test_an_id_is_what_the_catalog_says_in_any_repository(
    wrong: dict[str, str], catalogued: Path, hub: LocalHub, program: Program
) -> None:
    hub.add("somebody/mirror", {NAME: SAMPLE})
    assert program.run("download", ID, "--repo", "somebody/mirror", "--output-dir", "before").returncode == 0
    name_bundle(catalogued, **wrong)
    require_refused(program.run("download", ID, "--repo", "somebody/mirror"), wrong)
    assert set(program.files) == {f"before/{NAME}"}


@pytest.mark.parametrize("is_lfs", [True, False], ids=["lfs", "regular"])
@pytest.mark.parametrize("wrong", WRONG, ids=str)
def test_an_address_in_the_catalog_is_what_the_catalog_says(
    wrong: dict[str, str], is_lfs: bool, catalogued: Path, hub: LocalHub, program: Program
) -> None:
    hub.repositories[REPOSITORY].commit({NAME: StoredFile(content=SAMPLE, is_lfs=is_lfs)})
    address = f"hf://{REPOSITORY}/{NAME}"
    for verb in ("verify", "show"):
        assert program.run(verb, address).returncode == 0
    name_bundle(catalogued, **wrong)
    for verb in ("verify", "show"):
        require_refused(program.run(verb, address), wrong)


VERBS = {
    "verify": ["verify", ID],
    "verify, deeply": ["verify", ID, "--deep"],
    "verify the address": ["verify", f"hf://{REPOSITORY}/{NAME}"],
    "show the address": ["show", f"hf://{REPOSITORY}/{NAME}"],
    "unpack": ["unpack", ID, "--output", "tree"],
    "evaluate": ["evaluate", ID],
}


@pytest.mark.parametrize("wrong", WRONG, ids=str)
@pytest.mark.parametrize("verb", VERBS)
def test_what_was_kept_before_is_held_against_what_the_catalog_says_now(
    verb: str, wrong: dict[str, str], catalogued: Path, program: Program
) -> None:
    assert program.run("download", ID, "--output-dir", "before").returncode == 0
    name_bundle(catalogued, **wrong)
    require_refused(program.run(*VERBS[verb]), wrong)
    assert set(program.files) == {f"before/{NAME}"}


def test_an_address_in_another_repository_moves_no_id(catalogued: Path, hub: LocalHub, program: Program) -> None:
    hub.add("evil/y", {NAME: b"another", "z.tar.gz": b"z"})
    result = program.run("download", ID, "hf://evil/y/z.tar.gz")
    assert result.returncode == 2
    assert f"several repositories (evil/y, {REPOSITORY})" in " ".join(result.stderr.split())
    assert program.files == {}
    assert not any("evil" in one.path for one in hub.requests)
