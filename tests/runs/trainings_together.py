"""Processes of one training, started without torchrun, and where each of them stands if they do not end."""

import os
import signal
import socket
import subprocess
from dataclasses import dataclass

import pytest

from tests.forked import PROGRAM, Forked, start_program
from tests.system_threads import read_of_threads

PATIENCE_SECONDS = 3600
"""What takes longer hangs. On two cores with six others at work such a training took 45 s at most, and 15 minutes where
the system gave the others nearly all of them."""
PATIENCE_WITH_THE_OTHERS_SECONDS = 600


@dataclass(frozen=True, kw_only=True)
class Ended:
    """How a process ended."""

    code: int
    shown: str
    said: str


def find_free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def start_process(
    *arguments: str, rank: int, size: int, port: int, address: str = "127.0.0.1", program: str = PROGRAM
) -> Forked:
    """Begin one process of a training, as torchrun would."""
    numbers = {"RANK": str(rank), "WORLD_SIZE": str(size), "MASTER_ADDR": address, "MASTER_PORT": str(port)}
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONFAULTHANDLER": "1", **numbers}
    return start_program(*arguments, program=program, environment=environment)


def finish_all(processes: list[Forked]) -> list[Ended]:
    """Wait for the end of all; of a hang, say where each process that is left stands."""
    ended: list[Ended] = []
    patience_seconds = PATIENCE_SECONDS
    for process in processes:
        try:
            shown, said = process.communicate(timeout=patience_seconds)
        except subprocess.TimeoutExpired:
            dumps = [dump(process) for process in processes if process.poll() is None]
            pytest.fail("\n".join(["a hang", *dumps, *(f"{one.code}: {one.said}" for one in ended)]))
        if process.returncode:  # the others may wait for it: not as long as for one that trains
            patience_seconds = min(patience_seconds, PATIENCE_WITH_THE_OTHERS_SECONDS)
        ended.append(Ended(code=process.wait(), shown=shown, said=said))
    return ended


def dump(process: Forked) -> str:
    """Return where the threads of a process stand, in the system's words and in Python's; it ends thereby."""
    waits = read_of_threads("wchan", pid=process.pid)
    names = read_of_threads("comm", pid=process.pid)
    threads = [f"{thread} {name} in {waits.get(thread, '?')}" for thread, name in sorted(names.items())]
    process.send_signal(signal.SIGCONT)
    process.send_signal(signal.SIGABRT)  # the fault handler writes every thread's stack
    _, said = process.communicate()
    return "\n".join([f"process {process.pid}", *threads, said])
