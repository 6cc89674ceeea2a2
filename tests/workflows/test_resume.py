"""`--resume`: the same run goes on, another one is refused, what is damaged is gone round and said."""

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from hstu_preserve.bundle.layout import CHECKPOINT_FOLDER, METRICS, RUN_RECORD, STEPS
from hstu_preserve.bundle.tree import read_tree_manifest, record_files, seal
from hstu_preserve.bundle.verification import verify_tree
from hstu_preserve.errors import CheckpointError, DataMismatchError, PreserveError, UnavailableError, UsageError
from hstu_preserve.records.evaluation import ResultsRecord
from hstu_preserve.records.manifest import RunRecord
from hstu_preserve.training.checkpoint import read_checkpoint, write_checkpoint
from hstu_preserve.workflows import train as train_module
from hstu_preserve.workflows.conduct import Durability
from hstu_preserve.workflows.data import synthesize_data
from hstu_preserve.workflows.evaluate import evaluate_file
from hstu_preserve.workflows.progress import Progress
from hstu_preserve.workflows.reproduce import reproduce
from hstu_preserve.workflows.train import train
from tests.workflows.killing import summarize

GIN = """
train_fn.dataset_name = "synthetic"
train_fn.max_sequence_length = 20
train_fn.main_module = "HSTU"
train_fn.item_embedding_dim = 16
train_fn.sampling_strategy = "local"
train_fn.num_negatives = 16
train_fn.item_l2_norm = True
train_fn.weight_decay = 0
train_fn.learning_rate = 0.01
train_fn.num_epochs = 4
train_fn.local_batch_size = 16
train_fn.eval_interval = 2
"""
STEPS_PER_EPOCH, NUM_STEPS = 3, 12


class CrashError(Exception):
    """What ends a run in these tests: it comes from outside and is caught nowhere."""


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("data") / "store"
    synthesize_data(seed=5, num_users=40, num_items=80, num_ratings=1000, output=path)
    return path


@pytest.fixture(scope="module")
def undisturbed(store: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    folder = tmp_path_factory.mktemp("undisturbed")
    train(write_gin(folder), data=store, device="cpu", output=folder / "run")
    return summarize(folder / "run")


def write_gin(folder: Path, extra: str = "") -> Path:
    path = folder / "experiment.gin"
    path.write_text(GIN + extra)
    return path


def crash_after(num_steps: int) -> Callable[[Progress], None]:
    def listen(progress: Progress) -> None:
        if progress.activity.startswith("epoch") and progress.completed > num_steps:
            raise CrashError

    return listen


@pytest.fixture
def crashed(store: Path, tmp_path: Path) -> Path:
    """A run that crashed within its third epoch, with a checkpoint after every step."""
    with pytest.raises(CrashError):
        train(
            write_gin(tmp_path),
            data=store,
            device="cpu",
            output=tmp_path / "run",
            durability=Durability(minutes=0),
            listener=crash_after(7),
        )
    return tmp_path / "run"


def list_names(run: Path) -> list[str]:
    """What the run's checkpoints are called after its own name, the newest first."""
    names = [path.name.rpartition("_")[2] for path in (run / CHECKPOINT_FOLDER).iterdir()]
    return sorted(names, key=lambda name: -int(name.removeprefix("step").removeprefix("ep")))


def find(run: Path, word: str) -> Path:
    (path,) = (run / CHECKPOINT_FOLDER).glob(f"*_{word}")
    return path


def resume(run: Path, store: Path, **durability: float) -> list[str]:
    """Go on and return what was announced."""
    announced: list[str] = []
    train(
        run.parent / "experiment.gin",
        data=store,
        device="cpu",
        output=run,
        durability=Durability(resume=True, **durability),  # type: ignore[arg-type]  # numbers by name
        announce=announced.append,
    )
    return announced


def list_tree(run: Path) -> dict[str, bytes]:
    return {path.relative_to(run).as_posix(): path.read_bytes() for path in run.rglob("*") if path.is_file()}


def test_a_crashed_run_goes_on_from_its_newest_checkpoint_and_says_so(
    crashed: Path, store: Path, undisturbed: dict[str, object]
) -> None:
    assert list_names(crashed) == ["step7", "step6"]
    announced = resume(crashed, store)
    assert any("resuming from" in line and "_step7: epoch 2, 7 steps done" in line for line in announced)
    assert summarize(crashed) == undisturbed
    assert verify_tree(crashed).ok
    assert list_names(crashed) == ["ep3", "ep2"]


def test_a_damaged_newest_checkpoint_is_gone_round_loudly(
    crashed: Path, store: Path, undisturbed: dict[str, object]
) -> None:
    newest = find(crashed, "step7")
    newest.write_bytes(newest.read_bytes()[:-2000])
    announced = resume(crashed, store)
    assert any(line.startswith("warning:") and "_step7" in line and "going back" in line for line in announced)
    assert any("resuming from" in line and "_step6" in line for line in announced)
    assert summarize(crashed) == undisturbed


def test_where_no_checkpoint_is_whole_nothing_is_touched(crashed: Path, store: Path) -> None:
    for path in (crashed / CHECKPOINT_FOLDER).iterdir():
        path.write_bytes(b"damaged")
    before = list_tree(crashed)
    with pytest.raises(CheckpointError, match="no checkpoint is usable"):
        resume(crashed, store)
    assert list_tree(crashed) == before


@pytest.mark.parametrize("tail", [b"half a record", b"\0" * 5000])
def test_what_was_logged_after_the_checkpoint_is_cut_off(
    tail: bytes, crashed: Path, store: Path, undisturbed: dict[str, object]
) -> None:
    (events,) = (crashed / "tb").rglob("events.*")
    for path in (events, crashed / STEPS):
        with path.open("ab") as stream:
            stream.write(tail)
    resume(crashed, store)
    assert summarize(crashed) == undisturbed


@pytest.mark.parametrize("log", ["tb", "steps"])
def test_logs_that_end_before_the_newest_checkpoint_send_it_back(
    log: str, crashed: Path, store: Path, undisturbed: dict[str, object]
) -> None:
    (events,) = (crashed / "tb").rglob("events.*")
    path = events if log == "tb" else crashed / STEPS
    journal = json.loads(str(read_checkpoint(find(crashed, "step7")).content["journal"]))
    length = journal["event_bytes"] if log == "tb" else journal["step_bytes"]
    path.write_bytes(path.read_bytes()[: length - 5])
    announced = resume(crashed, store)
    assert any("_step6" in line for line in announced if line.startswith("resuming"))
    assert summarize(crashed) == undisturbed


def test_an_event_file_damaged_at_its_beginning_cannot_be_mended(crashed: Path, store: Path) -> None:
    (events,) = (crashed / "tb").rglob("events.*")
    content = bytearray(events.read_bytes())
    content[40] ^= 1
    events.write_bytes(content)
    with pytest.raises(CheckpointError, match=r"no checkpoint is usable .*events\.out"):
        resume(crashed, store)


def test_without_its_event_file_a_run_is_not_resumed(crashed: Path, store: Path) -> None:
    (events,) = (crashed / "tb").rglob("events.*")
    events.unlink()
    with pytest.raises(UnavailableError, match="holds 0 event files"):
        resume(crashed, store)


def test_another_recipe_is_refused_by_the_names_of_its_settings(crashed: Path, store: Path) -> None:
    write_gin(crashed.parent, "train_fn.temperature = 0.1\nclaim.margin = 0.5\nclaim.margin_derivation = 'later'\n")
    before = list_tree(crashed)
    with pytest.raises(UsageError, match=r"policies\.0\.margin: None then, 0\.5 now.*recipe\.loss\.temperature: 0\.05"):
        resume(crashed, store)
    assert list_tree(crashed) == before


def test_other_data_is_refused_with_both_fingerprints(crashed: Path, tmp_path: Path) -> None:
    other = synthesize_data(seed=6, num_users=40, num_items=80, num_ratings=1000, output=tmp_path / "other")
    with pytest.raises(DataMismatchError, match=other.store.fingerprint):
        resume(crashed, tmp_path / "other")


def test_data_that_was_changed_under_its_record_is_refused_and_the_array_named(
    crashed: Path, store: Path, tmp_path: Path
) -> None:
    damaged = shutil.copytree(store, tmp_path / "damaged")
    np.save(damaged / "item_ids.npy", np.zeros_like(np.load(damaged / "item_ids.npy")))
    before = list_tree(crashed)
    with pytest.raises(DataMismatchError, match=r"item_ids .expected sha256"):
        resume(crashed, damaged)
    assert list_tree(crashed) == before
    gin = crashed.parent / "experiment.gin"
    with pytest.raises(DataMismatchError, match=r"item_ids .expected sha256"):
        train(gin, data=damaged, device="cpu", output=tmp_path / "new")
    assert not (tmp_path / "new").exists()
    with pytest.raises(DataMismatchError, match=r"item_ids .expected sha256"):
        evaluate_file(find(crashed, "step7"), gin=gin, data=damaged, device="cpu")


def test_another_number_of_processes_is_refused(crashed: Path, store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    record = json.loads((crashed / RUN_RECORD).read_bytes())
    record["environment"]["numerics"]["processes"] = 2
    (crashed / RUN_RECORD).write_text(json.dumps(record))
    with pytest.raises(UsageError, match="processes: 2 then, 1 now"):
        resume(crashed, store)


@pytest.mark.parametrize(
    ("name", "value", "error"),
    [
        ("recipe_sha256", "1" * 64, UsageError),
        ("data_fingerprint", "1" * 64, DataMismatchError),
        ("world_size", 2, UsageError),
    ],
)
def test_a_checkpoint_of_another_run_is_refused(
    name: str, value: object, error: type[PreserveError], crashed: Path, store: Path
) -> None:
    newest = find(crashed, "step7")
    write_checkpoint(newest, read_checkpoint(newest).content | {name: value})
    with pytest.raises(error, match="_step7: of "):
        resume(crashed, store)


def test_a_checkpoint_without_a_journal_is_gone_round(crashed: Path, store: Path) -> None:
    newest = find(crashed, "step7")
    content = read_checkpoint(newest).content
    del content["journal"]
    write_checkpoint(newest, content)
    assert any("holds no journal" in line for line in resume(crashed, store))


def test_what_an_interrupted_write_left_is_removed(crashed: Path, store: Path, undisturbed: dict[str, object]) -> None:
    (crashed / CHECKPOINT_FOLDER / ".x_step8.abcd.tmp").write_bytes(b"half a checkpoint")
    resume(crashed, store)
    assert summarize(crashed) == undisturbed


def test_resume_of_a_finished_run_changes_nothing(crashed: Path, store: Path) -> None:
    resume(crashed, store)
    before = list_tree(crashed)
    assert resume(crashed, store) == [f"{crashed}: the run is finished; nothing is left to resume"]
    assert list_tree(crashed) == before


def test_resume_starts_a_run_that_is_not_there_yet(store: Path, tmp_path: Path, undisturbed: dict[str, object]) -> None:
    write_gin(tmp_path)
    announced = resume(tmp_path / "run", store)
    assert any("starting from the beginning" in line for line in announced)
    assert summarize(tmp_path / "run") == undisturbed


def test_a_run_without_resume_is_not_overwritten_and_the_option_is_named(crashed: Path, store: Path) -> None:
    with pytest.raises(UsageError, match="--resume"):
        train(crashed.parent / "experiment.gin", data=store, device="cpu", output=crashed)


def test_a_folder_that_is_no_run_is_not_taken_for_one(store: Path, tmp_path: Path) -> None:
    write_gin(tmp_path)
    (tmp_path / "run").mkdir()
    (tmp_path / "run/thesis.tex").write_text("precious")
    with pytest.raises(UsageError, match=r"thesis\.tex"):
        resume(tmp_path / "run", store)
    assert list_tree(tmp_path / "run") == {"thesis.tex": b"precious"}


@pytest.mark.parametrize(("num_kept", "names"), [(1, ["ep3"]), (2, ["ep3", "ep2"]), (0, ["ep3", "ep2", "ep1"])])
def test_the_newest_checkpoints_are_kept(num_kept: int, names: list[str], store: Path, tmp_path: Path) -> None:
    gin = write_gin(tmp_path, "train_fn.save_ckpt_every_n = 1\n")
    train(gin, data=store, device="cpu", output=tmp_path / "run", durability=Durability(num_kept=num_kept))
    assert list_names(tmp_path / "run") == names


def test_the_best_checkpoint_is_kept_however_old(store: Path, tmp_path: Path) -> None:
    gin = write_gin(tmp_path, 'data.protocol = "validated"\ntrain_fn.learning_rate = 1e-9\n')
    result = train(gin, data=store, device="cpu", output=tmp_path / "run", durability=Durability(num_kept=1))
    best = max(range(4), key=lambda epoch: result.results.epochs[epoch].metrics["ndcg@10"])
    assert best < 3
    assert list_names(tmp_path / "run") == ["ep3", f"ep{best}"]


def test_a_run_that_went_on_elsewhere_says_so_and_is_not_judged_bitwise(
    crashed: Path, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(train_module, "list_changes", lambda *_: ["threads: 2 here, 64 recorded"])
    assert any("bits may differ" in line for line in resume(crashed, store))
    results = ResultsRecord.from_json((crashed / METRICS).read_bytes(), source=METRICS)
    assert [(one.batch_id, one.differences) for one in results.resumptions] == [(7, ("threads: 2 here, 64 recorded",))]


def test_the_resume_rung_continues_a_resumed_run(crashed: Path, store: Path) -> None:
    resume(crashed, store)
    reproduction = reproduce(crashed, rungs=("resume",), data=store, device="cpu")
    outcomes = {verdict.rung.value: verdict.outcome.value for verdict in reproduction.verdicts}
    assert outcomes["resume-bitwise"] == "REPRODUCED_BITWISE"
    assert reproduction.exit_code == 0


FILE_LIMIT = """
import resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, resource.RLIM_INFINITY))
from hstu_preserve.cli.main import run
run()
"""


def start(arguments: list[str], *, prefix: tuple[str, ...] = ("-m", "hstu_preserve")) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, *prefix, "train", *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def test_a_full_disk_ends_a_run_with_4_and_leaves_what_was_there(
    crashed: Path, store: Path, undisturbed: dict[str, object]
) -> None:
    before = list_tree(crashed / CHECKPOINT_FOLDER)
    arguments = [str(crashed.parent / "experiment.gin"), "--data", str(store), "--output", str(crashed), "--resume"]
    process = start([*arguments, "--checkpoint-minutes", "0"], prefix=("-c", FILE_LIMIT.format(limit=40_000)))
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 4, errors
    assert "cannot be written" in errors
    assert "Traceback" not in errors
    assert list_tree(crashed / CHECKPOINT_FOLDER) == before
    resume(crashed, store)
    assert summarize(crashed) == undisturbed


@pytest.mark.parametrize("limit", [6_000, 60_000])
def test_a_disk_that_the_logs_fill_ends_a_run_with_4(limit: int, store: Path, tmp_path: Path) -> None:
    gin = write_gin(tmp_path, "train_fn.num_epochs = 100000\n")
    prefix = ("-c", FILE_LIMIT.format(limit=limit))
    process = start([str(gin), "--data", str(store), "--output", str(tmp_path / "run")], prefix=prefix)
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 4, errors
    assert "events.out.tfevents" in errors
    assert "cannot be written" in errors
    assert "Traceback" not in errors


def test_a_file_system_that_became_read_only_ends_a_run_and_leaves_what_was_there(
    crashed: Path, store: Path, undisturbed: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = list_tree(crashed / CHECKPOINT_FOLDER)

    def refuse(**_: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    with monkeypatch.context() as patch:
        patch.setattr("tempfile.mkstemp", refuse)
        with pytest.raises(UnavailableError, match=r"cannot be written .*[Rr]ead-only"):
            resume(crashed, store, minutes=0)
    assert list_tree(crashed / CHECKPOINT_FOLDER) == before
    resume(crashed, store)
    assert summarize(crashed) == undisturbed


def test_an_output_that_cannot_be_written_is_named(store: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises((UnavailableError, UsageError), match="file"):
        train(write_gin(tmp_path), data=store, device="cpu", output=tmp_path / "file/run")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_saves_the_run_before_it_is_left(
    number: signal.Signals, code: int, store: Path, tmp_path: Path
) -> None:
    gin = write_gin(tmp_path, "train_fn.num_epochs = 100000\n")
    arguments = [str(gin), "--data", str(store), "--output", str(tmp_path / "run"), "--device", "cpu"]
    process = start(arguments)
    steps = tmp_path / "run" / STEPS
    deadline = time.monotonic() + 120
    while not (steps.exists() and steps.stat().st_size) and time.monotonic() < deadline:
        time.sleep(0.05)
    os.kill(process.pid, number)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == code, errors
    assert "--resume" in errors
    assert "Traceback" not in errors
    (saved,) = (path for path in (tmp_path / "run" / CHECKPOINT_FOLDER).iterdir() if "_step" in path.name)
    done = read_checkpoint(saved).content["batch_id"]
    assert (tmp_path / "run" / STEPS).read_bytes().count(b"\n") == done
    assert RunRecord.from_json((tmp_path / "run" / RUN_RECORD).read_bytes(), source=RUN_RECORD)


@pytest.fixture
def finished(crashed: Path, store: Path) -> Path:
    resume(crashed, store)
    return crashed


def judge(run: Path, store: Path, *, max_steps: int | None = None) -> tuple[str, str, int]:
    """Return outcome and reason on the rung, and the exit code."""
    reproduction = reproduce(run, rungs=("resume",), data=store, device="cpu", max_steps=max_steps)
    verdict = reproduction.verdicts[-1]
    assert verdict.rung.value == "resume-bitwise"
    return verdict.outcome.value, verdict.reason, reproduction.exit_code


def reseal(run: Path) -> None:
    """Write the manifest anew, as somebody would who changed what a run recorded."""
    manifest = read_tree_manifest(run).manifest
    checkpoint = max((run / CHECKPOINT_FOLDER).iterdir(), key=lambda path: int(path.name.rpartition("_ep")[2]))
    contents = record_files(run)
    changed = {"contents": contents, "checkpoint": checkpoint.relative_to(run).as_posix()}
    seal(run, manifest=manifest.model_copy(update=changed))


def test_the_resume_rung_can_stop_early(finished: Path, store: Path) -> None:
    outcome, reason, code = judge(finished, store, max_steps=2)
    assert (outcome, code) == ("REPRODUCED_BITWISE", 0)
    assert reason.startswith("2 steps as far as was asked")


def test_the_resume_rung_refutes_a_changed_loss(finished: Path, store: Path) -> None:
    lines = (finished / STEPS).read_text().splitlines()
    last = json.loads(lines[-1])
    lines[-1] = json.dumps(last | {"loss": (float.fromhex(last["loss"]) * (1 + 2**-20)).hex()})
    (finished / STEPS).write_text("\n".join(lines) + "\n")
    reseal(finished)
    outcome, reason, code = judge(finished, store)
    assert (outcome, code) == ("NOT_REPRODUCED", 5)
    assert "step 3 of 3 has another loss" in reason


def test_the_resume_rung_is_not_run_without_an_earlier_checkpoint(finished: Path, store: Path) -> None:
    find(finished, "ep2").unlink()
    reseal(finished)
    outcome, reason, code = judge(finished, store)
    assert (outcome, code) == ("NOT_RUN", 6)
    assert "none before the last" in reason


def test_the_resume_rung_is_not_run_without_every_step(finished: Path, store: Path) -> None:
    lines = (finished / STEPS).read_text().splitlines()
    (finished / STEPS).write_text("\n".join([*lines[:10], *lines[11:]]) + "\n")
    reseal(finished)
    outcome, reason, code = judge(finished, store)
    assert (outcome, code) == ("NOT_RUN", 6)
    assert "does not record every step" in reason


def test_a_run_that_begins_anew_elsewhere_says_so_too(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gin, run = write_gin(tmp_path), tmp_path / "run"
    with pytest.raises(CrashError):
        train(gin, data=store, device="cpu", output=run, listener=crash_after(1))
    assert not (run / CHECKPOINT_FOLDER).exists()
    monkeypatch.setattr(train_module, "list_changes", lambda *_: ["threads: 2 here, 64 recorded"])
    resume(run, store)
    results = ResultsRecord.from_json((run / METRICS).read_bytes(), source=METRICS)
    assert [one.batch_id for one in results.resumptions] == [0]
