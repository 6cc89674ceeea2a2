"""Run a command and everything it starts as one group of processes, which ends as a whole."""

import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from hstu_preserve.errors import UnavailableError
from hstu_preserve.primitives.files import refuse_unwritable
from hstu_preserve.primitives.leaving import SIGNALS, is_ignored
from hstu_preserve.primitives.voice import Progress, Voice

GRACE_SECONDS = 10.0
"""Between asking the group to end and ending it."""
KILLED_SECONDS = 10.0
"""How long the system may take to end what was killed."""
POLL_SECONDS = 0.05
SHOW_SECONDS = 1.0


@dataclass(frozen=True, kw_only=True)
class Ended:
    """How a command ended.

    Attributes:
        return_code: As the system gave it; negative for a signal.
        seconds: How long it ran.
        has_timed_out: Whether it was ended because its time was over.
    """

    return_code: int
    seconds: float
    has_timed_out: bool


def find_free_port() -> int:
    """Return a port of this machine at which nobody listens now."""
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        port: int = probe.getsockname()[1]
    return port


def run_group(
    command: Sequence[str],
    *,
    folder: Path,
    environment: Mapping[str, str],
    stdout: Path,
    stderr: Path,
    timeout_seconds: float | None,
    voice: Voice,
) -> Ended:
    """Run a command in a session of its own, and leave none of its processes behind, however this call ends.

    Args:
        command: Program and arguments.
        folder: Where it runs.
        environment: All of its environment.
        stdout: A new file for what it prints.
        stderr: A new file for what it complains of.
        timeout_seconds: After which it is ended; None never.
        voice: Shows how long it has run.

    Raises:
        UnavailableError: It cannot be started, or its output cannot be written.
    """
    begin = time.monotonic()
    process = None
    try:
        with refuse_unwritable(stdout), stdout.open("xb") as out, stderr.open("xb") as errors, signals_held() as held:
            process = start(command, folder=folder, environment=environment, stdout=out, stderr=errors)
            held.release()
        has_timed_out = not wait(process, begin=begin, timeout_seconds=timeout_seconds, voice=voice)
        seconds = time.monotonic() - begin
    finally:
        # Also after an end in peace: workers may outlive the process that started them.
        if process is not None:
            end_group(process)
    return Ended(return_code=process.returncode, seconds=seconds, has_timed_out=has_timed_out)


class Held:
    """Signals that arrived while none could be heard: between the start of a process and the name for it."""

    def __init__(self) -> None:
        self.numbers: list[int] = []
        self.handlers: dict[int, Any] = {}

    def hold(self) -> None:
        """Keep each signal that ends this program; elsewhere than in the main thread Python hears none anyway."""
        if threading.current_thread() is threading.main_thread():
            for number in SIGNALS:
                if not is_ignored(number):
                    self.handlers[number] = signal.signal(number, lambda number, frame: self.numbers.append(number))

    def release(self) -> None:
        """Let signals be heard again, those that came meanwhile first."""
        for number, handler in self.handlers.items():
            signal.signal(number, handler)
        self.handlers.clear()
        while self.numbers:
            os.kill(os.getpid(), self.numbers.pop())


@contextmanager
def signals_held() -> Iterator[Held]:
    """Yield held signals, which are heard at the latest when the block ends."""
    held = Held()
    held.hold()
    try:
        yield held
    finally:
        held.release()


def start(
    command: Sequence[str], *, folder: Path, environment: Mapping[str, str], stdout: IO[bytes], stderr: IO[bytes]
) -> "subprocess.Popen[bytes]":
    """Start a command in a session of its own.

    Raises:
        UnavailableError: It cannot be started.
    """
    try:
        return subprocess.Popen(  # noqa: S603  the user's interpreter and the code he trusts
            list(command),
            cwd=folder,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=stderr,
            start_new_session=True,
        )
    except OSError as error:
        raise UnavailableError(f"{command[0]}: cannot be started ({error.strerror})") from None


def wait(process: "subprocess.Popen[bytes]", *, begin: float, timeout_seconds: float | None, voice: Voice) -> bool:
    """Wait for the process that leads the group, and return whether it ended in time."""
    while True:
        elapsed = time.monotonic() - begin
        left = SHOW_SECONDS if timeout_seconds is None else min(SHOW_SECONDS, timeout_seconds - elapsed)
        if left <= 0:
            return False
        with suppress(subprocess.TimeoutExpired):
            process.wait(timeout=left)
            return True
        total = elapsed if timeout_seconds is None else timeout_seconds
        voice.show(Progress(activity="the author's code, seconds", completed=int(elapsed), total=max(1, int(total))))


def end_group(process: "subprocess.Popen[bytes]") -> None:
    """Ask every process of the group to end, and end those that do not."""
    group = process.pid
    for number, seconds in ((signal.SIGTERM, GRACE_SECONDS), (signal.SIGKILL, KILLED_SECONDS)):
        if not lives(group):
            break
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(group, number)
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            process.poll()
            if not lives(group):
                break
            time.sleep(POLL_SECONDS)
    process.wait()


def lives(group: int) -> bool:
    """Whether a process of the group is left; one that has ended and that nobody asked after is none."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    states = list_states(group)
    return states is None or any(state not in {"Z", "X"} for state in states)


def list_states(group: int) -> list[str] | None:
    """Return the state of each process of the group, None on a system without `/proc`."""
    states = []
    try:
        names = [name for name in os.listdir("/proc") if name.isdigit()]  # noqa: PTH208  # names are wanted
    except OSError:
        return None
    for name in names:
        with suppress(OSError, ValueError, IndexError):
            status = Path("/proc", name, "stat").read_text(encoding="ascii", errors="replace")
            state, _, its_group = status.rpartition(")")[2].split()[:3]  # a name may hold blanks and brackets
            if int(its_group) == group:
                states.append(state)
    return states if names else None
