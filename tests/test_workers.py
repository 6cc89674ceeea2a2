"""How many workers the tests take: fewer where a limit of processes is tight."""

import os
import resource

import pytest

from tests.conftest import PROCESSES_OF_WORKERS, pytest_xdist_auto_num_workers


@pytest.mark.parametrize(
    ("user", "limit", "workers"),
    [
        (1000, PROCESSES_OF_WORKERS - 1, 1),
        (1000, PROCESSES_OF_WORKERS, 2),
        (1000, resource.RLIM_INFINITY, 2),
        (0, 1, 2),
    ],
)
def test_a_tight_limit_that_holds_leaves_one_worker(
    user: int, limit: int, workers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "getuid", lambda: user)
    monkeypatch.setattr(resource, "getrlimit", lambda _: (limit, resource.RLIM_INFINITY))
    assert pytest_xdist_auto_num_workers() == workers
