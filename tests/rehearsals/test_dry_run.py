"""`train --dry-run`: what it says is what a training takes, and nothing is written."""

import json
from pathlib import Path

import jsonschema
import pytest

from hstu_preserve.bundle.layout import CHECKPOINT_FOLDER, METRICS
from hstu_preserve.cli.main import main
from hstu_preserve.records.evaluation import ResultsRecord
from hstu_preserve.verbs.data import synthesize_data
from hstu_preserve.verbs.train import preview_training, train
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


def test_hard_negatives_are_measured_as_they_are_once_they_began(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from hstu_preserve.training.loop import TrainingRun

    epochs = []
    monkeypatch.setattr(TrainingRun, "take_step", spy_on(TrainingRun.take_step, epochs))
    hard = ("hard_negatives.fraction = 0.5", "hard_negatives.pool_size = 8", "hard_negatives.warmup_epochs = 1")
    preview_training(folder / "mine.gin", data=folder / "store", device="cpu", settings=hard)
    assert epochs == [1, 1, 1]


def spy_on(take_step: object, epochs: list[int]) -> object:
    def spy(self: object, users: object, *, epoch: int, step: int) -> object:
        epochs.append(epoch)
        return take_step(self, users, epoch=epoch, step=step)  # type: ignore[operator]

    return spy
