"""`evaluate --checkpoint --gin` with other trainers' checkpoints: the figures of ours, and what was not built."""

import argparse
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from hstu_preserve.cli.main import main
from hstu_preserve.records.results import EvaluationResult
from hstu_preserve.training.checkpoint import read_checkpoint, write_checkpoint
from hstu_preserve.verbs.evaluate import evaluate_file
from hstu_preserve.verbs.unpack import unpack
from tests.training.test_checkpoint import Payload


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sample bundle's tree."""
    folder = tmp_path_factory.mktemp("sample") / "tree"
    unpack("sample", output=folder)
    return folder


def find_checkpoint(sample: Path) -> Path:
    return max((sample / "ckpts").iterdir(), key=lambda path: read_checkpoint(path).epoch)


def find_gin(sample: Path) -> Path:
    return sample / str(json.loads((sample / "MANIFEST.json").read_bytes())["run"]["gin_file"])


def evaluate(sample: Path, checkpoint: Path, *, gin: Path | None = None) -> EvaluationResult:
    root = sample / "config" if gin is None else None
    return evaluate_file(checkpoint, gin=gin or find_gin(sample), gin_root=root, data=sample / "data", device="cpu")


def make_foreign(sample: Path, path: Path, *, key: str, prefix: str, **beside: object) -> Path:
    weights = read_checkpoint(find_checkpoint(sample)).weights
    content: dict[str, Any] = {key: {f"{prefix}{name}": value for name, value in weights.items()}, **beside}
    torch.save(content, path)
    return path


@pytest.mark.parametrize(
    ("key", "prefix"),
    [("model_state_dict", "module."), ("model", "_orig_mod.module."), ("state_dict", "model.module._orig_mod.")],
)
def test_a_resumable_checkpoint_gives_the_figures_of_ours(key: str, prefix: str, sample: Path, tmp_path: Path) -> None:
    ours = evaluate(sample, find_checkpoint(sample))
    beside = {
        "epoch": ours.evaluation.epoch,
        "rng_state_numpy": np.random.RandomState(1).get_state(legacy=False)["state"]["key"],
        "best": np.float64(0.25),
        "args": argparse.Namespace(out=Path("x")),
        "hook": Payload(tmp_path / "canary"),
        "note": "two\nlines",
    }
    found = evaluate(sample, make_foreign(sample, tmp_path / "x", key=key, prefix=prefix, **beside))
    assert found.evaluation == ours.evaluation
    assert not (tmp_path / "canary").exists()
    said = [one.removeprefix("not built, since only tensors are read: ") for one in found.warnings]
    assert [one for one in said if one not in ours.warnings] == [
        "rng_state_numpy: numpy._core.multiarray._reconstruct (numpy.ndarray, numpy.dtype)",
        "best: numpy._core.multiarray.scalar (numpy.dtype)",
        "args: argparse.Namespace (pathlib.PosixPath)",
        "hook: posix.mkdir",
    ]


def test_the_epoch_is_taken_from_the_name_if_the_file_tells_none(sample: Path, tmp_path: Path) -> None:
    path = make_foreign(sample, tmp_path / "x_ep17", key="model", prefix="")
    assert evaluate(sample, path).evaluation.epoch == 17


def test_a_checkpoint_of_ours_with_an_object_in_it_is_refused(
    sample: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content = read_checkpoint(find_checkpoint(sample)).content
    write_checkpoint(tmp_path / "x_ep1", content | {"args": argparse.Namespace()})
    arguments = ["--gin", str(find_gin(sample)), "--gin-root", str(sample / "config"), "--data", str(sample / "data")]
    assert main(["evaluate", "--checkpoint", str(tmp_path / "x_ep1"), *arguments, "--device", "cpu"]) == 3
    assert "global 'argparse.Namespace' is not allowed" in capsys.readouterr().err


def test_displaced_includes_of_the_gin_file_are_found_and_told(sample: Path, tmp_path: Path) -> None:
    whole = evaluate(sample, find_checkpoint(sample))
    shutil.copytree(sample / "config", tmp_path / "config")
    entry = tmp_path / "mine.gin"
    entry.write_text(f"include 'where/it/was/{find_gin(sample).name}'\n", encoding="utf-8")
    found = evaluate(sample, find_checkpoint(sample), gin=entry)
    assert found.evaluation.metrics == whole.evaluation.metrics
    assert any("is config/" in said and "the only file of that name" in said for said in found.warnings)
