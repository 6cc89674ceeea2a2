"""Bundles that earlier releases made are kept as they are, and every later release reads them, whatever it writes.

`tests/golden/README.md` says how they were made. If one of these tests fails, the program is wrong, not the bundle.
"""

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from hstu_preserve.bundle.layout import StoredManifest
from hstu_preserve.bundle.tree import write_seal
from hstu_preserve.cli.main import main
from hstu_preserve.primitives.canonical_json import canonical_dumps
from hstu_preserve.primitives.digests import sha256_of_file
from hstu_preserve.records.manifest import read_manifest
from hstu_preserve.records.record import SCHEMA_VERSION
from tests.bundle.archives import snapshot
from tests.corpus.legacy.generators import Case, build

BUNDLES = Path(__file__).parents[1] / "golden" / "bundles"
KEY = BUNDLES / "golden.pub"
MAX_BYTES = 100_000
NEAR = 1 / 60
"""One of the users may move on another machine, whose arithmetic decides a near-tie otherwise."""


@dataclass(frozen=True, kw_only=True)
class Golden:
    """A bundle as it was released.

    Attributes:
        version: Of its schema.
        sha256: Of its file.
        identity: The digest that names it.
    """

    version: int
    sha256: str
    identity: str

    @property
    def path(self) -> Path:
        return BUNDLES / f"schema-{self.version}.tar.gz"


GOLDENS = (
    Golden(
        version=0,
        sha256="4a92dac3a2d8a65d5b654d56e837456648110c60046e3edfdf6176d869b84fa7",
        identity="29e94e9a3c94b417f9002a0752de8a127af1cda480c86eabdde86b69a79c99e6",
    ),
    Golden(
        version=1,
        sha256="9c86d59d9538ad957153527980105ae219eb47d343e1d2a62e58147d251d33f3",
        identity="fc9a06466b795afd5d4643dd434a55d51e7d9d2ce236e6e9987c2364c728c1b3",
    ),
)
DRAFT, FIRST = GOLDENS
every_golden = pytest.mark.parametrize("golden", GOLDENS, ids=lambda golden: f"schema-{golden.version}")
Capture = pytest.CaptureFixture[str]


def ask(capsys: Capture, *arguments: str | Path) -> tuple[int, Any]:
    """Return the exit code of a command, and what it prints as JSON."""
    exit_code = main([*map(str, arguments), "--json"])
    return exit_code, json.loads(capsys.readouterr().out)


def test_every_schema_version_that_was_released_keeps_its_bundle() -> None:
    assert [golden.version for golden in GOLDENS] == list(range(SCHEMA_VERSION + 1))
    assert {path.name for path in BUNDLES.glob("*.tar.gz")} == {golden.path.name for golden in GOLDENS}


@every_golden
def test_its_bytes_are_those_that_were_released(golden: Golden) -> None:
    assert sha256_of_file(golden.path) == golden.sha256
    assert golden.path.stat().st_size <= MAX_BYTES


@every_golden
def test_it_verifies_with_its_signature_and_certificate(golden: Golden, capsys: Capture) -> None:
    exit_code, report = ask(capsys, "verify", "--deep", golden.path, "--public-key", KEY)
    assert exit_code == 0
    (target,) = report["targets"]
    assert target["verification"]["identity"] == golden.identity
    assert target["verification"]["manifest"]["schema_version"] == golden.version
    assert target["verification"]["signer"]["outcome"] == "signed"
    assert all(check["passed"] for check in target["deep"])
    attested = target["certificate"]["attestations"]
    assert [(one["signature"], one["result"]) for one in attested] == [("signed", "PASSED")] * 2


@every_golden
def test_it_reproduces_the_recorded_result(golden: Golden, capsys: Capture) -> None:
    exit_code, reproduction = ask(capsys, "reproduce", golden.path, "--rung", "evaluation", "--rung", "resume")
    assert exit_code == 0
    assert reproduction["identity"] == golden.identity
    outcomes = {(one["rung"], one["claim"]): one["outcome"] for one in reproduction["verdicts"] if one["is_required"]}
    assert set(outcomes.values()) <= {"REPRODUCED_BITWISE", "REPRODUCED_NUMERIC"}
    assert outcomes["evaluation-numeric", "hr@10"] == outcomes["evaluation-numeric", "ndcg"] == "REPRODUCED_NUMERIC"
    assert {"resume-bitwise", "resume-numeric"} & {rung for rung, _ in outcomes}
    metrics = reproduction["evaluation"]["metrics"]
    assert (metrics["hr@10"], metrics["ndcg@10"]) == pytest.approx((0.6, 0.3005257), abs=NEAR)


@every_golden
def test_reading_it_does_not_change_it(golden: Golden, tmp_path: Path, capsys: Capture) -> None:
    tree, packed = tmp_path / "tree", tmp_path / "again.tar.gz"
    assert main(["unpack", str(golden.path), "--output", str(tree)]) == 0
    assert main(["pack", str(tree), "--output", str(packed)]) == 0
    assert golden.identity in capsys.readouterr().out
    exit_code, shown = ask(capsys, "show", packed)
    assert (exit_code, shown["identity"]) == (0, golden.identity)


def test_a_bundle_of_version_0_becomes_one_of_version_1_that_names_it(tmp_path: Path, capsys: Capture) -> None:
    output = tmp_path / "new.tar.gz"
    exit_code, result = ask(capsys, "migrate", DRAFT.path, "--output", output)
    assert exit_code == 0
    assert result["upgraded_from"] == {"schema_version": 0, "identity": DRAFT.identity}
    assert result["left_behind"] == ["schema-0.tar.gz.sig", "schema-0.tar.gz.intoto.jsonl"]
    # The same everywhere and for ever: nothing of time, place or release enters it.
    assert result["bundle"]["identity"] == "4dbae2c6ce49536aef85e9d867ee33d51f34321dcf0504eeba486d905dd6a6ce"
    exit_code, report = ask(capsys, "verify", "--deep", output)
    assert exit_code == 0
    assert report["targets"][0]["verification"]["manifest"]["schema_version"] == 1
    for bundle, name in ((DRAFT.path, "old"), (output, "new")):
        assert main(["unpack", str(bundle), "--output", str(tmp_path / name)]) == 0
    old, new = snapshot(tmp_path / "old"), snapshot(tmp_path / "new")
    assert {name for name in old.keys() | new.keys() if old.get(name) != new.get(name)} == {
        "MANIFEST.json",
        "SHA256SUMS",
    }
    assert main(["show", str(output)]) == 0
    assert f"upgraded from  sha256:{DRAFT.identity}" in capsys.readouterr().out


def test_migrate_says_in_words_what_the_new_bundle_lacks(tmp_path: Path, capsys: Capture) -> None:
    assert main(["migrate", str(DRAFT.path), "--output", str(tmp_path / "new.tar.gz")]) == 0
    out = capsys.readouterr().out
    assert f"sha256:{DRAFT.identity}, of schema version 0: the same files" in out
    assert "not of this bundle: schema-0.tar.gz.sig, which names the earlier identity; make it anew" in out


def test_a_bundle_of_the_present_version_is_not_migrated(tmp_path: Path, capsys: Capture) -> None:
    assert main(["migrate", str(FIRST.path), "--output", str(tmp_path / "new.tar.gz")]) == 2
    assert "a native bundle already" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_a_damaged_bundle_of_version_0_is_not_migrated(tmp_path: Path, capsys: Capture) -> None:
    content = bytearray(DRAFT.path.read_bytes())
    content[len(content) // 2] ^= 1
    damaged = tmp_path / "damaged.tar.gz"
    damaged.write_bytes(content)
    assert main(["migrate", str(damaged), "--output", str(tmp_path / "new.tar.gz")]) == 3
    assert "bad-compression" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["damaged.tar.gz"]


def test_a_list_of_digests_vouches_for_no_bundle(tmp_path: Path, capsys: Capture) -> None:
    (tmp_path / "MANIFEST.md").write_text("| x.tar.gz | 1 | 0 |\n")
    output = tmp_path / "new.tar.gz"
    arguments = ["migrate", str(DRAFT.path), "--md5-list", str(tmp_path / "MANIFEST.md"), "--output", str(output)]
    assert main(arguments) == 2
    assert "--md5-list: " in capsys.readouterr().err
    assert not output.exists()


@pytest.fixture(scope="module")
def upgraded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tree of a bundle that was migrated."""
    folder = tmp_path_factory.mktemp("upgraded")
    assert main(["migrate", str(DRAFT.path), "--output", str(folder / "new.tar.gz")]) == 0
    assert main(["unpack", str(folder / "new.tar.gz"), "--output", str(folder / "tree")]) == 0
    return folder / "tree"


def change_title(manifest: dict[str, Any]) -> None:
    manifest["run"]["bundle"]["title"] = "Another"


def change_claim(manifest: dict[str, Any]) -> None:
    manifest["claims"][0]["value"] = 0.7


def name_another(manifest: dict[str, Any]) -> None:
    manifest["upgraded_from"]["identity"] = "1" * 64


def name_itself_earlier(manifest: dict[str, Any]) -> None:
    manifest["schema_version"] = 0


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (change_title, f"upgraded_from names the bundle {DRAFT.identity}, but without the upgrade it is"),
        (change_claim, f"upgraded_from names the bundle {DRAFT.identity}, but without the upgrade it is"),
        (name_another, "upgraded_from names the bundle 1111"),
        (name_itself_earlier, "upgraded_from names a bundle that is not of an earlier schema_version"),
    ],
)
def test_nobody_can_give_another_bundle_an_earlier_identity(
    change: Callable[[dict[str, Any]], None], says: str, upgraded: Path, tmp_path: Path, capsys: Capture
) -> None:
    shutil.copytree(upgraded, tmp_path / "tree")
    path = tmp_path / "tree" / "MANIFEST.json"
    manifest = json.loads(path.read_bytes())
    change(manifest)
    path.write_bytes(canonical_dumps(manifest))
    assert main(["show", str(tmp_path / "tree")]) == 3
    assert says in capsys.readouterr().err


def test_a_legacy_archive_that_was_migrated_under_version_0_is_upgraded_too(tmp_path: Path, capsys: Capture) -> None:
    archive = build(Case(id="x", kind="", canonical="", outcome=""), folder=tmp_path)
    assert main(["migrate", str(archive), "--output", str(tmp_path / "now.tar.gz")]) == 0
    assert main(["unpack", str(tmp_path / "now.tar.gz"), "--output", str(tmp_path / "tree")]) == 0
    manifest = json.loads((tmp_path / "tree" / "MANIFEST.json").read_bytes()) | {"schema_version": 0}
    content = canonical_dumps(manifest)
    stored = StoredManifest(content=content, record=read_manifest(content, source="test"))
    write_seal(tmp_path / "tree", stored)
    assert main(["pack", str(tmp_path / "tree"), "--output", str(tmp_path / "then.tar.gz")]) == 0
    capsys.readouterr()
    exit_code, result = ask(capsys, "migrate", tmp_path / "then.tar.gz", "--output", tmp_path / "again.tar.gz")
    assert (exit_code, result["upgraded_from"]["identity"]) == (0, stored.identity)
    assert main(["verify", str(tmp_path / "again.tar.gz")]) == 0
    assert main(["show", str(tmp_path / "again.tar.gz")]) == 0
    assert f"upgraded from  sha256:{stored.identity}" in capsys.readouterr().out
