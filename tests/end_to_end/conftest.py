"""Where the real MovieLens data is, on machines that have it."""

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def movielens() -> Path:
    """The unpacked ml-latest-small; the test is skipped where it is absent."""
    beside = Path(__file__).resolve().parents[3] / "shared" / "data"
    folder = Path(os.environ.get("HSTU_PRESERVE_MOVIELENS", beside)) / "ml-latest-small"
    if not (folder / "ratings.csv").is_file():
        pytest.skip("ml-latest-small is not here; HSTU_PRESERVE_MOVIELENS names the folder that holds it")
    return folder
