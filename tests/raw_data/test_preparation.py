"""A MovieLens download turned into a store; partly on real data, where it is present."""

from pathlib import Path

import numpy as np
import pytest

from hstu_preserve.data.known_datasets import Layout
from hstu_preserve.errors import ContentError, UsageError
from hstu_preserve.raw_data.preparation import prepare_movielens
from hstu_preserve.records.store import StoreCounts, TiePolicy
from tests.data.raw_files import write_layout


def shuffle_ratings(source: Path, folder: Path, *, seed: int) -> Path:
    """Copy ml-latest-small with the rows of `ratings.csv` in another order."""
    folder.mkdir()
    header, *rows = (source / "ratings.csv").read_text().splitlines(keepends=True)
    order = np.random.default_rng(seed).permutation(len(rows))
    (folder / "ratings.csv").write_text(header + "".join(rows[place] for place in order))
    (folder / "movies.csv").write_bytes((source / "movies.csv").read_bytes())
    return folder


def fingerprint(folder: Path, tie_policy: TiePolicy, *, output: Path) -> str:
    return prepare_movielens(folder, name="ml-latest-small", tie_policy=tie_policy, output=output).fingerprint


@pytest.mark.parametrize(
    ("name", "layout"),
    [("ml-100k", Layout.TABBED), ("ml-1m", Layout.DOUBLE_COLON), ("ml-32m", Layout.CSV)],
)
def test_other_counts_than_the_published_ones_are_refused_and_both_are_named(
    tmp_path: Path, name: str, layout: Layout
) -> None:
    folder = write_layout(tmp_path, layout=layout)
    with pytest.raises(
        ContentError, match=rf"{name}: not the published data .expected [0-9,]+ users, found 2; .*found 4"
    ):
        prepare_movielens(folder, name=name, tie_policy=TiePolicy.STABLE, output=tmp_path / "store")


def test_the_imported_order_cannot_be_made_from_raw_files(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="data import"):
        prepare_movielens(tmp_path, name="ml-1m", tie_policy=TiePolicy.IMPORTED, output=tmp_path / "store")


def test_ml_latest_small_has_its_published_counts(latest_small: Path, tmp_path: Path) -> None:
    store = prepare_movielens(
        latest_small, name="ml-latest-small", tie_policy=TiePolicy.STABLE, output=tmp_path / "store"
    )
    assert store.record.counts == StoreCounts(
        num_users=610, num_rated_items=9_724, num_candidates=9_742, max_item_id=193_609, num_ratings=100_836
    )
    assert not store.record.provenance.redistributable
    assert len(store.record.genres) == 20
    assert int((store.candidate_years == 0).sum()) == 13


def test_only_the_item_id_policy_is_independent_of_file_order(latest_small: Path, tmp_path: Path) -> None:
    shuffled = shuffle_ratings(latest_small, tmp_path / "shuffled", seed=1)
    folders = {"as_it_is": latest_small, "shuffled": shuffled}
    found = {
        (name, policy): fingerprint(folder, policy, output=tmp_path / f"{name}-{policy}")
        for name, folder in folders.items()
        for policy in (TiePolicy.ITEM_ID, TiePolicy.STABLE)
    }
    assert found["as_it_is", TiePolicy.ITEM_ID] == found["shuffled", TiePolicy.ITEM_ID]
    assert found["as_it_is", TiePolicy.STABLE] != found["shuffled", TiePolicy.STABLE]
