"""ml-32m is held against what GroupLens publishes of it; made-up files stand for the download."""

import hashlib
from dataclasses import replace
from pathlib import Path

import pytest

from hstu_preserve.data import known_datasets
from hstu_preserve.data.known_datasets import KNOWN_DATASETS, Layout, list_count_differences
from hstu_preserve.errors import ContentError
from hstu_preserve.raw_data.preparation import prepare_movielens
from hstu_preserve.records.store import StoreCounts, TiePolicy
from tests.data.raw_files import format_ratings, write_layout, zip_folder

ML_32M = KNOWN_DATASETS["ml-32m"]
PUBLISHED = StoreCounts(
    num_users=200_948, num_rated_items=80_000, num_candidates=87_585, max_item_id=300_000, num_ratings=32_000_204
)
"""What is published of ml-32m; rated items and largest id are made up: they are held against nothing."""


def test_ml_32m_of_the_published_size_is_taken() -> None:
    assert list_count_differences(PUBLISHED, dataset=ML_32M) == []


@pytest.mark.parametrize(
    ("count", "published", "says"),
    [
        ("num_users", 200_948, "expected 200,948 users, found 200,947"),
        ("num_candidates", 87_585, "expected 87,585 candidates, found 87,584"),
        ("num_ratings", 32_000_204, "expected 32,000,204 ratings, found 32,000,203"),
    ],
)
def test_ml_32m_with_one_less_of_anything_is_named(count: str, published: int, says: str) -> None:
    counts = PUBLISHED.model_copy(update={count: published - 1})
    assert list_count_differences(counts, dataset=ML_32M) == [says]


def test_an_ml_32m_zip_with_another_md5_is_refused_before_use_and_both_are_shown(tmp_path: Path) -> None:
    folder = write_layout(tmp_path / "raw", layout=Layout.CSV)
    archive = zip_folder(folder, tmp_path / "ml-32m.zip", prefix="ml-32m/")
    found = hashlib.md5(archive.read_bytes()).hexdigest()
    with pytest.raises(ContentError, match=f"md5 differs .expected d472be332d4daa821edc399621853b57, found {found}"):
        prepare_movielens(archive, name="ml-32m", tie_policy=TiePolicy.STABLE, output=tmp_path / "store")


def test_a_zip_of_ml_32ms_layout_is_prepared_with_its_half_stars(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [(1, 3, 0.5, 978300760), (1, 10, 3.5, 978300761), (2, 20, 5.0, 978300762), (2, 3, 4.5, 978300763)]
    folder = write_layout(
        tmp_path / "raw", layout=Layout.CSV, ratings=format_ratings(rows, layout=Layout.CSV).replace("\n", "\r\n")
    )
    archive = zip_folder(folder, tmp_path / "ml-32m.zip", prefix="ml-32m/")
    md5 = hashlib.md5(archive.read_bytes()).hexdigest()
    small = replace(ML_32M, zip_md5=md5, num_users=2, num_candidates=3, num_ratings=4)
    monkeypatch.setitem(known_datasets.KNOWN_DATASETS, "ml-32m", small)
    store = prepare_movielens(archive, name="ml-32m", tie_policy=TiePolicy.STABLE, output=tmp_path / "store")
    assert store.name == "ml-32m"
    assert store.half_stars.tolist() == [1, 7, 10, 9]
    assert store.record.provenance.source_md5 == md5
    assert not store.record.provenance.redistributable
