"""Signals that end a command: nothing is left behind, each has its exit code, and what `nohup` ignores is ignored."""

import os
import signal
import time
from pathlib import Path

import pytest

from hstu_preserve.primitives.temporaries import MARK
from hstu_preserve.verbs.data import synthesize_data
from hstu_preserve.verbs.unpack import unpack
from tests.forked import Forked, run_program, start_program
from tests.runs.tiny_run import tiny_gin

SLOWLY = """
import os, sys, time
from hstu_preserve.bundle.compression import GzipWriter
from hstu_preserve.cli.main import run

before = GzipWriter.write

def wait(self, *arguments, **named):
    while not {ending}:
        time.sleep(0.01)  # a long sleep does not hear a signal that comes right before it
    return before(self, *arguments, **named)

GzipWriter.write = wait
run()
"""
PACKING = SLOWLY.format(ending=False)
"""A `pack` that stands in its first write without an end, with its unfinished file on the disk."""
IGNORING = """
import signal
for number in (signal.SIGHUP, signal.SIGINT):
    signal.signal(number, signal.SIG_IGN)
"""
CODES = {
    signal.SIGINT: 130,
    signal.SIGTERM: 143,
    signal.SIGHUP: 129,
    signal.SIGXCPU: 128 + signal.SIGXCPU,
    signal.SIGUSR1: 128 + signal.SIGUSR1,
}


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return unpack("sample", output=tmp_path_factory.mktemp("sample") / "run").path


def start_packing(tree: Path, folder: Path, *, program: str = PACKING) -> Forked:
    """Begin to pack, and return once the unfinished file is there."""
    before = set(folder.glob(f".p.tar.gz.*{MARK}"))
    process = start_program("pack", str(tree), "--output", "p.tar.gz", program=program, cwd=folder)
    while not set(folder.glob(f".p.tar.gz.*{MARK}")) - before:
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)
    return process


@pytest.mark.parametrize("number", CODES, ids=lambda number: number.name)
def test_a_signal_leaves_nothing_behind(number: signal.Signals, tree: Path, tmp_path: Path) -> None:
    process = start_packing(tree, tmp_path)
    process.send_signal(number)
    _, said = process.communicate(timeout=600)
    assert (process.returncode, "Traceback" in said) == (CODES[number], False), said
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("numbers", [[signal.SIGINT] * 20, [signal.SIGTERM] * 20, [signal.SIGINT, signal.SIGHUP] * 10])
def test_a_signal_that_comes_again_and_again_is_no_traceback(
    numbers: list[signal.Signals], tree: Path, tmp_path: Path
) -> None:
    process = start_packing(tree, tmp_path)
    for number in numbers:
        process.send_signal(number)
    _, said = process.communicate(timeout=600)
    assert process.returncode in {*CODES.values(), *(-number for number in numbers)}, said
    assert "Traceback" not in said
    assert list(tmp_path.iterdir()) == []


def test_what_is_ignored_at_the_start_stays_ignored(tree: Path, tmp_path: Path) -> None:
    """As `nohup` starts a command, and a shell one in the background of a script."""
    program = IGNORING + SLOWLY.format(ending="os.path.exists('go on')")
    process = start_packing(tree, tmp_path, program=program)
    process.send_signal(signal.SIGHUP)
    process.send_signal(signal.SIGINT)
    (tmp_path / "go on").touch()
    _, said = process.communicate(timeout=600)
    assert process.returncode == 0, said
    assert sorted(path.name for path in tmp_path.iterdir()) == ["go on", "p.tar.gz"]


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGUSR1], ids=lambda number: number.name)
def test_a_training_saves_first(number: signal.Signals, tmp_path: Path) -> None:
    synthesize_data(seed=5, num_users=40, num_items=80, num_ratings=1000, output=tmp_path / "store")
    (tmp_path / "x.gin").write_text(tiny_gin(sampling_strategy="local", num_epochs=100_000, local_batch_size=16))
    process = start_program(
        *("train", "x.gin", "--data", "store", "--output", "run"),
        cwd=tmp_path,
        environment={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    while b"\nepoch 0 " not in b"\n" + process.read()[1]:
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(number)
    _, said = process.communicate(timeout=600)
    assert process.returncode == CODES[number], said
    assert f"{number.name}: saving after this step" in said
    assert "run: saved; the same command with --resume goes on from here" in said
    assert list((tmp_path / "run/ckpts").iterdir())


def test_of_two_that_write_one_file_at_once_the_second_says_so(tree: Path, tmp_path: Path) -> None:
    second = start_packing(tree, tmp_path, program=SLOWLY.format(ending="os.path.exists('p.tar.gz')"))
    run_program("pack", str(tree), "--output", "p.tar.gz", cwd=tmp_path).check_returncode()
    written = (tmp_path / "p.tar.gz").stat()
    _, said = second.communicate(timeout=600)
    assert (second.returncode, said) == (2, "error: p.tar.gz: came into being meanwhile; nothing was written over it\n")
    assert [(path.name, path.stat().st_ino) for path in tmp_path.iterdir()] == [("p.tar.gz", written.st_ino)]


def test_what_a_killed_command_left_is_cleared_by_the_next(tree: Path, tmp_path: Path) -> None:
    killed = start_packing(tree, tmp_path)
    killed.kill()
    killed.communicate()
    theirs = tmp_path / ".p.tar.gz.abcdefgh.tmp"
    theirs.write_text("precious")
    living = start_packing(tree, tmp_path)  # which clears what the killed one left, and is not cleared itself
    assert len(list(tmp_path.glob(f".p.tar.gz.*{MARK}"))) == 1
    run_program("pack", str(tree), "--output", "p.tar.gz", cwd=tmp_path).check_returncode()
    assert len(list(tmp_path.glob(f".p.tar.gz.*{MARK}"))) == 1
    living.terminate()
    living.communicate(timeout=600)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([theirs.name, "p.tar.gz"])
    assert theirs.read_text() == "precious"
