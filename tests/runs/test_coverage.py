"""Coverage@10: recorded beside the metrics, logged in every epoch, shown to whoever evaluates or looks."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from hstu_preserve.bundle.layout import METRICS
from hstu_preserve.cli.main import main
from hstu_preserve.event_files.reader import read_scalars
from hstu_preserve.records.evaluation import ResultsRecord
from hstu_preserve.verbs.data import synthesize_data
from hstu_preserve.verbs.train import train
from tests.runs.tiny_run import tiny_gin

GIN = tiny_gin(
    max_sequence_length=10,
    item_embedding_dim=8,
    num_negatives=8,
    num_epochs=3,
    local_batch_size=32,
    eval_batch_size=4,
    full_eval_every_n=2,
    partial_eval_num_iters=1,
)
NUM_ITEMS = 400


@dataclass(frozen=True, kw_only=True)
class Trained:
    """A run, its data and its results."""

    run: Path
    store: Path
    results: ResultsRecord


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    folder = tmp_path_factory.mktemp("coverage")
    (folder / "tiny.gin").write_text(GIN)
    store, run = folder / "store", folder / "run"
    synthesize_data(seed=5, num_users=60, num_items=NUM_ITEMS, num_ratings=1500, output=store)
    train(folder / "tiny.gin", data=store, device="cpu", output=run)
    return Trained(run=run, store=store, results=ResultsRecord.from_json((run / METRICS).read_bytes(), source=METRICS))


def find_value(text: str) -> str:
    """Return what follows the only `coverage@10` of a text."""
    _, after = text.split("coverage@10")
    return after.split()[0]


def test_all_users_together_are_recommended_more_than_the_few_of_a_partial_evaluation(trained: Trained) -> None:
    full, partial, last = trained.results.epochs
    assert (full.num_users, partial.num_users) == (60, 4)
    assert 10 / NUM_ITEMS <= partial.coverage_at_10 <= 40 / NUM_ITEMS
    assert 10 / NUM_ITEMS <= full.coverage_at_10 <= 1
    assert last.coverage_at_10 == trained.results.final.coverage_at_10
    assert "coverage@10" not in full.metrics


def test_every_epoch_logs_it_and_full_evaluations_under_their_own_tag_too(trained: Trained) -> None:
    (path,) = (trained.run / "tb").rglob("events.out.tfevents.*")
    logged = {(point.tag, point.step): point.value for point in read_scalars(path) if "coverage" in point.tag}
    values = [epoch.coverage_at_10 for epoch in trained.results.epochs]
    assert logged == {
        **{("eval_epoch/coverage@10", step): pytest.approx(value, rel=1e-6) for step, value in enumerate(values)},
        **{("eval_epoch_full/coverage@10", step): pytest.approx(values[step], rel=1e-6) for step in (0, 2)},
    }


def test_evaluate_finds_it_again_and_both_texts_show_it(trained: Trained, capsys: pytest.CaptureFixture[str]) -> None:
    value = trained.results.final.coverage_at_10
    assert main(["evaluate", str(trained.run), "--data", str(trained.store), "--device", "cpu"]) == 0
    assert find_value(capsys.readouterr().out) == f"{value:.6f}"
    assert main(["show", str(trained.run)]) == 0
    assert find_value(capsys.readouterr().out) == f"{value:.4f}"
