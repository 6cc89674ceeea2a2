"""A MovieLens download turned into a store; partly on real data, where it is present."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hstu_preserve.data import filtered_data, known_datasets
from hstu_preserve.data.event_filter import EventFilter, filter_of
from hstu_preserve.data.filtered_data import SASREC_FILTER
from hstu_preserve.data.known_datasets import KNOWN_DATASETS, Layout
from hstu_preserve.data.store import Store
from hstu_preserve.errors import ContentError, UsageError
from hstu_preserve.raw_data.preparation import prepare_movielens, prepare_published
from hstu_preserve.records.store import StoreCounts, TiePolicy
from tests.data.raw_files import Row, format_ratings, write_layout

# Item 20 has two ratings, of which user 2's leaves with its user: counted anew, item and user 3 would have too few.
FILTERED_ROWS: list[Row] = [(1, 3, 5, 9), (1, 10, 4, 8), (1, 20, 3, 7), (2, 20, 5, 1), (3, 3, 2, 5), (3, 10, 1, 6)]
TWICE = EventFilter(min_user_events=2, min_item_events=2)


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


@pytest.fixture
def tiny_ml_1m(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of ml-1m's layout, with the counts that are then published of it."""
    tiny = replace(KNOWN_DATASETS["ml-1m"], num_users=3, num_rated_items=3, num_candidates=3, num_ratings=6)
    monkeypatch.setitem(known_datasets.KNOWN_DATASETS, "ml-1m", tiny)
    layout = Layout.DOUBLE_COLON
    return write_layout(tmp_path / "raw", layout=layout, ratings=format_ratings(FILTERED_ROWS, layout=layout))


def prepare_filtered(folder: Path, output: Path, event_filter: EventFilter) -> Store:
    return prepare_movielens(
        folder, name="ml-1m", tie_policy=TiePolicy.STABLE, output=output, event_filter=event_filter
    )


def test_users_and_items_with_few_ratings_are_left_out_after_one_count(tiny_ml_1m: Path, tmp_path: Path) -> None:
    store = prepare_filtered(tiny_ml_1m, tmp_path / "twice", TWICE)
    assert (store.user_ids.tolist(), store.item_ids.tolist()) == ([1, 3], [20, 10, 3, 3, 10])
    assert store.candidate_ids.tolist() == [3, 10, 20]
    assert filter_of(store.record.provenance) == TWICE
    three = prepare_filtered(tiny_ml_1m, tmp_path / "three", EventFilter(min_user_events=3))
    assert (three.user_ids.tolist(), three.candidate_ids.tolist()) == ([1], [3, 10, 20])
    items = prepare_filtered(tiny_ml_1m, tmp_path / "items", EventFilter(min_item_events=2))
    assert (items.num_users, items.record.provenance.min_user_events) == (3, None)
    with pytest.raises(ContentError, match="ml-1m: no rating is left with --min-user-events 4; ask for fewer"):
        prepare_filtered(tiny_ml_1m, tmp_path / "four", EventFilter(min_user_events=4))


def test_a_filtered_source_is_held_against_the_counts_before_and_after(
    tiny_ml_1m: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    published = filtered_data.FILTERED_DATA["ml-1m"]
    assert (published.num_users, published.num_items, published.num_ratings) == (6_040, 3_416, 999_611)
    monkeypatch.setattr(filtered_data, "SASREC_FILTER", TWICE)
    with pytest.raises(ContentError, match="expected 6,040 users, found 2; expected 3,416 rated items, found 3;"):
        prepare_filtered(tiny_ml_1m, tmp_path / "after", TWICE)
    monkeypatch.setitem(KNOWN_DATASETS, "ml-1m", replace(KNOWN_DATASETS["ml-1m"], num_candidates=3_883))
    with pytest.raises(ContentError, match=r"ml-1m: not the published data .expected 3,883 candidates, found 3.$"):
        prepare_filtered(tiny_ml_1m, tmp_path / "before", TWICE)
    assert [path.name for path in tmp_path.iterdir()] == ["raw"]


def test_amazons_ratings_have_a_filter_of_their_own(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="amzn-books: --min-user-events 5 --min-item-events 5 is not for it"):
        prepare_published(
            tmp_path,
            name="amzn-books",
            tie_policy=TiePolicy.STABLE,
            output=tmp_path / "store",
            event_filter=SASREC_FILTER,
        )


def test_ml_latest_small_without_rare_items_has_its_known_counts(latest_small: Path, tmp_path: Path) -> None:
    store = prepare_movielens(
        latest_small,
        name="ml-latest-small",
        tie_policy=TiePolicy.STABLE,
        output=tmp_path / "store",
        event_filter=SASREC_FILTER,
    )
    counts = store.record.counts
    assert (counts.num_users, counts.num_candidates, counts.num_ratings) == (610, 3_650, 90_274)
