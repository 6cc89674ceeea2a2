"""`diff`: what differs is named by section; nothing else is."""

import json
from pathlib import Path
from typing import Any

import pytest

from hstu_preserve.bundle.tree import read_tree_manifest, record_files, seal
from hstu_preserve.cli.main import main
from hstu_preserve.errors import VerificationError
from hstu_preserve.gin_recipes.differences import RecipeDiff
from hstu_preserve.primitives.voice import SILENT, Voice
from hstu_preserve.verbs import pack as pack_module
from hstu_preserve.verbs.diff import diff
from hstu_preserve.verbs.pack import pack_and_verify
from hstu_preserve.verbs.unpack import unpack
from tests.corpus.legacy.generators import ARCHIVE_NAME, build, read_cases


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

    def pack_on_a_bad_disk(run: str | Path, *, voice: Voice = SILENT, **others: Any) -> object:
        result = original(run, voice=voice, **others)
        content = bytearray(result.path.read_bytes())
        content[len(content) // 2] ^= 4
        result.path.write_bytes(content)
        return result

    monkeypatch.setattr(pack_module, "pack", pack_on_a_bad_disk)
    with pytest.raises(VerificationError):
        pack_and_verify(tree, output=tmp_path / "b.tar.gz")
    assert not (tmp_path / "b.tar.gz").exists()


def write_gin(folder: Path, name: str, text: str) -> str:
    (folder / name).write_text(text)
    return str(folder / name)


def list_found(left: str, right: str) -> dict[str, tuple[str | None, str | None]]:
    found = diff(left, right)
    assert isinstance(found, RecipeDiff)
    return {one.name: (one.left, one.right) for one in found.differences}


def test_recipes_are_compared_by_their_gin_names(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    base = write_gin(tmp_path, "base.gin", 'train_fn.main_module = "HSTU"\n')
    mine = write_gin(
        tmp_path, "mine.gin", 'include "base.gin"\ntrain_fn.learning_rate = 0.01\nclaim.metric = "hr@10"\n'
    )
    assert list_found(base, mine) == {
        "train_fn.learning_rate": ("0.001", "0.01"),
        "claim.name": ("'ndcg@10'", "'hr@10'"),
        "claim.metric": ("'ndcg@10'", "'hr@10'"),
    }
    assert main(["diff", base, mine]) == 3
    (line,) = [line for line in capsys.readouterr().out.splitlines() if "train_fn.learning_rate" in line]
    assert line.split() == ["train_fn.learning_rate", "0.001", "0.01"]


def test_equal_recipes_of_two_names_do_not_differ(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    base = write_gin(tmp_path, "base.gin", 'train_fn.main_module = "HSTU"\n')
    other = write_gin(tmp_path, "other.gin", 'bundle.title = "x"\ntrain_fn.main_module = "HSTU"\n')
    assert main(["diff", base, other, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["differences"] == []


def test_a_setting_that_one_side_does_not_read_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    hstu = write_gin(tmp_path, "hstu.gin", 'train_fn.main_module = "HSTU"\n')
    sasrec = write_gin(tmp_path, "sasrec.gin", "")
    found = list_found(hstu, sasrec)
    assert found["train_fn.main_module"] == ("'HSTU'", "'SASRec'")
    assert found["hstu_encoder.dqk"] == ("64", None)
    assert main(["diff", hstu, sasrec]) == 3
    assert "(not read)" in capsys.readouterr().out


def test_ids_name_recipes_and_a_path_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = list_found("paper-hstu-ml-20m", "control-base-td")
    assert found["time_decay.mode"] == ("'none'", "'power'")
    assert not [name for name in found if name.startswith("train_fn.")]
    monkeypatch.chdir(tmp_path)
    unpack("sample", output=tmp_path / "control-base-td")
    assert list_found("paper-hstu-ml-20m", "control-base-td")["train_fn.dataset_name"] == ("'ml-20m'", "'synthetic'")


def test_a_recipe_is_compared_with_that_of_a_bundle(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["diff", "sample-hstu-synthetic", "sample"]) in {0, 3}
    found = diff("sample-hstu-synthetic", "sample")
    assert isinstance(found, RecipeDiff)
    assert [one for one in found.differences if one.section == "recipe" and one.name != "data.fingerprint"] == []


@pytest.mark.parametrize(
    ("left", "right", "code", "message"),
    [
        ("absent.gin", "sample", 2, "absent.gin: no such file"),
        ("control-base-td", "no-such-id", 2, "no-such-id"),
        ("control-base-td", "bad.gin", 2, "bad.gin:1"),
        ("control-base-td", "legacy", 2, "a legacy archive"),
    ],
)
def test_what_has_no_recipe_is_refused(
    left: str,
    right: str,
    code: int,
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    write_gin(tmp_path, "bad.gin", "train_fn.no_such_name = 1\n")
    build(read_cases()[0], folder=tmp_path)
    assert main(["diff", left, ARCHIVE_NAME if right == "legacy" else right]) == code
    assert message in capsys.readouterr().err
