"""Stores written as upstream's code reads its data, and imported again."""

import csv
import json
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hstu_preserve.cli.main import main
from hstu_preserve.data.movie_table import MovieTable, make_plain_table
from hstu_preserve.data.store import Store, write_store
from hstu_preserve.errors import UsageError
from hstu_preserve.raw_data.preparation import prepare_movielens
from hstu_preserve.raw_data.sasrec_format import import_sasrec_format
from hstu_preserve.raw_data.sasrec_writing import write_sasrec_format
from hstu_preserve.records.store import TiePolicy
from hstu_preserve.synthetic.stores import write_synthetic_store
from tests.data.stores_in_memory import build_store
from tests.data.strategies import MOVIES, ORIGIN, Event, events, make_ratings, make_store

Capture = pytest.CaptureFixture[str]


def pass_through(store: Store) -> Store:
    """Write a store, and import what was written."""
    with tempfile.TemporaryDirectory() as folder:
        exported = Path(folder) / "exported"
        exported.mkdir()
        files = write_sasrec_format(store, exported, label=exported)
        return import_sasrec_format(
            exported / "sasrec_format.csv",
            movies=exported / "movies.csv" if "movies.csv" in files else None,
            name=None,
            output=Path(folder) / "imported",
        )


def make_plain_store(rows: list[Event], *, candidates: list[int], name: str = "made-up") -> Store:
    table = make_plain_table(np.array(candidates))
    return build_store(make_ratings(rows), table, name=name, tie_policy=TiePolicy.STABLE, origin=ORIGIN)


@given(rows=events, policy=st.sampled_from([TiePolicy.STABLE, TiePolicy.ITEM_ID, TiePolicy.IMPORTED]))
def test_an_import_of_the_files_has_the_same_fingerprint(rows: list[Event], policy: TiePolicy) -> None:
    store = make_store(rows, tie_policy=policy)
    assert pass_through(store).fingerprint == store.fingerprint


@given(rows=events)
def test_so_has_one_of_data_without_a_movie_table(rows: list[Event]) -> None:
    rated = sorted({event[1] for event in rows})
    store = make_plain_store(rows, candidates=rated)
    assert pass_through(store).fingerprint == store.fingerprint


@pytest.mark.parametrize("name", ["amzn-books", "made-up"])
def test_data_that_counts_from_zero_is_written_so(name: str) -> None:
    rows = [(1, 1, 8, 5), (1, 4, 2, 5), (2, 4, 9, 1)]
    store = make_plain_store(rows, candidates=[1, 2, 3, 4], name=name)
    assert pass_through(store).fingerprint == store.fingerprint


def test_amazons_items_count_from_zero_even_if_all_were_rated(tmp_path: Path) -> None:
    """Meta's loader adds one to each."""
    store = make_plain_store([(1, 1, 8, 5), (1, 2, 2, 6)], candidates=[1, 2], name="amzn-books")
    write_sasrec_format(store, tmp_path, label=tmp_path)
    assert '"0,1"' in (tmp_path / "sasrec_format.csv").read_text()


def test_rows_are_as_meta_writes_them(tmp_path: Path) -> None:
    store = make_store([(2, 3, 8, 9), (2, 1, 7, 8), (1, 3, 10, 7)])
    write_sasrec_format(store, tmp_path, label=tmp_path)
    assert (tmp_path / "sasrec_format.csv").read_text() == (
        'index,user_id,sequence_item_ids,sequence_ratings,sequence_timestamps\n0,1,3,5.0,7\n1,2,"1,3","3.5,4.0","8,9"\n'
    )
    with (tmp_path / "movies.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert list(rows[0]) == ["movie_id", "title", "genres", "year", "cleaned_title"]
    assert [int(row["movie_id"]) for row in rows] == sorted(MOVIES.item_ids.tolist())
    # Upstream takes the year and the title from the table's own columns, and every cell is one that it can split.
    assert all(row["title"] == f"{row['cleaned_title']} ({row['year']})" for row in rows)
    assert all(row["genres"].split("|") for row in rows)


def test_whole_ratings_are_whole_numbers_as_in_ml_1m(tmp_path: Path) -> None:
    write_sasrec_format(make_store([(1, 1, 8, 5), (1, 2, 2, 6)]), tmp_path, label=tmp_path)
    assert '"4,1"' in (tmp_path / "sasrec_format.csv").read_text()


def with_genres(genres: tuple[tuple[str, ...], ...]) -> MovieTable:
    return MovieTable(item_ids=np.array([1, 2], dtype=np.int32), genres=genres, years=np.array([1990, 0], np.int16))


ROWS: list[Event] = [(1, 1, 8, 5), (1, 2, 2, 6)]


@pytest.mark.parametrize(
    ("table", "said"),
    [
        (with_genres((("A|B",), ("C",))), "genres are distinct sorted words"),
        (with_genres(((" A",), ("C",))), "genres are distinct sorted words"),
        (with_genres((("A\n",), ("C",))), "genres are distinct sorted words"),
        (with_genres((("A",), ())), "each candidate has a genre"),
        (make_plain_table(np.array([1, 2, 4])), "candidates are the rated items, or all from 1"),
        (make_plain_table(np.array([1, 2, 3])), "candidates are the rated items, or all from 1"),
    ],
)
def test_what_an_import_would_read_otherwise_is_refused(tmp_path: Path, table: MovieTable, said: str) -> None:
    store = build_store(make_ratings(ROWS), table, name="x", tie_policy=TiePolicy.STABLE, origin=ORIGIN)
    with pytest.raises(UsageError, match=said):
        write_sasrec_format(store, tmp_path, label=tmp_path)
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("column", "value", "said"),
    [
        ("half_stars", 0, "ratings are 0.5 to 5"),
        ("half_stars", 11, "ratings are 0.5 to 5"),
        ("timestamps", -1, "times have at most 15 digits"),
        ("timestamps", 10**15, "times have at most 15 digits"),
        ("candidate_years", -4, "years are 0 to 9999"),
        ("candidate_genres", 2, "genres are flags"),
        ("user_ids", -1, "user ids are 0 to"),
    ],
)
def test_values_that_no_file_can_hold_are_refused(tmp_path: Path, column: str, value: int, said: str) -> None:
    store = make_store(ROWS)
    array = np.array(getattr(store, column))
    array.flat[0] = value
    odd = replace(store, **{column: array})  # type: ignore[arg-type]  # as mypy cannot know which column
    with pytest.raises(UsageError, match=said):
        write_sasrec_format(odd, tmp_path, label=tmp_path)


def export(store: Path, output: Path, *options: str) -> int:
    return main(["data", "export", str(store), "--output", str(output), *options])


def test_the_command_says_where_upstream_reads_the_files(tmp_path: Path, capsys: Capture) -> None:
    write_synthetic_store(tmp_path / "store", seed=1, num_users=30, num_items=40, num_ratings=400)
    assert export(tmp_path / "store", tmp_path / "out", "--format", "sasrec-format", "--json") == 0
    record = json.loads(capsys.readouterr().out)
    assert record["files"] == {
        "sasrec_format.csv": "tmp/synthetic/sasrec_format.csv",
        "movies.csv": "tmp/processed/synthetic/movies.csv",
    }
    csv, movies = tmp_path / "out" / "sasrec_format.csv", tmp_path / "out" / "movies.csv"
    assert (
        main(["data", "import", str(csv), "--movies", str(movies), "--output", str(tmp_path / "again"), "--json"]) == 0
    )
    assert json.loads(capsys.readouterr().out)["store"]["fingerprint"] == record["fingerprint"]


def test_data_that_may_not_travel_is_said_to_be_so(tmp_path: Path, capsys: Capture) -> None:
    write_store(make_plain_store(ROWS, candidates=[1, 2], name="amzn-books"), tmp_path / "amazon")
    assert export(tmp_path / "amazon", tmp_path / "out") == 0
    text = capsys.readouterr().out
    assert "tmp/amzn_books/sasrec_format.csv" in text
    assert ("may not be handed on" in text) is not ORIGIN.redistributable
    write_synthetic_store(tmp_path / "free", seed=1, num_users=30, num_items=40, num_ratings=400)
    assert export(tmp_path / "free", tmp_path / "free-out") == 0
    assert "may not be handed on" not in capsys.readouterr().out


def test_users_whom_upstreams_loader_cannot_read_are_counted(tmp_path: Path, capsys: Capture) -> None:
    write_store(make_store([*ROWS, (2, 1, 8, 9)]), tmp_path / "store")
    assert export(tmp_path / "store", tmp_path / "out") == 0
    assert "1 of 2 users have a single event" in capsys.readouterr().out


def test_a_wrong_format_a_filled_folder_and_changed_data_are_refused(tmp_path: Path, capsys: Capture) -> None:
    write_store(make_store(ROWS), tmp_path / "store")
    assert export(tmp_path / "store", tmp_path / "out", "--format", "json") == 2
    assert "unknown; choose sasrec-format" in capsys.readouterr().err
    assert export(tmp_path / "store", tmp_path) == 2
    assert export(tmp_path / "absent", tmp_path / "out") == 2
    items = (tmp_path / "store" / "half_stars.npy").read_bytes()
    (tmp_path / "store" / "half_stars.npy").write_bytes(items[:-1] + b"\x03")
    assert export(tmp_path / "store", tmp_path / "out") == 3
    assert not (tmp_path / "out").exists()


def test_movielens_passes_through(latest_small: Path, tmp_path: Path) -> None:
    store = prepare_movielens(
        latest_small, name="ml-latest-small", tie_policy=TiePolicy.NUMPY_INTROSORT, output=tmp_path / "store"
    )
    again = pass_through(store)
    assert (again.name, again.fingerprint) == ("ml-latest-small", store.fingerprint)
