"""A run directory: what is fixed before the first step, what is logged, which epoch is reported."""

import json
import signal
import time
from pathlib import Path

import pytest

from hstu_preserve.bundle.layout import METRICS, RANKS, RUN_RECORD, STEPS
from hstu_preserve.bundle.opening import open_verified
from hstu_preserve.bundle.tree import read_tree_manifest
from hstu_preserve.bundle.verification import verify_tree
from hstu_preserve.errors import DataMismatchError, UsageError
from hstu_preserve.event_files.reader import read_scalars
from hstu_preserve.primitives.metric_names import METRIC_NAMES
from hstu_preserve.primitives.voice import Progress, Voice
from hstu_preserve.records.claim import SelectionRule
from hstu_preserve.records.evaluation import ResultsRecord
from hstu_preserve.records.manifest import RunRecord
from hstu_preserve.records.verification import DeepCheck
from hstu_preserve.reruns.consistency import check_tree
from hstu_preserve.training.checkpoint import read_checkpoint
from hstu_preserve.verbs.data import synthesize_data
from hstu_preserve.verbs.evaluate import evaluate
from hstu_preserve.verbs.train import train
from tests.forked import start_program
from tests.runs.tiny_run import tiny_gin

GIN = tiny_gin(sampling_strategy="local", learning_rate=0.01, num_epochs=6, local_batch_size=32, eval_interval=4)
NUM_USERS, NUM_EPOCHS, STEPS_PER_EPOCH = 80, 6, 3


def list_checks(path: Path) -> tuple[DeepCheck, ...]:
    with open_verified(path, known=None) as tree:
        return check_tree(tree)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("data") / "store"
    synthesize_data(seed=5, num_users=NUM_USERS, num_items=120, num_ratings=2000, output=path)
    return path


def write_gin(folder: Path, extra: str = "") -> Path:
    path = folder / "experiment.gin"
    path.write_text(GIN + extra)
    return path


@pytest.fixture(scope="module")
def run(store: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    train(write_gin(folder), data=store, device="cpu", output=folder / "run")
    return folder / "run"


def test_a_finished_run_is_sealed_and_verifies(run: Path) -> None:
    assert verify_tree(run).ok
    manifest = read_tree_manifest(run).manifest
    results = ResultsRecord.from_json((run / METRICS).read_bytes(), source=METRICS)
    assert [claim.value for claim in manifest.claims] == [results.final.metrics["ndcg@10"]]
    assert (manifest.claims[0].epoch, results.final.part) == (NUM_EPOCHS - 1, "test")
    assert results.final == results.epochs[-1]
    assert (run / RANKS).exists()


def test_every_step_is_recorded_exactly_and_in_the_event_file_under_upstreams_tags(run: Path) -> None:
    lines = [json.loads(line) for line in (run / STEPS).read_text().splitlines()]
    assert [line["step"] for line in lines] == list(range(NUM_EPOCHS * STEPS_PER_EPOCH))
    (path,) = (run / "tb").rglob("events.out.tfevents.*")
    points = read_scalars(path)
    losses = [point for point in points if point.tag == "losses/ar_loss"]
    assert [point.step for point in losses] == [line["step"] for line in lines]
    assert [point.value for point in losses] == pytest.approx([float.fromhex(line["loss"]) for line in lines], rel=1e-6)
    assert [point.step for point in points if point.tag == "lr"] == list(range(0, len(lines), 4))
    for metric in METRIC_NAMES:
        assert [point.step for point in points if point.tag == f"eval_epoch/{metric}"] == list(range(NUM_EPOCHS))


def test_the_main_loss_of_the_event_file_is_without_the_auxiliary_one_which_has_a_tag_of_its_own(
    store: Path, tmp_path: Path
) -> None:
    gin = write_gin(tmp_path, 'train_fn.num_epochs = 2\nprism.variant = "moe"\nprism.load_balance_weight = 0.5\n')
    train(gin, data=store, device="cpu", output=tmp_path / "run")
    (path,) = (tmp_path / "run" / "tb").rglob("events.out.tfevents.*")
    points = read_scalars(path)
    whole, main, balance = (
        [point.value for point in points if point.tag == f"losses/{name}"]
        for name in ("ar_loss", "main_loss", "prism_load_balance")
    )
    assert len(balance) == 2 * STEPS_PER_EPOCH
    assert min(balance) >= 0.999
    assert whole == pytest.approx([one + 0.5 * other for one, other in zip(main, balance, strict=True)], rel=1e-6)
    assert all(check.passed for check in list_checks(tmp_path / "run"))


def test_the_model_learns_on_synthetic_data(run: Path) -> None:
    results = ResultsRecord.from_json((run / METRICS).read_bytes(), source=METRICS)
    by_chance = 10 / 120
    assert results.final.value_of("hr@10") > 1.5 * by_chance


def test_the_checkpoint_is_named_as_upstream_names_it_without_a_date(run: Path) -> None:
    before, checkpoint = sorted((run / "ckpts").iterdir())
    assert before.name == checkpoint.name.removesuffix("5") + "4", "the one that the run can be resumed from"
    assert checkpoint.name == (
        "HSTU-b2-h1-dqk64-dv64-lsilud0.0-ad0.0_DotProduct_local-l2-eps1e-06_ssl-t0.05-n16-b32-lr0.01-wu0-wd0-notf32_ep5"
    )
    content = read_checkpoint(checkpoint).content
    assert (content["epoch"], content["batch_id"]) == (NUM_EPOCHS - 1, NUM_EPOCHS * STEPS_PER_EPOCH)


def test_the_policy_is_written_before_the_first_step(store: Path, tmp_path: Path) -> None:
    class FirstStepError(Exception):
        pass

    def stop(progress: Progress) -> None:
        raise FirstStepError

    gin = write_gin(tmp_path, 'claim.metric = "hr@10"\nclaim.margin = 0.01\nclaim.margin_derivation = "a guess"\n')
    with pytest.raises(FirstStepError):
        train(gin, data=store, device="cpu", output=tmp_path / "run", voice=Voice(show=stop))
    record = RunRecord.from_json((tmp_path / "run" / RUN_RECORD).read_bytes(), source=RUN_RECORD)
    assert [(policy.metric, policy.margin) for policy in record.policies] == [("hr@10", 0.01)]
    assert record.data.fingerprint
    assert not (tmp_path / "run" / "MANIFEST.json").exists()


def test_validated_reports_the_test_number_of_the_best_validation_epoch(store: Path, tmp_path: Path) -> None:
    result = train(
        write_gin(tmp_path, 'data.protocol = "validated"\n'), data=store, device="cpu", output=tmp_path / "run"
    )
    curve = [epoch.value_of("ndcg@10") for epoch in result.results.epochs]
    assert {epoch.part for epoch in result.results.epochs} == {"validation"}
    best = curve.index(max(curve))
    (claim,) = result.claims
    assert (claim.epoch, claim.policy.selection_rule) == (best, SelectionRule.BEST_ON_VALIDATION)
    assert (result.results.final.part, result.results.final.epoch) == ("test", best)
    kept = {int(path.name.rpartition("_ep")[2]) for path in (tmp_path / "run" / "ckpts").iterdir()}
    assert kept == {best, NUM_EPOCHS - 2, NUM_EPOCHS - 1}
    again = evaluate(tmp_path / "run", data=store, device="cpu")
    assert again.evaluation == result.results.final


def test_training_stops_when_its_patience_is_at_its_end(store: Path, tmp_path: Path) -> None:
    extra = (
        'data.protocol = "validated"\ntrain_fn.num_epochs = 30\ntraining.patience = 2\ntrain_fn.learning_rate = 0.05\n'
    )
    train(write_gin(tmp_path, extra), data=store, device="cpu", output=tmp_path / "run")
    results = ResultsRecord.from_json((tmp_path / "run" / METRICS).read_bytes(), source=METRICS)
    curve = [epoch.value_of("ndcg@10") for epoch in results.epochs]
    assert len(curve) < 30
    assert len(curve) - 1 == curve.index(max(curve)) + 2
    assert results.final.epoch == curve.index(max(curve))
    epochs = sorted(read_checkpoint(path).epoch for path in (tmp_path / "run" / "ckpts").iterdir())
    assert epochs == [results.final.epoch, len(curve) - 1]
    assert verify_tree(tmp_path / "run").ok


def test_partial_evaluation_ranks_a_drawn_share_and_full_epochs_get_their_own_tags(store: Path, tmp_path: Path) -> None:
    extra = "train_fn.full_eval_every_n = 2\ntrain_fn.partial_eval_num_iters = 1\ntrain_fn.eval_batch_size = 30\n"
    result = train(write_gin(tmp_path, extra), data=store, device="cpu", output=tmp_path / "run")
    assert [epoch.num_users for epoch in result.results.epochs] == [NUM_USERS, 30] * 3
    assert result.results.final.num_users == NUM_USERS
    (path,) = (tmp_path / "run" / "tb").rglob("events.out.tfevents.*")
    full = [point.step for point in read_scalars(path) if point.tag == "eval_epoch_full/ndcg@10"]
    assert full == [0, 2, 4]


def test_data_that_may_not_travel_is_never_included(store: Path, tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir()
    for file in store.iterdir():
        (closed / file.name).write_bytes(file.read_bytes())
    record = json.loads((closed / "store.json").read_text())
    record["provenance"]["redistributable"] = False
    (closed / "store.json").write_text(json.dumps(record))
    with pytest.raises(UsageError, match="may not be redistributed"):
        train(write_gin(tmp_path, "bundle.include_data = True\n"), data=closed, device="cpu", output=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_pinned_fingerprint_is_held(store: Path, tmp_path: Path) -> None:
    with pytest.raises(DataMismatchError, match=f"expected fingerprint {'0' * 64}"):
        train(
            write_gin(tmp_path, f'data.fingerprint = "{"0" * 64}"\n'),
            data=store,
            device="cpu",
            output=tmp_path / "run",
        )


@pytest.mark.parametrize(("number", "exit_code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupted_training_leaves_no_half_written_file(
    number: signal.Signals, exit_code: int, store: Path, tmp_path: Path
) -> None:
    gin = write_gin(tmp_path, "train_fn.num_epochs = 100000\n")
    process = start_program("train", str(gin), "--data", str(store), "--output", "run", cwd=tmp_path)
    deadline = time.monotonic() + 600
    while not (tmp_path / "run" / STEPS).exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(number)
    _, errors = process.communicate(timeout=600)
    assert process.returncode == exit_code, errors
    assert "Traceback" not in errors
    assert not list(tmp_path.rglob("*.tmp"))
    assert not (tmp_path / "run" / "MANIFEST.json").exists()
