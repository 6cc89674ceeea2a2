"""How far runs are, from their own logs: finished, unfinished, training, diverged or unreadable."""

import fcntl
import os
import shlex
from pathlib import Path

import pytest

from hstu_preserve.bundle.layout import METRICS, RUN_RECORD, STEPS
from hstu_preserve.cli.main import main
from hstu_preserve.event_files.writer import EventWriter
from hstu_preserve.library.run_states import LOCKS, list_runs, show_run
from hstu_preserve.primitives.canonical_json import canonical_dumps
from hstu_preserve.primitives.json_values import Json
from hstu_preserve.records.manifest import CHECKSUMS_NAME, MANIFEST_NAME
from hstu_preserve.records.runs import RunState
from tests.factories import make_run_record, make_sealed_run
from tests.record_values import EVALUATION

Capture = pytest.CaptureFixture[str]
LINES = [f'{{"epoch":{step // 4},"loss":"0x1.8p-1","step":{step}}}' for step in range(10)]


def make_unfinished(root: Path, *, lines: list[str] | None = None, title: str = "Tiny") -> Path:
    """Write a run of ten steps and two evaluated epochs, as it is left when its process is killed."""
    record = make_run_record(
        bundle={"id": "tiny", "title": title, "licence": "MIT", "citation": "nobody", "include_data": False}
    )
    (root / STEPS).parent.mkdir(parents=True)
    (root / RUN_RECORD).write_bytes(record.to_json())
    (root / STEPS).write_text("\n".join(LINES if lines is None else lines) + "\n")
    with EventWriter.create(root / "tb" / "tiny", wall_time=1.0, suffix="tiny") as writer:
        for epoch, value in enumerate((0.125, 0.25)):
            writer.scalar("eval_epoch/ndcg@10", value=value, step=epoch, wall_time=2.0)
            writer.scalar("eval_epoch/hr@10", value=0.9, step=epoch, wall_time=2.0)
    return root


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return make_unfinished(tmp_path / "runs" / "a")


def test_an_unfinished_run_is_shown_with_its_curve_and_how_to_go_on(run: Path, capsys: Capture) -> None:
    shown = show_run(run, target="a")
    assert (shown.state, shown.num_steps) == (RunState.UNFINISHED, 10)
    assert [(point.epoch, point.value) for point in shown.curve] == [(0, 0.125), (1, 0.25)]
    assert shown.resume is not None
    words = shlex.split(shown.resume)
    assert words[:3] == ["hstu-preserve", "train", str(run / "config/tiny.gin")]
    assert words[-3:] == ["--output", str(run), "--resume"]
    assert main(["show", str(run)]) == 0
    text = capsys.readouterr().out
    assert "2 epochs of 2 evaluated, 10 steps" in text
    assert "f: first 0.1250, epoch 0; b: best 0.2500, epoch 1" in text


@pytest.mark.parametrize(
    ("lines", "steps"), [([*LINES, '{"epoch":2,"lo'], 10), ([], 0), (["[]", "\x00"], 0), (['{"step":-3}'], 0)]
)
def test_only_whole_lines_count_as_steps(lines: list[str], steps: int, tmp_path: Path) -> None:
    assert show_run(make_unfinished(tmp_path / "a", lines=lines), target="a").num_steps == steps


def test_a_damaged_event_file_gives_the_points_before_the_damage(run: Path) -> None:
    (file,) = (run / "tb" / "tiny").iterdir()
    file.write_bytes(file.read_bytes()[:-5])
    assert [point.value for point in show_run(run, target="a").curve] == [0.125, 0.25]
    file.write_bytes(b"no events")
    assert show_run(run, target="a").curve == ()


def test_a_diverged_run_cannot_go_on(tmp_path: Path) -> None:
    path = make_unfinished(tmp_path / "a", lines=[*LINES, '{"epoch":2,"loss":"nan","step":10}'])
    shown = show_run(path, target="a")
    assert (shown.state, shown.resume) == (RunState.DIVERGED, None)


@pytest.mark.skipif(not LOCKS.exists(), reason="this system does not tell its locks")
def test_a_run_that_a_process_trains_into_says_so_and_is_not_disturbed(run: Path) -> None:
    folder = os.open(run, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        assert show_run(run, target="a").state is RunState.TRAINING
    finally:
        os.close(folder)
    assert show_run(run, target="a").state is RunState.UNFINISHED


def test_a_folder_lists_its_runs_those_of_studies_and_what_cannot_be_read(run: Path, capsys: Capture) -> None:
    folder = run.parent
    results: Json = {"epochs": [EVALUATION], "final": EVALUATION, "state_sha256": "0" * 64, "resumptions": []}
    for seed in (2, 10):
        make_sealed_run(folder / "study" / f"seed-{seed}", files={METRICS: canonical_dumps(results)})
    make_unfinished(folder / "broken")
    (folder / "broken" / RUN_RECORD).write_text("{")
    (folder / "other").mkdir()
    listing = list_runs(folder)
    assert [(one.path.relative_to(folder).as_posix(), one.state) for one in listing.runs] == [
        ("a", RunState.UNFINISHED),
        ("broken", RunState.UNREADABLE),
        ("study/seed-2", RunState.FINISHED),
        ("study/seed-10", RunState.FINISHED),
    ]
    first, broken, finished, _ = listing.runs
    assert (first.epochs_done, first.num_epochs, first.ndcg10, first.seed) == (2, 2, 0.25, 42)
    assert (finished.epochs_done, finished.ndcg10, finished.resume) == (1, 0.5, None)
    assert broken.problem is not None
    assert main(["list", str(folder)]) == 0
    text = capsys.readouterr().out
    assert "to go on with" in text
    assert "not read:" in text


def test_one_run_is_listed_by_itself(run: Path) -> None:
    assert [one.state for one in list_runs(run).runs] == [RunState.UNFINISHED]


@pytest.mark.parametrize("name", ["empty", "file", "absent"])
def test_what_holds_no_run_is_refused(name: str, tmp_path: Path, capsys: Capture) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("x")
    assert main(["list", str(tmp_path / name)]) == 2
    assert name in capsys.readouterr().err


def test_a_hostile_title_steers_no_terminal(tmp_path: Path, capsys: Capture) -> None:
    path = make_unfinished(tmp_path / "a\x1b[31m", title="\x1b[2Jforged\nrun  finished [bold]x")
    for words in (["show", str(path)], ["list", str(tmp_path)]):
        assert main(words) == 0
        text = capsys.readouterr().out
        assert all(character.isprintable() or character == "\n" for character in text)
        assert "\nrun  finished" not in text


def test_a_sealed_run_that_lost_its_manifest_is_unfinished(tmp_path: Path) -> None:
    make_sealed_run(tmp_path / "a", files={RUN_RECORD: make_run_record().to_json()})
    for name in (MANIFEST_NAME, CHECKSUMS_NAME):
        (tmp_path / "a" / name).unlink()
    assert show_run(tmp_path / "a", target="a").curve == ()
