"""Runs of their own process, killed at a chosen point of the program's own work.

A point is one call of a Python function of this package, or of a C function from within it: reading a file, `fsync`,
`replace`, one tensor operation. Numbered from 1 in an undisturbed run, any of them can be chosen, so that every moment
is reached: between steps, within one, while a checkpoint is written, while users are ranked, before the first step.
There are tens of thousands of them and most lie within steps; the points at which the output changes on the disk, a
hundred or so, can be chosen apart.
"""

import os
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from multiprocessing.connection import Connection
from pathlib import Path
from types import FrameType
from typing import Any

from hstu_preserve.bundle.layout import CHECKPOINT_FOLDER, METRICS, RANKS, STEPS
from hstu_preserve.evaluation.ranks import read_ranks
from hstu_preserve.event_files.reader import read_scalars
from hstu_preserve.records.manifest import CodeReference
from hstu_preserve.runs.durability import Durability
from hstu_preserve.training.checkpoint import read_checkpoint, state_digest
from tests.forked import CONTEXT

PACKAGE = str(Path(__file__).resolve().parents[2] / "hstu_preserve")


FILE_CHANGES = frozenset(
    {
        "os.rename",
        "os.remove",
        "os.mkdir",
        "os.rmdir",
        "os.chmod",
        "os.truncate",
        "tempfile.mkstemp",
        "tempfile.mkdtemp",
    }
)


class Points(StrEnum):
    """What is counted."""

    CALLS = "calls"
    FILE_CHANGES = "file changes"


@dataclass(frozen=True, kw_only=True)
class Job:
    """One training.

    Attributes:
        gin: What to train.
        store: On which data.
        output: The run directory.
        num_threads: Of the arithmetic.
        points: What is counted.
    """

    gin: Path
    store: Path
    output: Path
    num_threads: int = 2
    points: Points = Points.CALLS


def run(job: Job, *, kill_at: int | None = None, number: int = signal.SIGKILL) -> tuple[int | None, int]:
    """Train in a new process, with `--resume`, a checkpoint after every step.

    Args:
        job: What to train.
        kill_at: The point at which the process sends itself a signal; None lets it finish.
        number: The signal.

    Returns:
        The process's exit code, negative for a signal, and how many points there were (0 where it was killed).
    """
    return run_counted(train_counted, job, kill_at, number)


def run_counted(target: Callable[..., None], *arguments: object) -> tuple[int | None, int]:
    """Run a function in a new process; return its exit code, and how many points it reached (0 if it was killed).

    Args:
        target: Sends how many to the connection that follows its arguments.
        arguments: Which can be pickled.
    """
    here, there = CONTEXT.Pipe(duplex=False)
    process = CONTEXT.Process(target=target, args=(*arguments, there))
    process.start()
    there.close()
    try:
        num_points = here.recv()
    except EOFError:
        num_points = 0
    process.join()
    return process.exitcode, num_points


@dataclass(kw_only=True)
class Counter:
    """Counts points, and sends its process a signal at one of them.

    Attributes:
        kill_at: The number of that point, from 1; None counts only.
        number: The signal.
        count: How many were reached.
    """

    kill_at: int | None
    number: int
    count: int = 0

    def reach(self) -> None:
        """Count one more."""
        self.count += 1
        if self.count == self.kill_at:
            os.kill(os.getpid(), self.number)


def behave_as_the_command_line(*, num_threads: int) -> None:
    """Compute in so many threads, leave on signals as the program does, and say nothing."""
    import torch

    from hstu_preserve.primitives.leaving import leave

    torch.set_num_threads(num_threads)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, lambda number, _: leave(number))
    sys.stderr = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115  until the process ends


def train_counted(job: Job, kill_at: int | None, number: int, connection: Connection) -> None:
    """Be the new process: train as the command line does, counting points."""
    from hstu_preserve.runs import sealing
    from hstu_preserve.verbs.train import train

    # Whoever edits the checkout meanwhile would otherwise be recorded as having gone on with other code.
    vars(sealing)["find_running_code"] = lambda: CodeReference(version="test", commit=None, modified=None)
    behave_as_the_command_line(num_threads=job.num_threads)
    counter = Counter(kill_at=kill_at, number=number)
    if job.points is Points.CALLS:
        sys.setprofile(make_call_watcher(counter.reach))
    else:
        sys.addaudithook(make_file_watcher(counter.reach, folder=str(job.output.parent)))
    try:
        train(job.gin, data=job.store, output=job.output, device="cpu", durability=Durability(resume=True, minutes=0))
    except KeyboardInterrupt:
        sys.setprofile(None)
        os._exit(130)
    sys.setprofile(None)
    connection.send(counter.count)


def make_call_watcher(reach: Callable[[], None]) -> Callable[[FrameType, str, Any], None]:
    """Return a profiler that hears of every call in the program's own code."""

    def watch(frame: FrameType, event: str, argument: Any) -> None:
        if event in {"call", "c_call"} and frame.f_code.co_filename.startswith(PACKAGE):
            reach()

    return watch


def make_file_watcher(reach: Callable[[], None], *, folder: str) -> Callable[[str, tuple[Any, ...]], None]:
    """Return an audit hook that hears of every change of a file or directory below `folder`, just before it is made."""

    def watch(event: str, arguments: tuple[Any, ...]) -> None:
        if event != "open" and event not in FILE_CHANGES:
            return
        is_below = isinstance(arguments[0], str | os.PathLike) and os.fspath(arguments[0]).startswith(folder)
        is_read = event == "open" and not arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
        if is_below and not is_read:
            reach()

    return watch


def summarize(output: Path) -> dict[str, object]:
    """Return everything of a finished run that must not depend on how often it was killed."""
    (events,) = (output / "tb").rglob("events.out.tfevents.*")
    return {
        "points": [(point.tag, point.step, point.value.hex()) for point in read_scalars(events)],
        "steps": (output / STEPS).read_bytes(),
        "results": (output / METRICS).read_bytes(),
        "ranks": read_ranks((output / RANKS).read_bytes(), source=RANKS).digest(),
        "checkpoints": {
            path.name: (path.read_bytes(), state_digest(read_checkpoint(path).content))
            for path in sorted((output / CHECKPOINT_FOLDER).iterdir())
        },
        "files": sorted(
            path.relative_to(output).as_posix() for path in output.rglob("*") if path.is_file() and path != events
        ),
    }
