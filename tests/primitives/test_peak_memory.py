"""The peak of a process is its own."""

import subprocess
import sys
from pathlib import Path

import pytest

from hstu_preserve.primitives import peak_memory
from hstu_preserve.primitives.peak_memory import read_peak_bytes

MEGABYTE = 10**6
HELD = 200 * MEGABYTE
PROGRAM = "from hstu_preserve.primitives.peak_memory import read_peak_bytes; print(read_peak_bytes())"


def test_what_was_held_counts_when_it_is_gone() -> None:
    before = read_peak_bytes()
    held = b"1" * (before + HELD)
    assert len(held) > before
    del held
    assert read_peak_bytes() >= before + HELD


@pytest.mark.skipif(not peak_memory.STATUS.exists(), reason="only Linux says it of the program itself")
def test_what_the_parent_holds_does_not_count() -> None:
    held = b"1" * HELD
    said = subprocess.run([sys.executable, "-c", PROGRAM], check=True, capture_output=True, text=True).stdout
    assert len(held) == HELD
    assert int(said) < HELD / 2


def test_where_there_is_no_status_the_system_is_asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(peak_memory, "STATUS", tmp_path / "none")
    assert read_peak_bytes() > 5 * MEGABYTE
