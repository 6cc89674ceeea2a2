"""Killed anywhere, a run goes on to the very bits that it would have had."""

import random
import signal
from pathlib import Path

import pytest

from hstu_preserve.workflows.data import synthesize_data
from tests.workflows.killing import Job, run, summarize

BASE = """
train_fn.dataset_name = "synthetic"
train_fn.max_sequence_length = 20
train_fn.main_module = "HSTU"
train_fn.item_embedding_dim = 16
train_fn.dropout_rate = 0.2
train_fn.sampling_strategy = "local"
train_fn.num_negatives = 16
train_fn.item_l2_norm = True
train_fn.weight_decay = 0
train_fn.learning_rate = 0.01
train_fn.num_epochs = 3
train_fn.local_batch_size = 16
train_fn.eval_batch_size = 16
train_fn.eval_interval = 2
hstu_encoder.linear_dropout_rate = 0.1
"""
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
SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
EXITS = {signal.SIGKILL: {-signal.SIGKILL}, signal.SIGTERM: {143, -signal.SIGTERM}, signal.SIGINT: {130}}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("data") / "store"
    synthesize_data(seed=5, num_users=40, num_items=80, num_ratings=1000, output=path)
    return path


def write_job(folder: Path, *, recipe: str, store: Path) -> Job:
    gin = folder / "experiment.gin"
    gin.write_text(RECIPES[recipe])
    return Job(gin=gin, store=store, output=folder / "run")


def kill_repeatedly(
    recipe: str, *, store: Path, folder: Path, num_kills: int, seed: int, signals: tuple[int, ...] = SIGNALS
) -> int:
    """Kill runs at random points, up to three times each, until so many were killed; return how many were compared."""
    reference = folder / "reference"
    reference.mkdir()
    undisturbed = write_job(reference, recipe=recipe, store=store)
    code, num_points = run(undisturbed)
    assert code == 0
    assert num_points > 1000
    expected = summarize(undisturbed.output)
    draw = random.Random(seed)
    killed = compared = 0
    while killed < num_kills:
        attempt = folder / f"run-{compared}"
        attempt.mkdir()
        job = write_job(attempt, recipe=recipe, store=store)
        for _ in range(min(draw.randint(1, 3), num_kills - killed)):
            number = draw.choice(signals)
            code, _ = run(job, kill_at=draw.randint(1, num_points), number=number)
            if code == 0:
                break  # what was left of the run had fewer points
            assert code in EXITS[signal.Signals(number)], (code, number)
            killed += 1
        code, _ = run(job)
        assert code == 0
        found = summarize(job.output)
        assert {name for name in expected if found[name] != expected[name]} == set(), attempt
        compared += 1
    return compared


def test_runs_killed_anywhere_end_in_the_same_bits(store: Path, tmp_path: Path) -> None:
    for recipe, num_kills in {"base": 4, "components": 3, "validated": 3}.items():
        (tmp_path / recipe).mkdir()
        assert kill_repeatedly(recipe, store=store, folder=tmp_path / recipe, num_kills=num_kills, seed=2026)


@pytest.mark.slow
@pytest.mark.parametrize("recipe", RECIPES)
def test_runs_killed_at_a_hundred_points_end_in_the_same_bits(recipe: str, store: Path, tmp_path: Path) -> None:
    assert kill_repeatedly(recipe, store=store, folder=tmp_path, num_kills=100, seed=7)
