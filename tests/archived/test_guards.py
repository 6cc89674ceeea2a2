"""That somebody else's code ended with 0 proves nothing: what it left is looked at, and the reason is kept."""

import json
import sys
from pathlib import Path

import pytest
import torch

from hstu_preserve.archived.preparation import prepare
from hstu_preserve.archived.rungs import evaluate_archived, resume_archived
from hstu_preserve.archived.settings import ArchivedSettings
from hstu_preserve.archived.workspace import Stage
from hstu_preserve.errors import NotRunnableError, RecipeError, UnavailableError, UsageError
from hstu_preserve.primitives.voice import SILENT
from tests.archived.clocks import pass_the_hour_once_written
from tests.archived.strangers import (
    COPY_OUTPUT,
    WEIGHTS,
    make_bundle,
    make_settings,
    write_checkpoint,
    write_code,
    write_events,
)

EVALUATED = {"eval_epoch/ndcg@10": 0.5, "eval_epoch/mrr": 0.25, "eval/ndcg@10": 0.9}


def evaluate(settings: ArchivedSettings) -> dict[str, float]:
    prepared = prepare(settings, voice=SILENT)
    return evaluate_archived(prepared, make_bundle(), stage_data=None, voice=SILENT).metrics


def leave(
    folder: Path, *, events: dict[str, float] | None, weights: dict[str, torch.Tensor] | None
) -> ArchivedSettings:
    """Return settings of a trainer that leaves these files."""
    stages = []
    if events is not None:
        stages.append(Stage(source=write_events(folder / "events", events), place="tmp/events"))
    if weights is not None:
        stages.append(Stage(source=write_checkpoint(folder / "left", weights), place="tmp/checkpoint"))
    code = write_code(folder / "fork", COPY_OUTPUT)
    return make_settings(code, output=folder / "out", stages=tuple(stages))


def read_reason(output: Path) -> str:
    record = json.loads((output / "evaluation" / "run.json").read_bytes())
    return str(record["ended"])


def test_the_metrics_are_those_of_the_whole_evaluation_at_the_first_epoch(tmp_path: Path) -> None:
    events = {**EVALUATED, "eval_epoch_full/ndcg@10": 0.75}
    assert evaluate(leave(tmp_path, events=events, weights=WEIGHTS)) == {"ndcg@10": 0.75}


def test_a_batch_of_training_is_no_evaluation(tmp_path: Path) -> None:
    with pytest.raises(NotRunnableError, match=r"holds no eval_epoch/ndcg@10 at step 0"):
        evaluate(leave(tmp_path, events={"eval/ndcg@10": 0.9}, weights=WEIGHTS))


def test_a_run_without_an_event_file_is_no_evidence_though_it_ended_with_0(tmp_path: Path) -> None:
    with pytest.raises(NotRunnableError, match="wrote no event file: 0 alone proves nothing") as caught:
        evaluate(leave(tmp_path, events=None, weights=WEIGHTS))
    assert caught.value.exit_code == 6
    assert read_reason(tmp_path / "out").startswith("ended with 0 after")


def test_an_event_file_that_was_staged_is_not_taken_for_the_runs(tmp_path: Path) -> None:
    settings = leave(tmp_path, events=None, weights=WEIGHTS)
    staged = Stage(source=write_events(tmp_path / "old", EVALUATED), place="exps/old/events.out.tfevents.0.old")
    with pytest.raises(NotRunnableError, match="wrote no event file"):
        evaluate(make_settings(settings.code, output=tmp_path / "out", stages=(*settings.stages, staged)))


@pytest.mark.parametrize("change", ["value", "name", "shape", "type", "sign"])
def test_other_weights_in_the_runs_checkpoint_are_no_evidence(tmp_path: Path, change: str) -> None:
    weights = dict(WEIGHTS)
    if change == "name":
        weights["items.other"] = weights.pop("items.weight")
    else:
        changed = weights["mixer.bias"].clone()
        weights["mixer.bias"] = {
            "value": torch.nextafter(changed, changed + 1),
            "shape": changed[None],
            "type": changed.double(),
            "sign": changed.abs(),
        }[change]
    with pytest.raises(NotRunnableError, match="does not hold the bundle's weights"):
        evaluate(leave(tmp_path, events=EVALUATED, weights=weights))


def test_a_run_without_a_checkpoint_is_no_evidence(tmp_path: Path) -> None:
    with pytest.raises(NotRunnableError, match="wrote no checkpoint"):
        evaluate(leave(tmp_path, events=EVALUATED, weights=None))


def test_an_event_file_that_is_damaged_is_no_evidence(tmp_path: Path) -> None:
    settings = leave(tmp_path, events=EVALUATED, weights=WEIGHTS)
    content = bytearray(settings.stages[0].source.read_bytes())
    content[60] ^= 1
    settings.stages[0].source.write_bytes(content)
    with pytest.raises(NotRunnableError, match="event file cannot be read"):
        evaluate(settings)


def test_a_worker_that_dies_is_named_with_its_last_words_and_its_output_stays(tmp_path: Path) -> None:
    code = write_code(tmp_path / "fork", "print('begun')\nraise SystemError('out of memory \\x1b[2J')\n")
    with pytest.raises(NotRunnableError, match=r"ended with 1 \(its last words: SystemError: out of memory \\x1b"):
        evaluate(make_settings(code, output=tmp_path / "out"))
    assert (tmp_path / "out" / "evaluation" / "stdout.txt").read_text() == "begun\n"
    assert "ended with 1" in read_reason(tmp_path / "out")


def test_a_run_that_hangs_is_ended_and_its_output_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code = write_code(tmp_path / "fork", "import time\nprint('begun')\ntime.sleep(600)\n")
    pass_the_hour_once_written(tmp_path / "out" / "evaluation" / "stdout.txt", monkeypatch)
    with pytest.raises(NotRunnableError, match=r"did not end within .*; all of its processes were ended"):
        evaluate(make_settings(code, output=tmp_path / "out", timeout_seconds=3600.0))
    assert (tmp_path / "out" / "evaluation" / "stdout.txt").read_text() == "begun\n"
    assert "did not end within" in read_reason(tmp_path / "out")


def test_an_interrupted_run_says_so(tmp_path: Path) -> None:
    code = write_code(
        tmp_path / "fork", "import os, signal, time\nos.kill(os.getppid(), signal.SIGINT)\ntime.sleep(600)\n"
    )
    with pytest.raises(KeyboardInterrupt):
        evaluate(make_settings(code, output=tmp_path / "out"))
    assert read_reason(tmp_path / "out").startswith("interrupted before it ended")


def test_code_that_changes_itself_is_no_evidence(tmp_path: Path) -> None:
    text = "import os\nos.chmod(__file__, 0o644)\nopen(__file__, 'a').write('#')\n"
    code = write_code(tmp_path / "fork", text)
    with pytest.raises(NotRunnableError, match=r"changed its own code: main\.py"):
        evaluate(make_settings(code, output=tmp_path / "out"))


@pytest.mark.parametrize("trusted", [None, "0" * 64, "x"])
def test_code_is_never_run_without_its_digest(tmp_path: Path, trusted: str | None) -> None:
    code = write_code(tmp_path / "fork", f"open({str(tmp_path / 'canary')!r}, 'w')\n")
    with pytest.raises(UsageError, match="nothing was run"):
        prepare(make_settings(code, output=tmp_path / "out", trusted=trusted), voice=SILENT)
    assert not (tmp_path / "canary").exists()
    assert not (tmp_path / "out").exists()


def test_a_missing_module_leaves_no_output_behind(tmp_path: Path) -> None:
    code = write_code(tmp_path / "fork", "import no_such_module\n")
    with pytest.raises(UnavailableError, match="no_such_module"):
        prepare(make_settings(code, output=tmp_path / "out"), voice=SILENT)
    assert not (tmp_path / "out").exists()


def test_a_gpu_that_is_not_there_is_no_device(tmp_path: Path) -> None:
    code = write_code(tmp_path / "fork", "")
    with pytest.raises(UnavailableError, match="sees no GPU"):
        prepare(make_settings(code, output=tmp_path / "out", device="cuda"), voice=SILENT)


def test_the_record_says_what_was_run_and_names_what_differs(tmp_path: Path) -> None:
    settings = leave(tmp_path, events=EVALUATED, weights=WEIGHTS)
    (settings.code / "configs").mkdir()
    (settings.code / "configs" / "base.gin").write_text("train_fn.num_epochs = 7\n")
    settings = make_settings(
        settings.code,
        output=tmp_path / "out",
        stages=settings.stages,
        overlay=("train_fn.x = 1",),
        environment={"WANDB_API_KEY": "secret", "MODE": "y"},
    )
    evaluate(settings)
    record = json.loads((tmp_path / "out" / "evaluation" / "run.json").read_bytes())
    assert record["overlay"] == ["train_fn.num_epochs = 1", "train_fn.x = 1"]
    assert record["differing_files"] == ["config/base.gin"]
    assert record["command"][0] == sys.executable
    assert (record["environment"]["MODE"], record["environment"]["WANDB_API_KEY"]) == ("y", "(not recorded)")
    assert {one["name"] for one in record["staged"]} == {"staged tmp/checkpoint", "staged tmp/events"}


def test_an_overlay_that_is_no_binding_is_refused(tmp_path: Path) -> None:
    settings = make_settings(write_code(tmp_path / "fork", ""), output=tmp_path / "out", overlay=("import os",))
    with pytest.raises(RecipeError):
        evaluate(settings)


def test_to_resume_the_user_names_the_codes_own_switch(tmp_path: Path) -> None:
    prepared = prepare(make_settings(write_code(tmp_path / "fork", ""), output=tmp_path / "out"), voice=SILENT)
    checkpoint = write_checkpoint(tmp_path / "x_ep1", WEIGHTS)
    with pytest.raises(NotRunnableError, match="name its own switch"):
        resume_archived(prepared, make_bundle(), checkpoint=checkpoint, metric="ndcg@10", stage_data=None, voice=SILENT)


class Canary:
    """Pickled, it would make a file when it is loaded."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str, str]]:
        return open, (str(self.path), "w")


def test_a_checkpoint_that_names_a_function_is_not_handed_to_code_that_would_unpickle_it(tmp_path: Path) -> None:
    torch.save({"model_state_dict": WEIGHTS, "payload": Canary(tmp_path / "canary")}, tmp_path / "x_ep1")
    code = write_code(tmp_path / "fork", "")
    settings = make_settings(code, output=tmp_path / "out", overlay=('train_fn.resume_ckpt = "{checkpoint}"',))
    with pytest.raises(NotRunnableError, match=r"would unpickle it, and it names .*open"):
        resume_archived(
            prepare(settings, voice=SILENT),
            make_bundle(),
            checkpoint=tmp_path / "x_ep1",
            metric="ndcg@10",
            stage_data=None,
            voice=SILENT,
        )
    assert not (tmp_path / "canary").exists()
