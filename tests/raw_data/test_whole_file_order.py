"""Ratings of a whole file in the order in which NumPy sorts them, against NumPy asked by hand."""

import sys
from pathlib import Path

import numpy as np
import pytest

from hstu_preserve.data.ratings import Ratings, join_ratings
from hstu_preserve.errors import UnavailableError
from hstu_preserve.primitives.voice import SILENT
from hstu_preserve.raw_data import whole_file_order
from hstu_preserve.raw_data.numpy_orders import NumpySorter, find_sorter
from hstu_preserve.raw_data.whole_file_order import sort_whole_file
from hstu_preserve.records.store import TiePolicy
from tests.raw_data.numpy_truth import ORDERS, argsort, make_times
from tests.raw_data.test_numpy_orders import write_python

NUM_EVENTS = 3000


def make_ratings() -> Ratings:
    """Ratings whose item says where each stands in the file."""
    return Ratings(
        user_ids=np.random.default_rng(1).integers(0, 40, NUM_EVENTS).astype(np.int32),
        item_ids=np.arange(NUM_EVENTS, dtype=np.int32),
        half_stars=(np.arange(NUM_EVENTS) % 10 + 1).astype(np.int8),
        timestamps=make_times(NUM_EVENTS, seed=2),
    )


def split(ratings: Ratings, *, size: int) -> list[Ratings]:
    return [
        Ratings(
            user_ids=ratings.user_ids[start : start + size],
            item_ids=ratings.item_ids[start : start + size],
            half_stars=ratings.half_stars[start : start + size],
            timestamps=ratings.timestamps[start : start + size],
        )
        for start in range(0, NUM_EVENTS, size)
    ]


def sort(parts: list[Ratings], folder: Path, *, sorter: NumpySorter | None) -> list[Ratings]:
    return list(sort_whole_file(parts, sorter=sorter, folder=folder, label=folder, voice=SILENT))


@pytest.mark.parametrize("policy", ORDERS)
def test_events_come_as_numpy_sorts_the_whole_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, policy: TiePolicy
) -> None:
    monkeypatch.setattr(whole_file_order, "EVENTS_PER_BLOCK", 700)
    ratings = make_ratings()
    parts = sort(split(ratings, size=450), tmp_path, sorter=find_sorter(policy, numpy_python=None))
    found = join_ratings(parts)
    order = argsort(ratings.timestamps.tolist(), policy)
    assert order != np.argsort(ratings.timestamps, kind="stable").tolist()
    assert len(parts) == 5
    assert found.item_ids.tolist() == order
    assert found.user_ids.tolist() == ratings.user_ids[order].tolist()
    assert found.half_stars.tolist() == ratings.half_stars[order].tolist()
    assert found.timestamps.tolist() == ratings.timestamps[order].tolist()
    assert not any(tmp_path.iterdir())


def test_without_a_sorter_events_come_as_they_are(tmp_path: Path) -> None:
    parts = split(make_ratings(), size=1000)
    assert sort(parts, tmp_path, sorter=None) == parts


def test_no_events_are_no_events(tmp_path: Path) -> None:
    sorter = find_sorter(TiePolicy.NUMPY_INTROSORT, numpy_python=None)
    assert sort([], tmp_path, sorter=sorter) == []


@pytest.mark.parametrize(
    "order",
    [
        np.arange(NUM_EVENTS),
        np.argsort(make_ratings().timestamps)[:-1],
        np.argsort(make_ratings().timestamps) + 1,
        np.repeat(np.argsort(make_ratings().timestamps)[::2], 2),
        np.empty(0, dtype=np.int64),
    ],
    ids=["unsorted", "short", "outside", "twice", "empty"],
)
def test_an_order_that_is_none_is_refused(tmp_path: Path, order: np.ndarray[tuple[int], np.dtype[np.int64]]) -> None:
    order.astype("<i8").tofile(tmp_path / "order")
    python = write_python(tmp_path, f"cat {tmp_path / 'order'}")
    sorter = NumpySorter(policy=TiePolicy.NUMPY_AVX512_1, python=str(python), version="1.26.4")
    with pytest.raises(UnavailableError, match="did not sort the times"):
        sort([make_ratings()], tmp_path, sorter=sorter)


def test_a_numpy_with_another_known_answer_does_not_sort(tmp_path: Path) -> None:
    """The process that sorts answers for itself, whatever the one that was asked before has answered."""
    sorter = NumpySorter(policy=TiePolicy.NUMPY_AVX512_1, python=sys.executable, version="1.26.4")
    with pytest.raises(UnavailableError, match=r"fails .NumPy 2\.[0-9.]+ sorts otherwise here"):
        sort([make_ratings()], tmp_path, sorter=sorter)
