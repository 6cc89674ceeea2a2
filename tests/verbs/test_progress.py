"""Long work says how far it has come: each activity grows, and ends at its total."""

from itertools import groupby
from pathlib import Path

import pytest

from hstu_preserve.library.sources import find_here
from hstu_preserve.primitives.voice import Progress, Voice
from hstu_preserve.verbs.data import prepare_data
from hstu_preserve.verbs.reproduce import reproduce
from hstu_preserve.verbs.unpack import unpack
from hstu_preserve.verbs.verify import verify
from tests.corpus.legacy.generators import build, read_cases


@pytest.fixture
def shown() -> list[Progress]:
    return []


@pytest.fixture
def voice(shown: list[Progress]) -> Voice:
    return Voice(show=shown.append)


def require_whole(shown: list[Progress]) -> list[str]:
    """Return the activities in their order, each of which must have grown to its total."""
    activities = []
    for activity, group in groupby(shown, key=lambda one: one.activity):
        events = list(group)
        completed = [one.completed for one in events]
        assert completed == sorted(completed)
        assert completed[-1] == events[-1].total > 0
        assert len({one.total for one in events}) == 1
        activities.append(activity)
    return activities


def test_verifying_a_bundle(shown: list[Progress], voice: Voice) -> None:
    verify("sample", voice=voice)
    assert require_whole(shown) == ["reading sample-hstu-synthetic.tar.gz"]
    assert shown[-1].total == find_here("sample").path.stat().st_size


def test_unpacking_a_bundle_and_verifying_its_tree(shown: list[Progress], voice: Voice, tmp_path: Path) -> None:
    unpack("sample", output=tmp_path / "tree", voice=voice)
    verify(str(tmp_path / "tree"), voice=voice)
    assert require_whole(shown) == ["reading sample-hstu-synthetic.tar.gz", "reading tree"]


def test_verifying_a_legacy_archive(shown: list[Progress], voice: Voice, tmp_path: Path) -> None:
    verify(build(read_cases()[0], folder=tmp_path), voice=voice)
    assert len(require_whole(shown)) == 1


def test_reproducing_a_bundle(shown: list[Progress], voice: Voice) -> None:
    reproduce("sample", voice=voice)
    assert require_whole(shown) == ["reading sample-hstu-synthetic.tar.gz", "evaluating (test)"]


def test_preparing_data(shown: list[Progress], voice: Voice, latest_small: Path, tmp_path: Path) -> None:
    prepare_data("ml-latest-small", source=latest_small, output=tmp_path / "store", voice=voice)
    assert require_whole(shown) == ["reading ratings", "writing the store"]
