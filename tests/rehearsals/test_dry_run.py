"""`train --dry-run`: what it says is what a training takes, and nothing is written."""

import json
from pathlib import Path

import jsonschema
import numpy as np
import numpy.typing as npt
import pytest
import torch

from hstu_preserve.bundle.layout import CHECKPOINT_FOLDER, METRICS
from hstu_preserve.cli.main import main
from hstu_preserve.model.objective import Losses
from hstu_preserve.records.evaluation import ResultsRecord
from hstu_preserve.rehearsals.busyness import describe_other_work
from hstu_preserve.rehearsals.dry_run import time_steps
from hstu_preserve.training.loop import TrainingRun
from hstu_preserve.verbs.data import synthesize_data
from hstu_preserve.verbs.train import train
from tests.data.stores_in_memory import synthesize
from tests.factories import make_recipe
from tests.runs.tiny_run import tiny_gin
from tools.schemas import generate_schema

Capture = pytest.CaptureFixture[str]
GIN = tiny_gin(sampling_strategy="local", num_epochs=2, local_batch_size=32, save_ckpt_every_n=1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    (folder / "mine.gin").write_text(GIN)
    synthesize_data(seed=5, num_users=80, num_items=120, num_ratings=2000, output=folder / "store")
    return folder


def type_in(folder: Path, *more: str) -> int:
    return main(["train", str(folder / "mine.gin"), "--data", str(folder / "store"), "--device", "cpu", *more])


def test_it_says_what_the_training_has_and_writes_nothing(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.chdir(tmp_path)
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    assert type_in(folder, "--output", "run", "--dry-run", "--json") == 0
    record = json.loads(capsys.readouterr().out)
    jsonschema.validate(record, generate_schema("rehearsal"))
    assert not list(tmp_path.iterdir())
    assert before == {path: path.stat().st_mtime_ns for path in folder.rglob("*")}

    train(folder / "mine.gin", data=folder / "store", device="cpu", output="run")
    results = ResultsRecord.from_json((tmp_path / "run" / METRICS).read_bytes(), source=METRICS)
    evaluated = [*results.epochs] if results.final == results.epochs[-1] else [*results.epochs, results.final]
    assert record["evaluated_users"] == sum(one.num_users for one in evaluated)
    assert (record["num_epochs"], record["steps_per_epoch"], record["num_steps"]) == (2, 3, 6)
    (newest, *_) = sorted((tmp_path / "run" / CHECKPOINT_FOLDER).iterdir())
    assert record["checkpoint_bytes"] == pytest.approx(newest.stat().st_size, rel=0.5)
    assert len(record["step_seconds"]) == 3
    later = sum(record["step_seconds"][1:]) / 2
    assert record["training_seconds"] == pytest.approx(6 * later)
    assert record["evaluation_seconds"] == pytest.approx(record["evaluated_users"] / record["users_per_second"])


def test_seeds_are_multiplied_and_a_text_says_that_it_is_extrapolated(folder: Path, capsys: Capture) -> None:
    assert type_in(folder, "--dry-run", "--seeds", "3") == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "6: 2 epochs of 3 (80 users)" in text
    assert "for 3 seeds" in text
    assert "extrapolated from the mean of 2 steps after the first" in text
    assert "Nothing was written" in text


def test_what_training_refuses_is_refused(folder: Path, tmp_path: Path, capsys: Capture) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    assert type_in(folder, "--dry-run", "--output", str(tmp_path)) == 2
    assert "exists and is not empty" in capsys.readouterr().err
    assert type_in(folder, "--dry-run", "--set", "claim.metric = 'ndcg@11'") == 2
    assert type_in(folder, "--dry-run", "--resume") == 2
    assert "--resume: --dry-run takes the first steps" in capsys.readouterr().err
    assert main(["train", "--plan", "plan.json", "--seed", "1", "--dry-run"]) == 2
    assert type_in(folder) == 2
    assert "--output: missing" in capsys.readouterr().err


def test_hard_negatives_are_measured_as_they_are_once_they_began() -> None:
    class Watched(TrainingRun):
        seen: list[int]

        def take_step(self, users: npt.NDArray[np.int64], *, epoch: int, step: int) -> tuple[Losses, float]:
            self.seen = [*getattr(self, "seen", []), epoch]
            return super().take_step(users, epoch=epoch, step=step)

    recipe = make_recipe(hard_negatives={"warmup_epochs": 1})
    store = synthesize(seed=1, num_users=40, num_items=50, num_ratings=400)
    training = Watched(recipe, store, device=torch.device("cpu"))
    assert len(time_steps(training)) == 3
    assert training.seen == [1, 1, 1]


def test_a_busy_machine_is_named() -> None:
    assert describe_other_work(0.95) is None
    assert "20% of one core" in str(describe_other_work(0.2))
