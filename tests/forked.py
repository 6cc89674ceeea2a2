"""Run programs in processes that are forked from one that has imported everything: imports take most of a short run.

What only a Python shows that has just been started is shown by one: which modules a command imports, what a variable
does that is read while a library is loaded, what Python does itself with a closed stream.
"""

import faulthandler
import importlib
import io
import multiprocessing
import os
import subprocess
import sys
import tempfile
import warnings
import weakref
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.reduction import DupFd
from pathlib import Path
from typing import Any

from hstu_preserve.hub.settings import find_unreadable

CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["fbgemm_gpu", "tensorboard.compat.proto.event_pb2", "tests.forked_preload"])
THREADS = "OMP_NUM_THREADS"
FORKED_CHANGES = (
    *("HF_", "HSTU_", "NO_PROXY", THREADS, "RANK", "WORLD_SIZE", "MASTER_"),
    "ATEN_CPU_CAPABILITY",  # which torch reads at its first operation
    *("PYTHONPYCACHEPREFIX", "PYTHONDONTWRITEBYTECODE", "PYTHONFAULTHANDLER", "PYTEST_"),
)
"""How variables begin that the program reads itself, so that one that was forked reads them as one that was started."""
PROGRAM = "from hstu_preserve.cli.main import run\nrun()\n"
STREAMS = (("stdin", "r"), ("stdout", "w"), ("stderr", "w"))
PATIENCE_SECONDS = 3600


@dataclass(frozen=True, kw_only=True)
class Beginning:
    """What a new process begins with: its program and that one's arguments, the folder that it is in, all variables."""

    program: str
    arguments: tuple[str, ...]
    folder: str
    environment: dict[str, str]


class Descriptors:
    """Open files, which the process that reads this object has, too."""

    def __init__(self, *numbers: int) -> None:
        self.numbers = numbers

    def __reduce__(self) -> tuple[Any, ...]:
        return receive_descriptors, tuple(DupFd(number) for number in self.numbers)


def receive_descriptors(*sent: Any) -> Descriptors:
    """Be the process that reads them, and return the numbers that they have there."""
    return Descriptors(*(one.detach() for one in sent))


class Forked:
    """A process that was forked, and what it has printed; as much of `subprocess.Popen` as is asked of one.

    Args:
        beginning: What it begins with.
        stdin: What it reads.
        stdout: A file that it prints to; None keeps what it prints.
        stderr: As `stdout`.
    """

    def __init__(
        self, beginning: Beginning, *, stdin: bytes = b"", stdout: int | None = None, stderr: int | None = None
    ) -> None:
        self.args = beginning.arguments
        self.kept = [open_nameless(), open_nameless()]
        source = open_nameless()
        os.pwrite(source, stdin, 0)
        streams = Descriptors(
            source, *(k if given is None else given for k, given in zip(self.kept, (stdout, stderr), strict=True))
        )
        self.process = CONTEXT.Process(target=be_the_program, args=(beginning, streams))
        self.process.start()
        os.close(source)
        for number in self.kept:
            weakref.finalize(self, os.close, number)
        assert self.process.pid is not None
        self.pid = self.process.pid

    @property
    def returncode(self) -> int | None:
        return self.process.exitcode

    def poll(self) -> int | None:
        return self.process.exitcode

    def wait(self, timeout: float = PATIENCE_SECONDS) -> int:
        """Return its exit code once it has ended."""
        self.process.join(timeout)
        if self.process.exitcode is None:
            raise subprocess.TimeoutExpired(self.args, timeout)
        return self.process.exitcode

    def read(self) -> tuple[bytes, bytes]:
        """Return what it has printed until now."""
        out, err = (os.pread(number, os.fstat(number).st_size, 0) for number in self.kept)
        return out, err

    def communicate(self, timeout: float = PATIENCE_SECONDS) -> tuple[str, str]:
        """Return what it printed, once it has ended."""
        self.wait(timeout)
        out, err = self.read()
        return out.decode(), err.decode()

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            with suppress(ProcessLookupError):  # it has just ended
                os.kill(self.pid, number)

    def terminate(self) -> None:
        self.process.terminate()

    def kill(self) -> None:
        self.process.kill()


def open_nameless() -> int:
    """Open a file that nothing names, and return its descriptor."""
    descriptor, name = tempfile.mkstemp()
    Path(name).unlink()
    return descriptor


def start_program(
    *arguments: str | bytes,
    program: str = PROGRAM,
    cwd: Path | None = None,
    environment: Mapping[str, str] | None = None,
    stdin: bytes = b"",
    stdout: int | None = None,
    stderr: int | None = None,
) -> Forked:
    """Begin a command as the console script does, warnings being errors.

    Args:
        arguments: Of the command.
        program: The text of another program than the console script.
        cwd: The folder in which it runs; None takes the current one.
        environment: All of its variables; None takes those of this process.
        stdin: What it reads.
        stdout: A file that it prints to; None keeps what it prints.
        stderr: As `stdout`.
    """
    beginning = Beginning(
        program=program,
        arguments=tuple(map(os.fsdecode, arguments)),
        folder=str(cwd or Path.cwd()),
        environment=dict(os.environ if environment is None else environment),
    )
    assert can_be_forked(beginning.environment), "start a Python of its own: it reads its variables when it is started"
    return Forked(beginning, stdin=stdin, stdout=stdout, stderr=stderr)


def run_program(
    *arguments: str | bytes,
    program: str = PROGRAM,
    cwd: Path | None = None,
    stdin: bytes = b"",
    environment: Mapping[str, str] | None = None,
) -> "subprocess.CompletedProcess[bytes]":
    """Run a command to its end, as `start_program` begins it, and return what it printed."""
    process = start_program(*arguments, program=program, cwd=cwd, environment=environment, stdin=stdin)
    try:
        code = process.wait()
    except subprocess.TimeoutExpired:
        process.kill()
        raise
    out, err = process.read()
    return subprocess.CompletedProcess(process.args, code, out, err)


def run_in_words(
    *arguments: str | bytes,
    program: str = PROGRAM,
    cwd: Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> "subprocess.CompletedProcess[str]":
    """Run a command as `run_program` does, and return what it printed as text."""
    process = start_program(*arguments, program=program, cwd=cwd, environment=environment)
    out, err = process.communicate()
    return subprocess.CompletedProcess(process.args, process.wait(), out, err)


def can_be_forked(environment: Mapping[str, str]) -> bool:
    """Whether the program in this environment is the same when it is forked as when it is started."""
    names = environment.keys() | os.environ.keys()
    changed = [name for name in names if environment.get(name) != os.environ.get(name)]
    return all(name.startswith(FORKED_CHANGES) for name in changed) and not find_unreadable(environment)


def be_the_program(beginning: Beginning, streams: Descriptors) -> None:
    """Be the new process."""
    os.environ.clear()
    os.environ.update(beginning.environment)
    os.chdir(beginning.folder)
    for descriptor, (given, (name, mode)) in enumerate(zip(streams.numbers, STREAMS, strict=True)):
        os.dup2(given, descriptor)
        os.close(given)
        raw = open(descriptor, f"{mode}b", closefd=False)  # noqa: SIM115  until the process ends
        setattr(sys, name, io.TextIOWrapper(raw, encoding="utf-8", line_buffering=name == "stderr"))
    sys.argv = ["hstu-preserve", *beginning.arguments]
    warnings.simplefilter("error")
    read_variables_anew(beginning.environment)
    exec(compile(beginning.program, "<program>", "exec"), {"__name__": "__main__"})


def read_variables_anew(environment: Mapping[str, str]) -> None:
    """Have what was imported in another environment be as if it had been imported in this one."""
    import huggingface_hub.constants
    import torch

    importlib.reload(huggingface_hub.constants)
    if THREADS in environment:
        torch.set_num_threads(int(environment[THREADS]))
    if environment.get("PYTHONFAULTHANDLER"):
        faulthandler.enable()
