"""Small runs that several modules look at: one left undisturbed, one that crashed, one that was resumed to its end."""

from pathlib import Path

import pytest

from hstu_preserve.primitives.voice import Voice
from hstu_preserve.runs.durability import Durability
from hstu_preserve.verbs.data import synthesize_data
from hstu_preserve.verbs.train import train
from tests.runs.crashing import CrashError, crash_after, resume, write_gin
from tests.runs.killing import summarize


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("data") / "store"
    synthesize_data(seed=5, num_users=40, num_items=80, num_ratings=1000, output=path)
    return path


@pytest.fixture(scope="module")
def undisturbed(store: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    folder = tmp_path_factory.mktemp("undisturbed")
    train(write_gin(folder), data=store, device="cpu", output=folder / "run")
    return summarize(folder / "run")


@pytest.fixture
def crashed(store: Path, tmp_path: Path) -> Path:
    """A run that crashed within its third epoch, with a checkpoint after every step."""
    with pytest.raises(CrashError):
        train(
            write_gin(tmp_path),
            data=store,
            device="cpu",
            output=tmp_path / "run",
            durability=Durability(minutes=0),
            voice=Voice(show=crash_after(7)),
        )
    return tmp_path / "run"


@pytest.fixture
def finished(crashed: Path, store: Path) -> Path:
    resume(crashed, store)
    return crashed
