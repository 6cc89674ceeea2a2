"""The option that records golden values anew, and where the real MovieLens data is, on machines that have it."""

import os
import resource
import signal
from pathlib import Path

import pytest
from hypothesis import settings

ROOT = Path(__file__).resolve().parents[1]

# Two workers with two threads each share two cores: waiting by spinning made one test take 135 s instead of 8.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

# Whoever starts the tests in the background, or with nohup, has them ignore signals, which every process that they
# start would inherit; one that is caught is not inherited.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
for number in (signal.SIGHUP, signal.SIGTERM, signal.SIGUSR1, signal.SIGXCPU):
    if signal.getsignal(number) is signal.SIG_IGN:
        signal.signal(number, lambda *_: None)

# Machines that run other work beside the tests are slow now and then; that is no failure. Each run draws other
# examples, so that many runs see many of them; `make test-slow` takes hypothesis's own number of examples.
settings.register_profile("repository", deadline=None, max_examples=30)
settings.register_profile("thorough", deadline=None, max_examples=100)
settings.load_profile("repository")


WORKERS = 2
PROCESSES_OF_WORKERS = 64
"""Processes and threads that so many workers take together with what their tests start: a push alone takes 18."""


def pytest_xdist_auto_num_workers() -> int:
    """Take one worker if a limit of processes is too tight for two; it counts threads, and root has none."""
    limit, _ = resource.getrlimit(resource.RLIMIT_NPROC)
    is_tight = os.getuid() != 0 and limit != resource.RLIM_INFINITY and limit < PROCESSES_OF_WORKERS
    return 1 if is_tight else WORKERS


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-goldens", action="store_true", help="write golden files instead of comparing with them")


@pytest.fixture
def updates_goldens(request: pytest.FixtureRequest) -> bool:
    """Whether golden files are to be written instead of compared with."""
    return bool(request.config.getoption("--update-goldens"))


@pytest.fixture(scope="session")
def latest_small() -> Path:
    """The unpacked ml-latest-small; the test is skipped where it is absent."""
    beside = ROOT.parent / "shared" / "data"
    folder = Path(os.environ.get("HSTU_PRESERVE_MOVIELENS", beside)) / "ml-latest-small"
    if not (folder / "ratings.csv").is_file():
        pytest.skip("ml-latest-small is not here; HSTU_PRESERVE_MOVIELENS names the folder that holds it")
    return folder
