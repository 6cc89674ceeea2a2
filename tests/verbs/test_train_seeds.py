"""`train --seeds`: one folder of runs that goes on where it was cut; what is in it already decides."""

import os
import signal
import time
from pathlib import Path

import pytest

from hstu_preserve.bundle.layout import METRICS, STEPS
from hstu_preserve.bundle.tree import read_tree_manifest
from hstu_preserve.cli.main import main
from hstu_preserve.library.diverged import has_diverged
from hstu_preserve.records.evaluation import ResultsRecord
from hstu_preserve.reruns.compared_runs import find_runs
from hstu_preserve.verbs.data import synthesize_data
from hstu_preserve.verbs.train import train, train_seeds
from tests.forked import Forked, start_program
from tests.runs.tiny_run import tiny_gin

GIN = tiny_gin(sampling_strategy="local", learning_rate=0.01, num_epochs=2, local_batch_size=32)
Capture = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    (folder / "mine.gin").write_text(GIN)
    synthesize_data(seed=5, num_users=80, num_items=120, num_ratings=2000, output=folder / "store")
    synthesize_data(seed=6, num_users=80, num_items=120, num_ratings=2000, output=folder / "other")
    return folder


def command(folder: Path, output: Path, *more: str, seeds: int = 2, store: str = "store") -> list[str]:
    given = ["--data", str(folder / store), "--device", "cpu", "--output", str(output), "--seeds", str(seeds)]
    return ["train", str(folder / "mine.gin"), *given, *more]


def read_states(study: Path) -> dict[str, str]:
    return {
        run.name: ResultsRecord.from_json((run / METRICS).read_bytes(), source=METRICS).state_sha256
        for run in sorted(study.iterdir())
    }


@pytest.fixture(scope="module")
def study(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("studies") / "study"
    train_seeds(folder / "mine.gin", num_seeds=2, data=folder / "store", device="cpu", output=output)
    return output


def test_the_seeds_are_the_recipes_own_and_the_ones_after_it(folder: Path, study: Path, tmp_path: Path) -> None:
    assert [path.name for path in sorted(study.iterdir())] == ["seed-42", "seed-43"]
    runs = [read_tree_manifest(path).manifest.run for path in sorted(study.iterdir())]
    assert [run.recipe.training.random_seed for run in runs] == [42, 43]
    assert [run.gin_file for run in runs] == ["config/mine.gin", "config/mine-seed-43.gin"]
    assert [policy.seeds for run in runs for policy in run.policies] == [(42,), (43,)]


def test_a_run_of_a_study_is_the_run_that_train_makes(folder: Path, study: Path, tmp_path: Path) -> None:
    alone = tmp_path / "alone"
    train(
        folder / "mine.gin",
        data=folder / "store",
        settings=("train_fn.random_seed = 43",),
        device="cpu",
        output=alone / "seed-43",
    )
    assert read_states(alone)["seed-43"] == read_states(study)["seed-43"]
    assert read_states(study)["seed-42"] != read_states(study)["seed-43"]
    assert main(["verify", str(study / "seed-43"), "--deep"]) == 0


def test_finished_seeds_are_not_trained_again_and_more_may_be_asked_for(
    folder: Path, study: Path, capsys: Capture
) -> None:
    before = {path: path.stat().st_mtime_ns for path in study.rglob("*")}
    assert main(command(folder, study, seeds=3)) == 0
    printed = capsys.readouterr()
    assert printed.err.count("finished before") == 2
    assert printed.out.count("trained before") == 2
    assert {path: path.stat().st_mtime_ns for path in before if path != study} == {
        path: when for path, when in before.items() if path != study
    }
    assert len(find_runs(str(study))) == 3


def test_another_recipe_in_the_folder_is_refused_naming_what_differs(
    folder: Path, study: Path, capsys: Capture
) -> None:
    assert main(command(folder, study, "--set", "train_fn.learning_rate = 0.02")) == 2
    error = capsys.readouterr().err
    assert "seed-42: holds another study's run (train_fn.learning_rate: 0.01 there, 0.02 now)" in error
    assert main(command(folder, study, "--set", "claim.margin = 0.1", "--set", "claim.margin_derivation = 'x'")) == 2
    assert "claim.margin: None there, 0.1 now" in capsys.readouterr().err


def test_other_data_in_the_folder_is_refused(folder: Path, study: Path, capsys: Capture) -> None:
    assert main(command(folder, study, store="other")) == 2
    assert "holds another study's run (data: synthetic (" in capsys.readouterr().err


def test_a_folder_of_something_else_is_refused(folder: Path, study: Path, tmp_path: Path, capsys: Capture) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    assert main(command(folder, tmp_path)) == 2
    assert "holds notes.txt, which is no run of a study" in capsys.readouterr().err
    assert main(command(folder, study / "seed-42")) == 2
    assert "a single run; --seeds makes a folder of runs" in capsys.readouterr().err
    assert main(command(folder, tmp_path / "notes.txt")) == 2


@pytest.mark.parametrize("more", [[], ["--seeds", "2"], ["--resume"]])
def test_a_name_that_is_too_long_is_said_to_be(more: list[str], folder: Path, tmp_path: Path, capsys: Capture) -> None:
    words = command(folder, tmp_path / ("a" * 300))[:-2]
    assert main([*words, *more]) == 4
    assert "File name too long" in capsys.readouterr().err


@pytest.mark.parametrize("number", ["0", "100", "-1", "x"])
def test_a_senseless_number_of_seeds_is_refused(number: str, folder: Path, tmp_path: Path) -> None:
    words = command(folder, tmp_path / "study")
    words[words.index("--seeds") + 1] = number
    assert main(words) == 2
    assert not (tmp_path / "study").exists()


def test_several_processes_are_refused(
    folder: Path, tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"RANK": "0", "WORLD_SIZE": "2", "LOCAL_RANK": "0"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("MASTER_ADDR", "127.0.0.1")
    monkeypatch.setenv("MASTER_PORT", "29511")
    assert main(command(folder, tmp_path / "study")) == 2
    assert "one run after the other in one process" in capsys.readouterr().err


def test_a_seed_that_diverges_does_not_end_the_study(folder: Path, tmp_path: Path, capsys: Capture) -> None:
    words = command(folder, tmp_path / "study", "--set", "train_fn.learning_rate = 1e15")
    assert main(words) == 3
    printed = capsys.readouterr()
    assert printed.out.count("diverged") == 2
    assert "Traceback" not in printed.err
    assert main(words) == 3
    assert capsys.readouterr().err.count("diverged before") == 2


def test_weights_that_are_no_numbers_are_a_divergence_too(folder: Path, tmp_path: Path, capsys: Capture) -> None:
    words = command(folder, tmp_path / "study", "--set", "train_fn.learning_rate = 9e15")
    words += ["--set", "train_fn.local_batch_size = 80", "--set", "train_fn.num_epochs = 1"]
    assert main(words) == 3
    assert capsys.readouterr().out.count("diverged") == 2
    assert has_diverged(tmp_path / "study" / "seed-42")
    assert main(["compare", str(tmp_path / "study")]) == 3
    assert "all trainings diverged" in capsys.readouterr().err


def listed_claims(folder: Path, output: Path) -> list[tuple[int, ...]]:
    runs = [read_tree_manifest(path).manifest.run for path in sorted(output.iterdir())]
    return [policy.seeds for run in runs for policy in run.policies]


def test_a_claim_goes_on_listing_the_seeds_behind_its_number(folder: Path, tmp_path: Path) -> None:
    output = tmp_path / "study"
    assert main(command(folder, output, "--set", "claim.seeds = (42, 43)")) == 0
    assert listed_claims(folder, output) == [(42, 43), (43, 42)]


def start(folder: Path, output: Path) -> Forked:
    words = command(folder, output, "--set", "train_fn.num_epochs = 8", "--checkpoint-minutes", "0")
    return start_program(*words, environment={**os.environ, "OMP_NUM_THREADS": "1"})


def cut(folder: Path, output: Path, *, seed: int, number: int) -> tuple[int, str]:
    """Begin the study or go on with it; send a signal once this seed has taken a few steps."""
    steps = output / f"seed-{seed}" / STEPS
    before = steps.stat().st_mtime_ns if steps.exists() else 0
    process = start(folder, output)
    until = time.monotonic() + 600
    while process.poll() is None and time.monotonic() < until:
        if steps.exists() and steps.stat().st_size > 400 and steps.stat().st_mtime_ns > before:
            break
        time.sleep(0.01)
    process.send_signal(number)
    _, error = process.communicate(timeout=600)
    return process.wait(), error


def test_a_study_that_was_killed_and_stopped_goes_on_to_the_same_bits(folder: Path, tmp_path: Path) -> None:
    whole, cut_often = tmp_path / "whole", tmp_path / "cut"
    undisturbed = start(folder, whole)
    undisturbed.communicate(timeout=600)
    assert undisturbed.returncode == 0
    assert cut(folder, cut_often, seed=42, number=signal.SIGKILL)[0] == -signal.SIGKILL
    assert not (cut_often / "seed-43").exists()
    code, error = cut(folder, cut_often, seed=43, number=signal.SIGTERM)
    assert code == 143
    assert "saved; the same command goes on from here" in error
    finished = read_tree_manifest(cut_often / "seed-42").identity
    last = start(folder, cut_often)
    _, error = last.communicate(timeout=600)
    assert last.returncode == 0, error
    assert error.count("finished before") == 1
    assert read_tree_manifest(cut_often / "seed-42").identity == finished
    assert read_states(cut_often) == read_states(whole)
    for seed in (42, 43):
        assert (cut_often / f"seed-{seed}" / STEPS).read_bytes() == (whole / f"seed-{seed}" / STEPS).read_bytes()
