"""Killed anywhere, retrainings go on in the same folder to the very values that they would have had."""

import os
import random
import signal
import sys
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from hstu_preserve.records.results import Reproduction
from hstu_preserve.retraining.asked import Retraining
from hstu_preserve.retraining.stored_plans import read_plan
from hstu_preserve.verbs.data import synthesize_data
from hstu_preserve.verbs.train import train
from tests.runs.killing import Counter, behave_as_the_command_line, make_file_watcher, run_counted
from tests.runs.tiny_run import tiny_gin

CODES = {signal.SIGTERM: 143, signal.SIGKILL: -signal.SIGKILL, signal.SIGINT: 130}
GIN = (
    tiny_gin(sampling_strategy="local", learning_rate=0.01, num_epochs=1, local_batch_size=16, random_seed=0)
    + "claim.margin = 0.01\nclaim.margin_derivation = 'a test'\n"
)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("killed")
    synthesize_data(seed=5, num_users=40, num_items=80, num_ratings=1000, output=folder / "store")
    (folder / "tiny.gin").write_text(GIN)
    return train(folder / "tiny.gin", data=folder / "store", device="cpu", output=folder / "run").path


def retrain(bundle: Path, output: Path, *, kill_at: int | None = None, number: int = signal.SIGKILL) -> tuple[int, int]:
    """Retrain with two seeds in a new process; return its exit code, and how often it changed something on the disk."""
    exit_code, num_points = run_counted(retrain_counted, bundle, output, kill_at, number)
    assert exit_code is not None
    return exit_code, num_points


def retrain_counted(bundle: Path, output: Path, kill_at: int | None, number: int, connection: Connection) -> None:
    """Be the new process."""
    from hstu_preserve.verbs.reproduce import reproduce

    behave_as_the_command_line(num_threads=1)
    counter = Counter(kill_at=kill_at, number=number)
    sys.addaudithook(make_file_watcher(counter.reach, folder=str(output.parent)))
    try:
        reproduction = reproduce(
            bundle,
            rungs=("training",),
            data=bundle.parent / "store",
            device="cpu",
            output=output,
            retraining=Retraining(num_seeds=2),
        )
    except KeyboardInterrupt:
        os._exit(130)
    connection.send(counter.count)
    sys.exit(reproduction.exit_code)


def list_values(output: Path) -> list[tuple[int, str]]:
    """Return what was found, to the bit."""
    reproduction = Reproduction.from_json((output / "reproduction.json").read_bytes(), source="test")
    (agreement,) = [verdict.agreement for verdict in reproduction.verdicts if verdict.agreement]
    return [(run.seed, run.value.hex()) for run in agreement.reruns]


def kill_repeatedly(bundle: Path, tmp_path: Path, *, least: int) -> None:
    """Kill retrainings at random changes on the disk, at least so many times, and compare what they come to."""
    (tmp_path / "undisturbed").mkdir()
    code, num_points = retrain(bundle, tmp_path / "undisturbed" / "out")
    assert code in {0, 5, 6}
    assert num_points > 40
    expected = list_values(tmp_path / "undisturbed" / "out")
    plan = (tmp_path / "undisturbed" / "out" / "plan.json").read_bytes()
    draw, num_kills, num_finished = random.Random(2026), 0, 0
    while num_kills < least:
        folder = tmp_path / f"folder-{num_finished}"
        folder.mkdir()
        output = folder / "out"
        had_plan, found = False, 0
        while found != code or not (output / "reproduction.json").exists():
            number = draw.choice(list(CODES))
            kill_at = draw.randint(1, num_points // 4) if num_kills < least else None
            found, _ = retrain(bundle, output, kill_at=kill_at, number=number)
            assert found in {code, CODES[number]}, (found, number, kill_at)
            num_kills += found != code
            assert not had_plan or (output / "plan.json").exists()
            had_plan = (output / "plan.json").exists()
            if had_plan:
                assert read_plan(output / "plan.json").seeds == (1, 2)
        num_finished += 1
        assert list_values(output) == expected
        assert (output / "plan.json").read_bytes() == plan
        left = {path.name for path in output.iterdir()}
        assert left == {"plan.json", "reproduction.json", "seed-1", "seed-2"}


def test_retrainings_that_are_killed_come_to_the_same_values(bundle: Path, tmp_path: Path) -> None:
    kill_repeatedly(bundle, tmp_path, least=2)


@pytest.mark.slow
def test_retrainings_that_are_killed_again_and_again_come_to_the_same_values(bundle: Path, tmp_path: Path) -> None:
    kill_repeatedly(bundle, tmp_path, least=40)
