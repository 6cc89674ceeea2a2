"""`reproduce --runner archived`: each bad input has its exit code, and nothing runs that was not trusted."""

import hashlib
import json
import signal
import tarfile
import time
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

from hstu_preserve.archived.code import describe_code
from hstu_preserve.archived.process_groups import list_states
from hstu_preserve.cli.main import main
from tests.archived.strangers import COPY_OUTPUT, GINS, WEIGHTS, write_checkpoint, write_code, write_events
from tests.forked import start_program

EVALUATED = {"eval_epoch/ndcg@10": 0.0806, "eval_epoch/mrr": 0.0625}
EPOCH = 4


@dataclass(frozen=True, kw_only=True)
class Handed:
    """A legacy archive, its author's code, and what a reviewer types."""

    archive: Path
    code: Path
    output: Path
    stages: tuple[str, ...]

    def arguments(self, *others: str, trusts: bool = True) -> list[str]:
        trust = ["--trust-code", describe_code(self.code).digest] if trusts else []
        common = ["--runner", "archived", "--code", str(self.code), "--output", str(self.output), "--device", "cpu"]
        return ["reproduce", str(self.archive), *common, *trust, *self.stages, *others]

    def reproduce(self, *others: str, trusts: bool = True) -> int:
        return main(self.arguments(*others, trusts=trusts))

    def read_verdict(self, rung: str) -> dict[str, str]:
        verdicts = json.loads((self.output / "reproduction.json").read_bytes())["verdicts"]
        return next(one for one in verdicts if one["rung"] == rung)


def pack(folder: Path, *, ndcg: str = "0.0806") -> Path:
    """Write the archive, as `tar czf` does."""
    for name, content in GINS.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    (folder / "MANIFEST.json").write_text(f'{{"experiment": "toy", "epoch": {EPOCH}, "ndcg@10": {ndcg}}}')
    (folder / "ckpts").mkdir()
    write_checkpoint(folder / "ckpts" / f"Toy_ep{EPOCH}", WEIGHTS, epoch=EPOCH)
    write_events(folder / "tb", EVALUATED, step=EPOCH)
    path = folder.with_name("toy.tar.gz")
    with tarfile.open(path, "w:gz") as archive:
        archive.add(folder, arcname="toy")
    digest = hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()
    path.with_name("MANIFEST.md").write_text(f"| file | md5 |\n|---|---|\n| `{path.name}` | `{digest}` |\n")
    return path


@pytest.fixture
def handed(tmp_path: Path) -> Handed:
    """Code that leaves the recorded values and the bundle's weights."""
    events = write_events(tmp_path / "events", EVALUATED)
    checkpoint = write_checkpoint(tmp_path / "left", WEIGHTS)
    return Handed(
        archive=pack(tmp_path / "toy"),
        code=write_code(tmp_path / "fork", COPY_OUTPUT),
        output=tmp_path / "out",
        stages=("--stage", f"{events}=tmp/events", "--stage", f"{checkpoint}=tmp/checkpoint"),
    )


def test_recorded_values_that_the_authors_code_gives_again_are_reproduced(handed: Handed) -> None:
    assert handed.reproduce() == 0
    verdict = handed.read_verdict("evaluation-numeric")
    assert verdict["outcome"] == "REPRODUCED_NUMERIC"
    facts = {fact["name"]: fact["value"] for fact in verdict["evidence"]}  # type: ignore[index]
    assert str(facts["runner"]).startswith("the author's code (sha256:")
    assert facts["overlay"] == "train_fn.num_epochs = 1"
    assert str(facts["weights in the run's own checkpoint"]).startswith("equal to the bit")


def test_other_values_are_inconclusive(handed: Handed, tmp_path: Path) -> None:
    other = write_events(tmp_path / "other", {"eval_epoch/ndcg@10": 0.0706})
    stages = (*handed.stages[2:], "--stage", f"{other}=tmp/events")
    handed = Handed(archive=handed.archive, code=handed.code, output=handed.output, stages=stages)
    assert handed.reproduce() == 6
    assert handed.read_verdict("evaluation-numeric")["outcome"] == "INCONCLUSIVE"


@pytest.mark.parametrize("others", [[], ["--trust-code", "0" * 64]], ids=["none", "another"])
def test_code_that_is_not_trusted_is_not_run(
    handed: Handed, others: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    canary = handed.code.parent / "canary"
    write_code(handed.code, f"open({str(canary)!r}, 'w')\n")
    assert handed.reproduce(*others, trusts=False) == 2
    said = capsys.readouterr().err
    assert describe_code(handed.code).digest in said
    assert "nothing was run" in said
    assert not canary.exists()
    assert not handed.output.exists()


@pytest.mark.parametrize(
    ("others", "said"),
    [
        (["--entry", "train.py"], "no file train.py"),
        (["--set", "import os"], "import of os refused"),
        (["--stage", "x"], "write SRC=DEST"),
        (["--env", "1=2"], "write NAME=VALUE"),
        (["--device", "tpu"], "choose from auto, cpu, cuda"),
        (["--runner", "native"], "need --runner archived"),
        (["--runner", "mine"], "choose from native, archived"),
    ],
)
def test_what_makes_no_sense_is_a_usage_error(
    handed: Handed, others: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert handed.reproduce(*others) == 2
    assert said in capsys.readouterr().err


def test_a_bundle_of_this_program_needs_no_other_code(handed: Handed, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = handed.arguments()
    arguments[1] = "sample"
    assert main(arguments) == 2
    assert "leave out --runner archived" in capsys.readouterr().err


@pytest.mark.parametrize("left_out", ["--output", "--code", "--stage"])
def test_code_output_and_data_are_needed(handed: Handed, left_out: str, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = handed.arguments()
    while left_out in arguments:
        place = arguments.index(left_out)
        del arguments[place : place + 2]
    assert main(arguments) == 2
    assert left_out in capsys.readouterr().err


def test_a_missing_module_is_unavailable(handed: Handed, capsys: pytest.CaptureFixture[str]) -> None:
    write_code(handed.code, "import no_such_module\n")
    assert handed.reproduce() == 4
    assert "-m pip install no_such_module" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "others", "said"),
    [
        ("pass\n", [], "wrote no event file: 0 alone proves nothing"),
        ("raise SystemError('out of memory')\n", [], "ended with 1"),
        ("import os, signal\nos.kill(os.getpid(), signal.SIGKILL)\n", [], "ended with -9"),
        ("import time\ntime.sleep(600)\n", ["--timeout", "0.05"], "did not end within 3 s"),
    ],
    ids=["nothing", "error", "killed", "hangs"],
)
def test_a_run_that_is_no_evidence_is_not_run(handed: Handed, text: str, others: list[str], said: str) -> None:
    write_code(handed.code, text)
    assert handed.reproduce(*others) == 6
    verdict = handed.read_verdict("evaluation-numeric")
    assert verdict["outcome"] == "NOT_RUN"
    assert said in verdict["reason"]
    assert (handed.output / "evaluation" / "stdout.txt").is_file()


def test_changed_weights_are_no_evidence(handed: Handed, tmp_path: Path) -> None:
    changed = {**WEIGHTS, "items.weight": torch.nextafter(WEIGHTS["items.weight"], torch.tensor(9.0))}
    other = write_checkpoint(tmp_path / "changed", changed)
    stages = (*handed.stages[:2], "--stage", f"{other}=tmp/checkpoint")
    handed = Handed(archive=handed.archive, code=handed.code, output=handed.output, stages=stages)
    assert handed.reproduce() == 6
    reason = handed.read_verdict("evaluation-numeric")["reason"]
    assert "does not hold the bundle's weights: items.weight differ" in reason


def test_the_other_rungs_say_what_they_lack(handed: Handed) -> None:
    assert handed.reproduce("--rung", "resume", "--rung", "training") == 6
    assert "two checkpoints" in handed.read_verdict("resume-bitwise")["reason"]
    assert handed.read_verdict("training-statistical")["outcome"] in {"NOT_RUN", "INCONCLUSIVE"}


def test_an_interrupt_ends_every_process_and_keeps_the_reason(handed: Handed, tmp_path: Path) -> None:
    group = tmp_path / "group"
    text = f"import os, time\nos.fork()\nopen({str(group)!r}, 'w').write(str(os.getpgid(0)))\ntime.sleep(600)\n"
    write_code(handed.code, text)
    process = start_program(*handed.arguments())
    while not group.exists() or not group.read_text():
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    assert process.wait(600) == 130
    assert set(list_states(int(group.read_text())) or []) <= {"Z", "X"}
    ended = json.loads((handed.output / "evaluation" / "run.json").read_bytes())["ended"]
    assert ended.startswith("interrupted before it ended")


def test_the_code_that_lies_beside_the_bundle_is_taken(handed: Handed) -> None:
    beside = handed.archive.with_name("toy-code.tar.gz")
    with tarfile.open(beside, "w:gz") as archive:
        archive.add(handed.code, arcname="fork")
    arguments = handed.arguments("--trust-code", describe_code(beside).digest, trusts=False)
    place = arguments.index("--code")
    del arguments[place : place + 2]
    assert main(arguments) == 0
