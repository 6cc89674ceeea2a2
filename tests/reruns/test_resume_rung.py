"""`reproduce --rung resume`: the recorded run is continued from its last checkpoint but one, and compared."""

import json
from pathlib import Path

import pytest

from hstu_preserve.bundle.layout import CHECKPOINT_FOLDER, RUN_RECORD, STEPS
from hstu_preserve.bundle.tree import read_tree_manifest, record_files, seal
from hstu_preserve.errors import ContentError
from hstu_preserve.primitives.voice import SILENT
from hstu_preserve.records.verdict import Verdict
from hstu_preserve.reruns.native import NativeRunner
from hstu_preserve.reruns.opened_bundle import OpenedBundle
from hstu_preserve.training.checkpoint import read_checkpoint, write_checkpoint
from hstu_preserve.verbs.reproduce import reproduce
from hstu_preserve.verbs.train import train
from hstu_preserve.verdict.rungs import choose_exit_code
from tests.runs.crashing import find, resume, write_gin


def judge_all(run: Path, store: Path, *, max_steps: int | None = None) -> list[Verdict]:
    """Judge the rung alone: the checks before it would refuse most of these runs, which contradict themselves."""
    bundle = OpenedBundle(root=run, manifest=read_tree_manifest(run).manifest)
    runner = NativeRunner(bundle, data=store, device="cpu", output=None, max_steps=max_steps, voice=SILENT)
    return runner.judge_resume()


def judge(run: Path, store: Path, *, max_steps: int | None = None) -> tuple[str, str, int]:
    """Return outcome and reason on the rung, and the exit code."""
    (verdict,) = judge_all(run, store, max_steps=max_steps)
    assert verdict.rung.value == "resume-bitwise"
    return verdict.outcome.value, verdict.reason, choose_exit_code([verdict])


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


@pytest.mark.parametrize("missing", [slice(10, 11), slice(11, 12), slice(10, 12), slice(9, 12)])
def test_the_resume_rung_is_not_run_without_every_step(missing: slice, finished: Path, store: Path) -> None:
    lines = (finished / STEPS).read_text().splitlines()
    del lines[missing]
    (finished / STEPS).write_text("".join(f"{line}\n" for line in lines))
    reseal(finished)
    outcome, reason, code = judge(finished, store)
    assert (outcome, code) == ("NOT_RUN", 6)
    assert "does not record every step" in reason


def test_the_resume_rung_continues_a_resumed_run(crashed: Path, store: Path) -> None:
    resume(crashed, store)
    reproduction = reproduce(crashed, rungs=("resume",), data=store, device="cpu")
    outcomes = {verdict.rung.value: verdict.outcome.value for verdict in reproduction.verdicts}
    assert outcomes["resume-bitwise"] == "REPRODUCED_BITWISE"
    assert reproduction.exit_code == 0


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"epoch": 3}, "not of the end of epoch 2, but 0 steps after epoch 3"),
        ({"epoch_steps": 2}, "not of the end of epoch 2, but 2 steps after epoch 2"),
        ({"batch_id": 12}, "after 12 steps, which is no step before"),
        ({"recipe_sha256": "0" * 64}, "of another recipe"),
    ],
)
def test_the_resume_rung_takes_no_other_checkpoint_for_the_one_before_the_last(
    change: dict[str, object], says: str, finished: Path, store: Path
) -> None:
    path = find(finished, "ep2")
    write_checkpoint(path, read_checkpoint(path).content | change)
    reseal(finished)
    with pytest.raises(ContentError, match=says):
        judge(finished, store)


def test_the_resume_rung_refutes_other_weights(finished: Path, store: Path) -> None:
    path = find(finished, "ep2")
    content = read_checkpoint(path).content
    weights = {name: weight * 0.5 for name, weight in read_checkpoint(path).weights.items()}
    write_checkpoint(path, content | {"model_state_dict": weights})
    reseal(finished)
    outcome, reason, code = judge(finished, store)
    assert (outcome, code) == ("NOT_REPRODUCED", 5)
    assert "step 1 of 3 has another loss" in reason


@pytest.mark.parametrize(
    ("dropout", "recorded", "outcome"),
    [
        (0.2, {"processes": 2}, "NOT_RUN"),
        (0.2, {"device": "NVIDIA H100"}, "NOT_RUN"),
        (0.0, {"processes": 2}, "REPRODUCED_NUMERIC"),
        (0.0, {"device": "NVIDIA H100"}, "REPRODUCED_NUMERIC"),
    ],
)
def test_losses_under_other_dropout_masks_are_not_compared(
    dropout: float, recorded: dict[str, object], outcome: str, store: Path, tmp_path: Path
) -> None:
    gin = write_gin(tmp_path, f"train_fn.dropout_rate = {dropout}\n")
    run = tmp_path / "run"
    train(gin, data=store, device="cpu", output=run)
    record_elsewhere(run, recorded)
    verdicts = judge_all(run, store)
    assert verdicts[-1].outcome.value == outcome
    assert ("dropout" in verdicts[-1].reason) is (outcome == "NOT_RUN")


def record_elsewhere(run: Path, numerics: dict[str, object]) -> None:
    """Let a run have been recorded in another environment, a checkpoint's bits and losses a little apart."""
    manifest = read_tree_manifest(run).manifest
    environment = manifest.run.environment
    assert environment.numerics is not None
    elsewhere = environment.model_copy(update={"numerics": environment.numerics.model_copy(update=numerics)})
    recorded = manifest.run.model_copy(update={"environment": elsewhere})
    (run / RUN_RECORD).write_bytes(recorded.to_json())
    lines = [json.loads(line) for line in (run / STEPS).read_text().splitlines()]
    moved = [line | {"loss": (float.fromhex(line["loss"]) * (1 + 2**-20)).hex()} for line in lines]
    (run / STEPS).write_text("".join(f"{json.dumps(line)}\n" for line in moved))
    seal(run, manifest=manifest.model_copy(update={"run": recorded, "contents": record_files(run)}))
