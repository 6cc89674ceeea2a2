"""A clock that passes a time limit when the process that is limited has come to where a test wants it."""

import time
from pathlib import Path
from types import SimpleNamespace

import pytest

HOUR_SECONDS = 3600.0


def pass_the_hour_once_written(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have whoever waits for a group of processes see an hour pass as soon as a file has something in it."""

    def monotonic() -> float:
        has_passed = path.exists() and path.stat().st_size > 0
        return time.monotonic() + HOUR_SECONDS * has_passed

    clock = SimpleNamespace(monotonic=monotonic, sleep=time.sleep)
    monkeypatch.setattr("hstu_preserve.archived.process_groups.time", clock)
