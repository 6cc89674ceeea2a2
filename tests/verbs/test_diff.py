"""`diff`: what differs is named by section; nothing else is."""

import json
from pathlib import Path

import pytest

from hstu_preserve.bundle.tree import read_tree_manifest, record_files, seal
from hstu_preserve.cli.main import main
from hstu_preserve.errors import VerificationError
from hstu_preserve.primitives.voice import SILENT, Voice
from hstu_preserve.verbs import pack as pack_module
from hstu_preserve.verbs.diff import diff
from hstu_preserve.verbs.pack import pack_and_verify
from hstu_preserve.verbs.unpack import unpack


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    unpack("sample", output=tmp_path / "tree")
    return tmp_path / "tree"


def test_a_bundle_does_not_differ_from_its_unpacked_self(tree: Path) -> None:
    assert diff("sample", tree).differences == ()


def test_what_differs_is_named_side_by_side(tree: Path, capsys: pytest.CaptureFixture[str]) -> None:
    manifest = read_tree_manifest(tree).manifest
    bundle = manifest.run.bundle.model_copy(update={"licence": "CC0-1.0"})
    run = manifest.run.model_copy(update={"bundle": bundle})
    (tree / "requirements.lock").write_text("torch\n")
    seal(tree, manifest=manifest.model_copy(update={"run": run, "contents": record_files(tree)}))
    found = {(one.section, one.name): (one.left, one.right) for one in diff("sample", tree).differences}
    assert found.pop(("bundle", "licence")) == ("MIT", "CC0-1.0")
    absent, present = found.pop(("contents", "requirements.lock"))
    assert absent is None
    assert present is not None
    assert found == {}
    assert main(["diff", "sample", str(tree)]) == 3
    assert "CC0-1.0" in capsys.readouterr().out


def test_equal_bundles_exit_0(tree: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["diff", "sample", str(tree), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["differences"] == []


def test_a_self_test_reads_the_finished_file_again(tree: Path, tmp_path: Path) -> None:
    assert pack_and_verify(tree, output=tmp_path / "b.tar.gz").path.exists()


def test_a_file_that_came_out_wrong_is_removed(tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    original = pack_module.pack

    def pack_on_a_bad_disk(run: str | Path, *, output: Path | None = None, voice: Voice = SILENT) -> object:
        result = original(run, output=output, voice=voice)
        content = bytearray(result.path.read_bytes())
        content[len(content) // 2] ^= 4
        result.path.write_bytes(content)
        return result

    monkeypatch.setattr(pack_module, "pack", pack_on_a_bad_disk)
    with pytest.raises(VerificationError):
        pack_and_verify(tree, output=tmp_path / "b.tar.gz")
    assert not (tmp_path / "b.tar.gz").exists()
