"""Threads that end while they are listed."""

import threading
from pathlib import Path

import pytest

from tests.system_threads import read_of_threads

pytestmark = pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="threads are found by /proc")


def test_a_thread_that_ends_meanwhile_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """It did once in CI, and the process that listed its threads ended with an error that its partner reported."""
    may_end, read = threading.Event(), Path.read_text
    thread = threading.Thread(target=may_end.wait)
    thread.start()
    may_all_end = threading.Event()
    later = threading.Thread(target=may_all_end.wait)
    later.start()
    assert thread.native_id is not None
    file = Path(f"/proc/self/task/{thread.native_id}/comm")

    def end_it_first(path: Path) -> str:
        if path == file:
            may_end.set()
            while file.exists():  # Python's thread ends before the system's
                thread.join()
        return read(path)

    monkeypatch.setattr(Path, "read_text", end_it_first)
    names = read_of_threads("comm")
    may_all_end.set()
    later.join()
    assert may_end.is_set()
    assert str(thread.native_id) not in names
    assert {str(threading.main_thread().native_id), str(later.native_id)} <= set(names)


def test_a_process_that_is_gone_has_no_threads() -> None:
    assert read_of_threads("comm", pid=2**22 + 1) == {}
