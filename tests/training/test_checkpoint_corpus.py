"""Every case of the checkpoint corpus is judged as it says, and no payload ever runs."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from hstu_preserve.errors import CheckpointError
from hstu_preserve.training.checkpoint import read_checkpoint
from hstu_preserve.verbs.data import synthesize_data
from tests.corpus.checkpoints.generators import Case, count_cases, load_cases
from tests.forked import run_program

CASES = load_cases()
REFUSED = [case for case in CASES if case.verdict == "refused"]
ACCEPTED = [case for case in CASES if case.verdict == "accepted"]
ONE_PER_CLASS = list({case.kind: case for case in reversed(REFUSED)}.values())
RUNNING = [
    "os.system",
    "builtins.exec",
    "subprocess.check_output",
    "cProfile.run",
    "numpy.f2py.crackfortran.getlincoef",
]
TINY_GIN = """
train_fn.dataset_name = "synthetic"
train_fn.max_sequence_length = 10
train_fn.num_epochs = 1
train_fn.item_embedding_dim = 8
train_fn.sampling_strategy = "local"
train_fn.weight_decay = 0
"""


def name_case(case: Case) -> str:
    return f"{case.kind}: {case.id}"


def write_case(case: Case, folder: Path) -> Path:
    path = folder / "x_ep1"
    path.write_bytes(case.build(folder / "marker"))
    return path


def fail(*_arguments: object, **_options: object) -> None:
    raise AssertionError("torch.load was called")


def test_the_corpus_covers_every_class_with_names_of_their_own() -> None:
    assert set(count_cases()) == {"global", "structure", "container", "storage", "content", "safetensors", "accepted"}
    assert len({(case.kind, case.id) for case in CASES}) == sum(count_cases().values()) >= 60
    assert {case.verdict for case in CASES} == {"refused", "accepted"}
    assert all(case.says for case in REFUSED)


@pytest.mark.parametrize("case", REFUSED, ids=name_case)
def test_a_bad_checkpoint_is_refused_for_its_reason_before_torch_sees_it(
    case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_case(case, tmp_path)
    if case.kind != "content":  # torch reads some of those; what they hold is no checkpoint
        monkeypatch.setattr(torch, "load", fail)
    with pytest.raises(CheckpointError) as caught:
        read_checkpoint(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert [words for words in case.says if words not in message] == [], message
    assert message.endswith("; nothing was loaded") or case.kind == "content"
    assert message.isprintable()
    assert len(message) < 500
    assert [found.name for found in tmp_path.iterdir()] == ["x_ep1"]


@pytest.mark.parametrize("case", ACCEPTED, ids=name_case)
def test_a_sound_checkpoint_is_read(case: Case, tmp_path: Path) -> None:
    checkpoint = read_checkpoint(write_case(case, tmp_path))
    assert checkpoint.epoch >= 1
    assert checkpoint.weights or "extra" in checkpoint.content


LOAD_ANYTHING = """
import sys, torch
for path in sys.argv[1:]:
    try:
        torch.load(path, weights_only=False)
    except Exception as error:
        print(error)
"""


def test_the_payloads_would_work_where_nothing_stops_them(tmp_path: Path) -> None:
    paths = []
    for name in RUNNING:
        (tmp_path / name).mkdir()
        paths.append(write_case(next(case for case in CASES if case.id == name), tmp_path / name))
    subprocess.run(
        [sys.executable, "-c", LOAD_ANYTHING, *map(str, paths)], check=True, timeout=600, capture_output=True
    )
    assert [path for path in paths if not (path.parent / "marker").exists()] == []


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("workplace")
    synthesize_data(seed=3, num_users=30, num_items=60, num_ratings=600, output=folder / "store")
    (folder / "tiny.gin").write_text(TINY_GIN, encoding="utf-8")
    return folder


DAMAGED = [case for case in ONE_PER_CLASS if case.kind in {"container", "storage", "safetensors"}]
SOUND_OTHERWISE = [case for case in ONE_PER_CLASS if case not in DAMAGED]
"""Other trainers' files may name anything beside the weights; these weights fit no model, or there are none."""


@pytest.mark.parametrize("case", [*DAMAGED, *SOUND_OTHERWISE], ids=name_case)
def test_the_command_line_exits_3_with_one_sentence(case: Case, workplace: Path, tmp_path: Path) -> None:
    path = write_case(case, tmp_path)
    options = ["--gin", str(workplace / "tiny.gin"), "--data", str(workplace / "store"), "--device", "cpu"]
    result = run_program("evaluate", "--checkpoint", str(path), *options, cwd=tmp_path)
    said = result.stderr.decode()
    assert result.returncode == 3, said
    assert "Traceback" not in said
    others = {"content": "holds no weights", "global": "shapes differ from", "structure": "shapes differ from"}
    says = case.says if case in DAMAGED else (others[case.kind],)
    assert [words for words in says if words not in said] == []
    assert result.stdout == b""
    assert [found.name for found in tmp_path.iterdir()] == ["x_ep1"]
