"""Whatever a command starts ends with it: in peace, out of time, or when this program is told to leave."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from hstu_preserve.archived.process_groups import Ended, list_states, run_group
from hstu_preserve.primitives.voice import SILENT
from tests.archived.clocks import pass_the_hour_once_written

BOTH_STUBBORN = """
import os, pathlib, signal, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
if os.fork() == 0:
    time.sleep(600)
pathlib.Path("group").write_text(str(os.getpgid(0)))
time.sleep(float(sys.argv[1]))
"""
GROUP = "group"


def run(folder: Path, *arguments: str, timeout_seconds: float | None = None) -> Ended:
    return run_group(
        [sys.executable, "-c", *arguments],
        folder=folder,
        environment=os.environ,
        stdout=folder / "out",
        stderr=folder / "err",
        timeout_seconds=timeout_seconds,
        voice=SILENT,
    )


def require_gone(folder: Path) -> None:
    states = list_states(int((folder / GROUP).read_text()))
    assert states is not None
    assert set(states) <= {"Z", "X"}


def test_what_it_prints_is_kept_and_its_code_is_returned(tmp_path: Path) -> None:
    ended = run(tmp_path, "import sys; print('out'); print('err', file=sys.stderr); sys.exit(7)")
    assert (ended.return_code, ended.has_timed_out) == (7, False)
    assert ((tmp_path / "out").read_text(), (tmp_path / "err").read_text()) == ("out\n", "err\n")


def test_a_command_that_hangs_is_ended_with_all_that_it_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hstu_preserve.archived.process_groups.GRACE_SECONDS", 0.5)
    pass_the_hour_once_written(tmp_path / GROUP, monkeypatch)
    ended = run(tmp_path, BOTH_STUBBORN, "600", timeout_seconds=3600.0)
    assert ended.has_timed_out
    assert ended.return_code == -signal.SIGKILL
    require_gone(tmp_path)


def test_workers_do_not_outlive_a_command_that_ends_in_peace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hstu_preserve.archived.process_groups.GRACE_SECONDS", 0.5)
    assert run(tmp_path, BOTH_STUBBORN, "0").return_code == 0
    require_gone(tmp_path)


def test_processes_that_end_when_asked_are_not_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = BOTH_STUBBORN.replace("signal.signal(signal.SIGTERM, signal.SIG_IGN)", "")
    monkeypatch.setattr("hstu_preserve.archived.process_groups.GRACE_SECONDS", 1e6)  # who waits for it, waits for days
    pass_the_hour_once_written(tmp_path / GROUP, monkeypatch)
    ended = run(tmp_path, text, "600", timeout_seconds=3600.0)
    assert ended.return_code == -signal.SIGTERM
    require_gone(tmp_path)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_no_process_is_left_when_this_program_is_told_to_leave(tmp_path: Path, number: signal.Signals) -> None:
    program = f"""
import os, pathlib, sys
from hstu_preserve.archived import process_groups
from hstu_preserve.primitives.leaving import Leaving
from hstu_preserve.primitives.voice import SILENT
process_groups.GRACE_SECONDS = 0.5
Leaving().listen()
here = pathlib.Path.cwd()
process_groups.run_group([sys.executable, "-c", {BOTH_STUBBORN!r}, "600"], folder=here, environment=os.environ,
    stdout=here / "out", stderr=here / "err", timeout_seconds=None, voice=SILENT)
"""
    process = subprocess.Popen([sys.executable, "-c", program], cwd=tmp_path, stderr=subprocess.DEVNULL)
    while not (tmp_path / GROUP).exists() or not (tmp_path / GROUP).read_text():
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(number)
    assert process.wait(600) in {130, 128 + number, -number}
    require_gone(tmp_path)


def test_a_signal_that_comes_while_the_command_starts_is_heard_once_it_has_a_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    popen = subprocess.Popen

    def interrupted(*args: object, **kwargs: object) -> object:
        process = popen(*args, **kwargs)  # type: ignore[call-overload]
        os.kill(os.getpid(), signal.SIGINT)
        return process

    monkeypatch.setattr("subprocess.Popen", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, "import os, pathlib, time; pathlib.Path('group').write_text(str(os.getpid())); time.sleep(600)")
    assert threading.current_thread() is threading.main_thread()
    if (tmp_path / GROUP).exists():
        require_gone(tmp_path)
