"""`--resume`: the same run goes on, another one is refused, what is damaged is gone round and said."""

import errno
import json
import os
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from hstu_preserve.bundle.layout import CHECKPOINT_FOLDER, EVENTS_FOLDER, METRICS, RUN_RECORD, STEPS
from hstu_preserve.bundle.verification import verify_tree
from hstu_preserve.compute.world import ALONE, T, World
from hstu_preserve.errors import (
    CheckpointError,
    ContentError,
    DataMismatchError,
    PreserveError,
    UnavailableError,
    UsageError,
)
from hstu_preserve.primitives.temporaries import MARK
from hstu_preserve.primitives.voice import Voice
from hstu_preserve.records.evaluation import ResultsRecord
from hstu_preserve.records.manifest import RunRecord
from hstu_preserve.runs import training as training_module
from hstu_preserve.runs.durability import Durability
from hstu_preserve.runs.journal import JournalRecord
from hstu_preserve.runs.resume_point import ResumePoint, require_one_view
from hstu_preserve.training.checkpoint import read_checkpoint, write_checkpoint
from hstu_preserve.verbs.data import synthesize_data
from hstu_preserve.verbs.evaluate import evaluate_file
from hstu_preserve.verbs.reproduce import reproduce
from hstu_preserve.verbs.train import train
from tests.forked import run_in_words, start_program
from tests.runs.crashing import CrashError, crash_after, find, list_names, list_tree, resume, write_gin
from tests.runs.killing import summarize


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


@pytest.mark.parametrize("damage", ["checkpoint", "steps"])
def test_a_checkpoint_that_is_written_again_after_damage_stays(
    damage: str, store: Path, tmp_path: Path, undisturbed: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last one is damaged, the run goes back and trains that epoch anew, under the very same name."""
    monkeypatch.setattr(training_module, "seal_run", crash_before_sealing)
    with pytest.raises(CrashError):
        train(write_gin(tmp_path), data=store, device="cpu", output=tmp_path / "run")
    monkeypatch.undo()
    run = tmp_path / "run"
    damaged = find(run, "ep3") if damage == "checkpoint" else run / STEPS
    damaged.write_bytes(damaged.read_bytes()[:-5])
    assert any("resuming from" in line and "_ep2" in line for line in resume(run, store))
    assert list_names(run) == ["ep3", "ep2"]
    assert summarize(run) == undisturbed
    assert reproduce(run, data=store, device="cpu").exit_code == 0


def crash_before_sealing(*_: object, **__: object) -> None:
    raise CrashError


@pytest.mark.parametrize("damage", ["gone", "cut", "of another epoch"])
def test_a_lost_best_checkpoint_is_told_before_any_step_is_taken(damage: str, store: Path, tmp_path: Path) -> None:
    gin = write_gin(tmp_path, 'data.protocol = "validated"\ntrain_fn.learning_rate = 1e-9\n')
    run = tmp_path / "run"
    with pytest.raises(CrashError):
        train(
            gin,
            data=store,
            device="cpu",
            output=run,
            durability=Durability(num_kept=1),
            voice=Voice(show=crash_after(11)),
        )
    newest = max(map(int, (name.removeprefix("ep") for name in list_names(run))))
    best = min((run / CHECKPOINT_FOLDER).iterdir(), key=lambda path: int(path.name.rpartition("_ep")[2]))
    assert best != find(run, f"ep{newest}")
    if damage == "gone":
        best.unlink()
    elif damage == "cut":
        best.write_bytes(best.read_bytes()[:-2000])
    else:
        write_checkpoint(best, read_checkpoint(best).content | {"epoch": 9})
    steps = (run / STEPS).read_bytes()
    with pytest.raises(CheckpointError, match="the best checkpoint until then"):
        resume(run, store)
    assert (run / STEPS).read_bytes() == steps


class OtherView(World):
    """Another process beside this one, which sees another newest checkpoint."""

    def gather(self, value: T) -> list[T]:
        return [value, type(value)("run_step6")]  # type: ignore[call-arg]  # of text, here


def test_processes_that_see_different_checkpoints_do_not_go_on(crashed: Path) -> None:
    journal = JournalRecord(event_bytes=0, step_bytes=0, epochs=(), best=None, resumptions=())
    point = ResumePoint(checkpoint=read_checkpoint(find(crashed, "step7")), journal=journal)
    require_one_view(point, output=crashed, world=ALONE)
    with pytest.raises(UnavailableError, match=r"process 0: \S+_step7, process 1: run_step6"):
        require_one_view(point, output=crashed, world=OtherView())
    with pytest.raises(UnavailableError, match="process 0: the beginning"):
        require_one_view(None, output=crashed, world=OtherView())


def test_where_no_checkpoint_is_whole_nothing_is_touched(crashed: Path, store: Path) -> None:
    for path in (crashed / CHECKPOINT_FOLDER).iterdir():
        path.write_bytes(b"damaged")
    before = list_tree(crashed)
    with pytest.raises(CheckpointError, match="no checkpoint is usable") as raised:
        resume(crashed, store)
    assert str(raised.value).count("ckpts/") == 1
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
    with pytest.raises(ContentError, match=r"holds 0 event files.*put back what is missing, or train again"):
        resume(crashed, store)


def test_without_its_recorded_steps_no_checkpoint_is_blamed(crashed: Path, store: Path) -> None:
    (crashed / STEPS).unlink()
    announced: list[str] = []
    with pytest.raises(ContentError, match=r"steps\.jsonl is not there") as raised:
        resume(crashed, store, announced)
    assert "ckpts" not in str(raised.value)
    assert announced == []


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


def take_steps(theirs: Path, ours: Path) -> None:
    shutil.copy(theirs / STEPS, ours / STEPS)


def take_event_file(theirs: Path, ours: Path) -> None:
    ((source,), (place,)) = ([*(run / EVENTS_FOLDER).rglob("events.out.tfevents.*")] for run in (theirs, ours))
    shutil.copy(source, place)


def take_both(theirs: Path, ours: Path) -> None:
    take_steps(theirs, ours)
    take_event_file(theirs, ours)


def edit_a_loss(theirs: Path, ours: Path) -> None:
    text = (ours / STEPS).read_text()
    at = text.index('"loss":"0x1.') + len('"loss":"0x1.')
    (ours / STEPS).write_text(text[:at] + ("1" if text[at] == "0" else "0") + text[at + 1 :])


@pytest.mark.parametrize(
    "mix_up", [take_steps, take_event_file, take_both, edit_a_loss], ids=lambda mix_up: mix_up.__name__
)
def test_logs_of_another_run_are_not_gone_on_with(
    mix_up: Callable[[Path, Path], None], crashed: Path, store: Path, tmp_path: Path
) -> None:
    """A run of the same recipe but for its seed has logs of the same shape."""
    other = tmp_path / "other"
    other.mkdir()
    gin = write_gin(other, "train_fn.random_seed = 7\n")
    train(gin, data=store, device="cpu", output=other / "run")
    mix_up(other / "run", crashed)
    before = list_tree(crashed)
    with pytest.raises(ContentError, match="as of another run"):
        resume(crashed, store)
    assert list_tree(crashed) == before


def test_what_an_interrupted_write_left_is_removed(crashed: Path, store: Path, undisturbed: dict[str, object]) -> None:
    half = crashed / CHECKPOINT_FOLDER / f".x_step8.a1b2c3d4{MARK}"
    half.write_bytes(b"half a checkpoint")
    theirs = [crashed / CHECKPOINT_FOLDER / ".notes.tmp", crashed / EVENTS_FOLDER / ".draft.abcdefgh.tmp"]
    for path in theirs:
        path.write_text("precious")
    resume(crashed, store)
    assert not half.exists()
    assert {path.read_text() for path in theirs} == {"precious"}
    for path in theirs:
        path.unlink()
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
    best = max(range(4), key=lambda epoch: result.results.epochs[epoch].value_of("ndcg@10"))
    assert best < 3
    assert list_names(tmp_path / "run") == ["ep3", f"ep{best}"]


def test_a_run_that_went_on_elsewhere_says_so_and_is_not_judged_bitwise(
    crashed: Path, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training_module, "list_changes", lambda *_: ["threads: 2 here, 64 recorded"])
    assert any("bits may differ" in line for line in resume(crashed, store))
    results = ResultsRecord.from_json((crashed / METRICS).read_bytes(), source=METRICS)
    assert [(one.batch_id, one.differences) for one in results.resumptions] == [(7, ("threads: 2 here, 64 recorded",))]


FILE_LIMIT = """
import resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, resource.RLIM_INFINITY))
from hstu_preserve.cli.main import run
run()
"""


def test_a_full_disk_ends_a_run_with_4_and_leaves_what_was_there(
    crashed: Path, store: Path, undisturbed: dict[str, object]
) -> None:
    before = list_tree(crashed / CHECKPOINT_FOLDER)
    arguments = [str(crashed.parent / "experiment.gin"), "--data", str(store), "--output", str(crashed), "--resume"]
    arguments += ["--checkpoint-minutes", "0"]
    result = run_in_words("train", *arguments, program=FILE_LIMIT.format(limit=40_000))
    errors = result.stderr
    assert result.returncode == 4, errors
    assert "cannot be written" in errors
    assert "Traceback" not in errors
    assert list_tree(crashed / CHECKPOINT_FOLDER) == before
    resume(crashed, store)
    assert summarize(crashed) == undisturbed


@pytest.mark.parametrize("limit", [6_000, 60_000])
def test_a_disk_that_the_logs_fill_ends_a_run_with_4(limit: int, store: Path, tmp_path: Path) -> None:
    gin = write_gin(tmp_path, "train_fn.num_epochs = 100000\n")
    arguments = [str(gin), "--data", str(store), "--output", str(tmp_path / "run")]
    result = run_in_words("train", *arguments, program=FILE_LIMIT.format(limit=limit))
    errors = result.stderr
    assert result.returncode == 4, errors
    assert "events.out.tfevents" in errors
    assert "cannot be written" in errors
    assert "Traceback" not in errors


def test_a_file_system_that_became_read_only_ends_a_run_and_leaves_what_was_there(
    crashed: Path, store: Path, undisturbed: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = list_tree(crashed / CHECKPOINT_FOLDER)

    system_open = os.open

    def refuse(path: str | Path, flags: int, mode: int = 0o777, **named: int) -> int:
        if flags & os.O_CREAT:
            raise OSError(errno.EROFS, os.strerror(errno.EROFS))
        return system_open(path, flags, mode, **named)

    with monkeypatch.context() as patch:
        patch.setattr("os.open", refuse)
        with pytest.raises(UnavailableError, match=r"cannot be written .*[Rr]ead-only"):
            resume(crashed, store, minutes=0)
    assert list_tree(crashed / CHECKPOINT_FOLDER) == before
    resume(crashed, store)
    assert summarize(crashed) == undisturbed


def test_an_output_that_cannot_be_written_is_named(store: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises((UnavailableError, UsageError), match="file"):
        train(write_gin(tmp_path), data=store, device="cpu", output=tmp_path / "file/run")


@pytest.mark.parametrize(("number", "code", "is_heard"), [(signal.SIGTERM, 143, True), (signal.SIGINT, 130, False)])
def test_a_signal_saves_the_run_before_it_is_left(
    number: signal.Signals, code: int, is_heard: bool, store: Path, tmp_path: Path
) -> None:
    """Also where whoever read its messages is gone, as `tee` is once it had the same SIGINT."""
    gin = write_gin(tmp_path, "train_fn.num_epochs = 100000\n")
    arguments = [str(gin), "--data", str(store), "--output", str(tmp_path / "run"), "--device", "cpu"]
    reading, writing = os.pipe()
    heard = None if is_heard else writing
    process = start_program("train", *arguments, stdout=heard, stderr=heard)
    steps = tmp_path / "run" / STEPS
    deadline = time.monotonic() + 600
    while not (steps.exists() and steps.stat().st_size) and time.monotonic() < deadline:
        time.sleep(0.05)
    for descriptor in (reading, writing):  # from now on nobody reads
        os.close(descriptor)
    os.kill(process.pid, number)
    _, errors = process.communicate()
    assert process.wait() == code, errors
    assert ("--resume" in errors) is is_heard
    assert "Traceback" not in errors
    (saved,) = (path for path in (tmp_path / "run" / CHECKPOINT_FOLDER).iterdir() if "_step" in path.name)
    done = read_checkpoint(saved).content["batch_id"]
    assert (tmp_path / "run" / STEPS).read_bytes().count(b"\n") == done
    assert RunRecord.from_json((tmp_path / "run" / RUN_RECORD).read_bytes(), source=RUN_RECORD)


def test_a_run_that_begins_anew_elsewhere_says_so_too(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gin, run = write_gin(tmp_path), tmp_path / "run"
    with pytest.raises(CrashError):
        train(gin, data=store, device="cpu", output=run, voice=Voice(show=crash_after(1)))
    assert not (run / CHECKPOINT_FOLDER).exists()
    monkeypatch.setattr(training_module, "list_changes", lambda *_: ["threads: 2 here, 64 recorded"])
    resume(run, store)
    results = ResultsRecord.from_json((run / METRICS).read_bytes(), source=METRICS)
    assert [one.batch_id for one in results.resumptions] == [0]
