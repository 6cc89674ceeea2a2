"""Before the first step: one command at a time, and a beginning that was cut off anywhere is begun again."""

import errno
import fcntl
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from hstu_preserve.bundle.layout import CONFIG_FOLDER, DATA_FOLDER, ENVIRONMENT, RUN_RECORD
from hstu_preserve.bundle.verification import verify_tree
from hstu_preserve.data.store import ARRAY_DTYPES, RECORD_NAME, open_store, verify_store
from hstu_preserve.errors import UsageError
from hstu_preserve.primitives.voice import Progress, Voice
from hstu_preserve.runs.durability import Durability
from hstu_preserve.runs.lock import hold
from hstu_preserve.verbs.train import train
from tests.forked import PROGRAM, Forked, start_program
from tests.runs.crashing import CrashError, list_tree
from tests.runs.crashing import write_gin as write_small_gin


def write_gin(folder: Path, *, include_data: bool = True) -> Path:
    return write_small_gin(folder, f"train_fn.num_epochs = 2\nbundle.include_data = {include_data}\n")


@pytest.fixture
def cut_off(store: Path, tmp_path: Path) -> Path:
    """What a command leaves that was killed between its environment and its `run.json`, data included."""

    def stop(_: Progress) -> None:
        raise CrashError

    output = tmp_path / "run"
    with pytest.raises(CrashError):
        train(write_gin(tmp_path), data=store, device="cpu", output=output, voice=Voice(show=stop))
    for path in output.iterdir():
        if path.name not in {CONFIG_FOLDER, DATA_FOLDER, ENVIRONMENT}:
            path.unlink() if path.is_file() else remove_tree(path)
    return output


def remove_tree(folder: Path) -> None:
    for path in sorted(folder.rglob("*"), reverse=True):
        path.unlink() if path.is_file() else path.rmdir()
    folder.rmdir()


def resume(output: Path, store: Path) -> None:
    gin = output.parent / "experiment.gin"
    train(gin, data=store, device="cpu", output=output, durability=Durability(resume=True))


@pytest.mark.parametrize(
    "half",
    [
        ".environment.json.a1b2c3d4.hstu-preserve.tmp",
        ".run.json.a1b2c3d4.hstu-preserve.tmp",
        ".data.a1b2c3d4.hstu-preserve.tmp/",
        "config/.x.gin.a1b2c3d4.hstu-preserve.tmp",
    ],
)
def test_what_a_killed_beginning_wrote_by_half_is_removed_and_the_run_begun(
    half: str, cut_off: Path, store: Path
) -> None:
    path = cut_off / half
    if half.endswith("/"):
        path.mkdir()
        path = path / "item_ids.npy"
    path.write_bytes(b"half")
    resume(cut_off, store)
    assert verify_tree(cut_off).ok
    assert not list(cut_off.rglob("*.tmp"))
    verify_store(open_store(cut_off / DATA_FOLDER))


@pytest.mark.parametrize(
    "name", [".data.mine.tmp", ".notes.a1b2c3d4.hstu-preserve.tmp", ".run.json.backup.a1b2c3d4.hstu-preserve.tmp"]
)
def test_what_the_program_does_not_write_itself_stays(name: str, cut_off: Path, store: Path) -> None:
    (cut_off / name).write_text("precious")
    (cut_off / ".run.json.a1b2c3d4.hstu-preserve.tmp").write_text("half")
    before = list_tree(cut_off)
    with pytest.raises(UsageError, match=f"holds {name} and no {RUN_RECORD}"):
        resume(cut_off, store)
    assert list_tree(cut_off) == before


def test_data_that_is_no_copy_of_the_store_is_refused_and_stays(cut_off: Path, store: Path) -> None:
    path = cut_off / DATA_FOLDER / "timestamps.npy"
    np.save(path, np.load(path) + 1)
    before = list_tree(cut_off)
    with pytest.raises(UsageError, match=f"holds {DATA_FOLDER} and no {RUN_RECORD}"):
        resume(cut_off, store)
    assert list_tree(cut_off) == before


def test_a_store_is_not_taken_for_the_copy_of_a_run_that_includes_none(cut_off: Path, store: Path) -> None:
    """It would be removed, or travel in a bundle that says it holds no data."""
    write_gin(cut_off.parent, include_data=False)
    before = list_tree(cut_off)
    with pytest.raises(UsageError, match=f"holds {DATA_FOLDER} and no {RUN_RECORD}"):
        resume(cut_off, store)
    assert list_tree(cut_off) == before


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="descriptors are named by /proc")
def test_every_folder_of_a_run_and_its_copy_of_the_data_are_put_on_the_disk(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: set[Path] = set()
    sync = os.fsync

    def record(descriptor: int) -> None:
        sync(descriptor)
        synced.add(Path(f"/proc/self/fd/{descriptor}").readlink())

    monkeypatch.setattr(os, "fsync", record)
    output = tmp_path / "deep" / "run"
    train(write_gin(tmp_path), data=store, device="cpu", output=output)
    folders = {tmp_path, *(path for path in tmp_path.rglob("*") if path.is_dir())}
    assert folders - synced == {output / DATA_FOLDER}, "which was synced under the name it had before"
    copied = {path.name for path in synced if path.parent.name.startswith(f".{DATA_FOLDER}.")}
    assert copied >= {f"{name}.npy" for name in ARRAY_DTYPES}
    assert any(name.startswith(f".{RECORD_NAME}.") for name in copied)


TOGETHER = """
import sys, time
from pathlib import Path
from hstu_preserve.cli.main import run
from hstu_preserve.runs import training as module
fix_policy = module.fix_policy
own, other = map(Path, sys.argv.pop().split(":"))

def wait_for_the_other(*arguments, **named):
    own.touch()
    while not other.exists():
        time.sleep(0.001)
    return fix_policy(*arguments, **named)

module.fix_policy = wait_for_the_other
run()
"""


def start(gin: Path, *, store: Path, output: Path, program: str = PROGRAM, last: tuple[str, ...] = ()) -> Forked:
    arguments = [str(gin), "--data", str(store), "--output", str(output), "--device", "cpu", *last]
    return start_program("train", *arguments, program=program)


def test_of_two_commands_that_both_found_the_output_empty_one_trains(store: Path, tmp_path: Path) -> None:
    gin = write_gin(tmp_path)
    signs = [tmp_path / "one", tmp_path / "two"]
    processes = [
        start(gin, store=store, output=tmp_path / "run", program=TOGETHER, last=(f"{own}:{other}",))
        for own, other in (signs, signs[::-1])
    ]
    said = {process.wait(timeout=600): process.communicate()[1] for process in processes}
    assert said.keys() == {0, 2}, said
    assert "another process is training into it" in said[2] or "exists and is not empty" in said[2]
    assert verify_tree(tmp_path / "run").ok


@pytest.mark.parametrize("last", [(), ("--resume",)])
def test_nothing_is_written_into_an_output_that_another_process_holds(
    last: tuple[str, ...], store: Path, tmp_path: Path
) -> None:
    output = tmp_path / "run"
    with hold(output, voice=Voice(say=pytest.fail)):
        process = start(write_gin(tmp_path), store=store, output=output, last=last)
        _, said = process.communicate(timeout=600)
    assert (process.returncode, "another process is training into it" in said) == (2, True), said
    assert not list(output.iterdir())
    assert not (tmp_path / ".run.lock").exists()


def refuse_locks(is_refused: Callable[[int], bool], monkeypatch: pytest.MonkeyPatch) -> None:
    flock = fcntl.flock

    def refuse(descriptor: int, operation: int) -> None:
        if is_refused(descriptor):
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        flock(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", refuse)


def is_read_only(descriptor: int) -> bool:
    return fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDONLY


def test_where_only_files_open_for_writing_can_be_locked_one_beside_the_output_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on NFS."""
    refuse_locks(is_read_only, monkeypatch)
    with (
        hold(tmp_path / "run", voice=Voice(say=pytest.fail)),
        pytest.raises(UsageError, match="another process"),
        hold(tmp_path / "run", voice=Voice(say=pytest.fail)),
    ):
        pass
    with hold(tmp_path / "run", voice=Voice(say=pytest.fail)):
        assert not list((tmp_path / "run").iterdir())


def test_where_nothing_can_be_locked_the_user_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    refuse_locks(lambda _: True, monkeypatch)
    announced: list[str] = []
    with hold(tmp_path / "run", voice=Voice(say=announced.append)):
        pass
    assert [line.partition(", so")[0] for line in announced] == [f"warning: {tmp_path / 'run'}: cannot be locked"]


def test_a_file_is_not_taken_for_an_output(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("precious")
    with pytest.raises(UsageError, match="not a directory"), hold(tmp_path / "run", voice=Voice(say=pytest.fail)):
        pass
