"""A process that waits for others hears signals, says whom it waits for, and leaves the group without a hang."""

import os
import re
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from hstu_preserve.bundle.layout import CHECKPOINT_FOLDER, STEPS
from hstu_preserve.verbs.data import synthesize_data
from tests.busy_loops import busy_loops
from tests.forked import Forked
from tests.runs.tiny_run import tiny_gin
from tests.runs.trainings_together import Ended, find_free_port, finish_all, start_process

NUM_TRAININGS = int(os.environ.get("HSTU_PRESERVE_NUM_TRAININGS", "200"))
"""Whoever has less time than 200 of them take names fewer."""
NUM_AT_ONCE, NUM_BUSY_LOOPS = 4, 4


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("data") / "store"
    synthesize_data(seed=5, num_users=40, num_items=80, num_ratings=1000, output=path)
    return path


def write_gin(folder: Path, *, num_epochs: int) -> Path:
    path = folder / "experiment.gin"
    path.write_text(tiny_gin(sampling_strategy="local", num_epochs=num_epochs, local_batch_size=16))
    return path


def read_until(process: Forked, words: str) -> None:
    """Wait until a process has said some words, a regular expression."""
    while not re.search(words, said := process.read()[1].decode()):
        assert process.poll() is None, f"it ended with {process.wait()}:\n{said}"
        time.sleep(0.01)


def test_a_signal_ends_the_wait_for_processes_that_never_come(store: Path, tmp_path: Path) -> None:
    gin, port = str(write_gin(tmp_path, num_epochs=1)), find_free_port()
    waits = {
        (0, 3, "127.0.0.1", signal.SIGTERM): f"process 0 of 3 waits for processes 1, 2, to come to 127.0.0.1:{port}",
        (1, 2, "127.0.0.1", signal.SIGINT): "process 1 of 2 waits for process 0 to listen at",
        (1, 2, "no.such.host.invalid", signal.SIGHUP): "waits for the address no.such.host.invalid of MASTER_ADDR",
    }
    processes = [
        start_process(
            *("train", gin, "--data", str(store), "--output", str(tmp_path / f"run-{number}")),
            rank=rank,
            size=size,
            port=port + (address != "127.0.0.1" or rank),  # one each: they belong to different runs
            address=address,
        )
        for number, (rank, size, address, _) in enumerate(waits)
    ]
    for process, ((*_, number), words) in zip(processes, waits.items(), strict=True):
        read_until(process, words)
        process.send_signal(number)
    ended = finish_all(processes)
    assert [one.code for one in ended] == [143, 130, 129]
    assert not any("Traceback" in one.said for one in ended)
    assert not list(tmp_path.glob("run-*"))


IMPATIENT = """
from hstu_preserve.compute import waiting
waiting.NOTICE_AFTER_SECONDS = 1.0
from hstu_preserve.cli.main import run
run()
"""


def has_steps(run: Path) -> bool:
    return (run / STEPS).exists() and (run / STEPS).stat().st_size > 0


@pytest.mark.parametrize(("hung", "number", "code"), [(1, signal.SIGTERM, 143), (0, signal.SIGINT, 130)])
def test_a_hung_partner_is_named_and_left(hung: int, number: int, code: int, store: Path, tmp_path: Path) -> None:
    run, port = tmp_path / "run", find_free_port()
    gin = str(write_gin(tmp_path, num_epochs=100_000))
    arguments = ("train", gin, "--data", str(store), "--output", str(run), "--checkpoint-minutes", "0")
    processes = [start_process(*arguments, rank=rank, size=2, port=port, program=IMPATIENT) for rank in range(2)]
    while not has_steps(run):
        assert all(process.poll() is None for process in processes), finish_all(processes)
        time.sleep(0.01)
    processes[hung].send_signal(signal.SIGSTOP)
    other = processes[1 - hung]
    # On a busy machine it has waited for the other before, and said so.
    read_until(other, rf"process {1 - hung} of 2 has waited \d+ s for process {hung}")
    other.send_signal(number)
    (ended,) = finish_all([other])
    assert ended.code == code, ended.said
    assert f"process {1 - hung} of 2 waits for process {hung} no longer" in ended.said
    assert ("saved; the same command with --resume" in ended.said) == (hung == 1), "the first process writes and speaks"
    assert "Traceback" not in ended.said
    assert hung == 0 or list((run / CHECKPOINT_FOLDER).iterdir())
    processes[hung].kill()
    processes[hung].communicate()


LEAVING_THE_GROUP = """
import sys
import time

import torch

from hstu_preserve.compute.world import join_world
from hstu_preserve.training.shared_loss import average_gradients
from tests.system_threads import read_of_threads


def list_threads():
    return list(read_of_threads("comm").values())


sys.setswitchinterval(1000)  # a thread that wants Python's lock gets it only from one that blocks
kept = []
try:
    with join_world(torch.device("cpu"), say=lambda _: None) as world:
        while "pt_gloo_runloop" not in list_threads():  # it names itself once it runs
            time.sleep(0.01)
        model = torch.nn.Linear(64, 64)
        for _ in range(3):
            model(torch.ones(4, 64)).sum().backward()
            average_gradients(list(model.parameters()), world)
        assert world.gather(world.rank) == [0, 1]
        kept.append((model, world))
        world.wait()
        if len(sys.argv) > 1:
            raise KeyError
except KeyError as error:
    kept.append(error)  # with every frame, as a notebook keeps the last one
assert "pt_gloo_runloop" not in list_threads(), list_threads()
print("left")
"""


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="threads are found by /proc")
@pytest.mark.parametrize("ending", [[], ["by an error"]], ids=["at the end", "by an error"])
def test_no_thread_of_the_group_outlives_it(ending: list[str]) -> None:
    """One that did would free what it sent when Python has ended, or be joined by whoever holds Python's lock."""
    port = find_free_port()
    ended = finish_all(
        [start_process(*ending, rank=rank, size=2, port=port, program=LEAVING_THE_GROUP) for rank in range(2)]
    )
    assert [(one.code, one.shown) for one in ended] == [(0, "left\n")] * 2, "\n".join(one.said for one in ended)


@pytest.mark.slow
def test_every_one_of_many_short_trainings_ends(store: Path, tmp_path: Path) -> None:
    """Of 200 beside busy loops: the hang that this is about came after the last step, in about one of a hundred."""
    gin = str(write_gin(tmp_path, num_epochs=1))

    def train(number: int) -> list[Ended]:
        arguments = ("train", gin, "--data", str(store), "--output", str(tmp_path / f"run-{number}"), "--device", "cpu")
        port = find_free_port()
        return finish_all([start_process(*arguments, rank=rank, size=2, port=port) for rank in range(2)])

    with busy_loops(NUM_BUSY_LOOPS), ThreadPoolExecutor(NUM_AT_ONCE) as pool:
        for number, ended in enumerate(pool.map(train, range(NUM_TRAININGS))):
            assert [one.code for one in ended] == [0, 0], (number, *(one.said for one in ended))
