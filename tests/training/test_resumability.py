"""A checkpoint from which training could not go on as it went on then is refused, and what is missing is named."""

from pathlib import Path

import pytest
from torch import Tensor

from hstu_preserve.bundle.tree import read_tree_manifest, record_files, seal
from hstu_preserve.errors import CheckpointError
from hstu_preserve.model.upstream_weights import build_for_weights
from hstu_preserve.reruns.consistency import count_steps
from hstu_preserve.reruns.opened_bundle import OpenedBundle
from hstu_preserve.training.checkpoint import read_checkpoint
from hstu_preserve.training.resumability import require_resumable
from hstu_preserve.verbs.unpack import unpack
from tests.corpus.checkpoints.resumable import Case, edit_checkpoint, load_cases
from tests.forked import run_in_words

CASES = load_cases()
REFUSED = [case for case in CASES if case.verdict == "refused"]
ONE_PER_CLASS = list({case.kind: case for case in reversed(REFUSED)}.values())


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    unpack("sample", output=tmp_path / "tree")
    return tmp_path / "tree"


def require_sample_resumable(tree: Path) -> None:
    bundle = OpenedBundle(root=tree, manifest=read_tree_manifest(tree).manifest)
    checkpoint = read_checkpoint(bundle.checkpoint)
    model = build_for_weights(bundle.manifest.run.recipe, checkpoint.weights, source="x")
    parameters: dict[str, Tensor] = dict(model.named_parameters())
    num_steps = count_steps(bundle, until_epoch=checkpoint.epoch)
    require_resumable(checkpoint, parameters=parameters, num_steps=num_steps, source="x")


def test_every_case_has_a_name_of_its_own_and_a_verdict() -> None:
    assert len({case.id for case in CASES}) == len(CASES) >= 25
    assert {case.kind for case in CASES} == {"accepted", "generators", "optimizer", "step", "weights"}
    assert {case.verdict for case in CASES if case.kind == "accepted"} == {"accepted"}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_a_checkpoint_to_go_on_from_gets_its_verdict(case: Case, tree: Path) -> None:
    edit_checkpoint(tree / read_tree_manifest(tree).manifest.checkpoint, case)
    if case.verdict == "accepted":
        require_sample_resumable(tree)
        return
    with pytest.raises(CheckpointError) as caught:
        require_sample_resumable(tree)
    assert [words for words in case.says if words not in str(caught.value)] == [], str(caught.value)
    assert str(caught.value).startswith("x: ")


@pytest.mark.parametrize("case", ONE_PER_CLASS, ids=lambda case: case.kind)
def test_verify_deep_exits_3_and_names_what_is_missing(case: Case, tree: Path) -> None:
    manifest = read_tree_manifest(tree).manifest
    edit_checkpoint(tree / manifest.checkpoint, case)
    seal(tree, manifest=manifest.model_copy(update={"contents": record_files(tree)}))
    result = run_in_words("verify", "--deep", str(tree), cwd=tree.parent)
    assert result.returncode == 3, result.stdout + result.stderr
    assert "Traceback" not in result.stderr
    (line,) = [line for line in result.stdout.splitlines() if "FAILED checkpoints" in line]
    assert [words for words in case.says if words not in line] == []
