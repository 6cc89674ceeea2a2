"""Killed anywhere, a run goes on to the very bits that it would have had."""

import random
import signal
from pathlib import Path

import pytest

from hstu_preserve.verbs.data import synthesize_data
from tests.runs.killing import Job, Points, run, summarize
from tests.runs.tiny_run import tiny_gin

BASE = (
    tiny_gin(
        dropout_rate=0.2,
        sampling_strategy="local",
        learning_rate=0.01,
        num_epochs=3,
        local_batch_size=16,
        eval_batch_size=16,
        eval_interval=2,
    )
    + "hstu_encoder.linear_dropout_rate = 0.1\n"
)
COMPONENTS = """
prism.variant = "film"
hard_negatives.fraction = 0.5
hard_negatives.pool_size = 32
input_compression.pooling = "chunk"
input_compression.num_tokens = 6
input_compression.ratio = 2
input_compression.recent_len = 8
input_compression.random_boundary = True
"""
RECIPES = {
    "base": BASE,
    "components": BASE + COMPONENTS,
    "validated": BASE.replace("num_epochs = 3", "num_epochs = 6")
    + 'data.protocol = "validated"\ntraining.patience = 1\n',
}
WITH_DATA = BASE.replace("num_epochs = 3", "num_epochs = 2") + "bundle.include_data = True\n"
SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
EXITS = {signal.SIGKILL: {-signal.SIGKILL}, signal.SIGTERM: {143, -signal.SIGTERM}, signal.SIGINT: {130}}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("data") / "store"
    synthesize_data(seed=5, num_users=40, num_items=80, num_ratings=1000, output=path)
    return path


def write_job(folder: Path, *, gin: str, store: Path, points: Points = Points.CALLS) -> Job:
    folder.mkdir()
    path = folder / "experiment.gin"
    path.write_text(gin)
    return Job(gin=path, store=store, output=folder / "run", points=points)


def train_undisturbed(job: Job, *, least: int) -> tuple[dict[str, object], int]:
    """Train to the end and return what came out, and how many points there were."""
    code, num_points = run(job)
    assert code == 0
    assert num_points > least
    return summarize(job.output), num_points


def require_equal(job: Job, expected: dict[str, object], *, source: object) -> None:
    """Let a killed run go on to its end, which must be that of the undisturbed one."""
    code, _ = run(job)
    assert code == 0, source
    found = summarize(job.output)
    assert {name for name in expected if found[name] != expected[name]} == set(), source


def kill_repeatedly(recipe: str, *, store: Path, folder: Path, num_runs: int, seed: int) -> None:
    """Kill so many runs at random points, up to three times each, and compare what they end in."""
    undisturbed = write_job(folder / "undisturbed", gin=RECIPES[recipe], store=store)
    expected, num_points = train_undisturbed(undisturbed, least=1000)
    draw = random.Random(seed)
    for number in range(num_runs):
        job = write_job(folder / f"run-{number}", gin=RECIPES[recipe], store=store)
        for kill in range(draw.randint(1, 3)):
            chosen = draw.choice(SIGNALS)
            code, _ = run(job, kill_at=draw.randint(1, num_points), number=chosen)
            if code == 0 and (kill or chosen is not signal.SIGKILL):
                break  # what was left of the run had fewer points, or it was about to end anyway
            assert code in EXITS[chosen], (code, chosen)
        require_equal(job, expected, source=job.output)


def test_runs_killed_anywhere_end_in_the_same_bits(store: Path, tmp_path: Path) -> None:
    for recipe, num_runs in {"base": 1, "components": 1, "validated": 1}.items():
        (tmp_path / recipe).mkdir()
        kill_repeatedly(recipe, store=store, folder=tmp_path / recipe, num_runs=num_runs, seed=2026)


@pytest.mark.slow
@pytest.mark.parametrize("recipe", RECIPES)
def test_a_hundred_runs_killed_anywhere_end_in_the_same_bits(recipe: str, store: Path, tmp_path: Path) -> None:
    kill_repeatedly(recipe, store=store, folder=tmp_path, num_runs=100, seed=7)


def kill_at_file_changes(gin: str, *, store: Path, folder: Path, every: int) -> None:
    """Kill a run at every so manieth change that it makes on the disk, and compare what it ends in."""
    undisturbed = write_job(folder / "undisturbed", gin=gin, store=store, points=Points.FILE_CHANGES)
    expected, num_points = train_undisturbed(undisturbed, least=50)
    for point in range(1, num_points + 1, every):
        job = write_job(folder / f"run-{point}", gin=gin, store=store, points=Points.FILE_CHANGES)
        code, _ = run(job, kill_at=point)
        assert code == -signal.SIGKILL, point
        require_equal(job, expected, source=f"killed before change {point} of {num_points}")


def test_runs_killed_while_they_write_end_in_the_same_bits(store: Path, tmp_path: Path) -> None:
    kill_at_file_changes(WITH_DATA, store=store, folder=tmp_path, every=41)


@pytest.mark.slow
@pytest.mark.parametrize("gin", [WITH_DATA, RECIPES["validated"]], ids=["with data", "validated"])
def test_runs_killed_before_any_change_on_the_disk_end_in_the_same_bits(gin: str, store: Path, tmp_path: Path) -> None:
    kill_at_file_changes(gin, store=store, folder=tmp_path, every=1)
