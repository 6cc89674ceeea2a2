"""An existing `sasrec_format.csv`, imported with its order kept."""

import csv
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hstu_preserve.data.store import Store
from hstu_preserve.errors import ContentError, MissingPathError
from hstu_preserve.raw_data import sasrec_format
from hstu_preserve.raw_data.preparation import prepare_movielens
from hstu_preserve.raw_data.sasrec_format import import_sasrec_format
from hstu_preserve.records.store import TiePolicy
from tests.data.strategies import Event, events, list_sequences

HEADER = "index,user_id,sequence_item_ids,sequence_ratings,sequence_timestamps\n"
MOVIES = "movie_id,title,genres,year,cleaned_title\n" + "".join(f"{item},A,Drama,A,\n" for item in range(1, 13))


def write(folder: Path, body: str, *, header: str = HEADER) -> Path:
    (folder / "movies.csv").write_text(MOVIES)
    (folder / "sasrec_format.csv").write_text(header + body)
    return folder / "sasrec_format.csv"


def load(path: Path, name: str | None = None) -> Store:
    with tempfile.TemporaryDirectory() as folder:
        return import_sasrec_format(path, movies=path.parent / "movies.csv", name=name, output=Path(folder) / "store")


def format_row(index: int, user: int, sequence: list[Event]) -> str:
    """One row as pandas writes it: a cell is quoted only where it holds a comma."""
    cells = [
        ",".join(str(event[1]) for event in sequence),
        ",".join(str(event[2] / 2) for event in sequence),
        ",".join(str(event[3]) for event in sequence),
    ]
    return ",".join([str(index), str(user), *(f'"{cell}"' if "," in cell else cell for cell in cells)]) + "\n"


@given(rows=events, seed=st.randoms(use_true_random=False))
def test_events_keep_their_order_whatever_the_order_of_the_users(
    tmp_path_factory: pytest.TempPathFactory, rows: list[Event], seed: "np.random.Generator"
) -> None:
    users = list(list_sequences(rows, tie_policy=TiePolicy.IMPORTED).items())
    seed.shuffle(users)
    body = "".join(format_row(index, user, sequence) for index, (user, sequence) in enumerate(users))
    store = load(write(tmp_path_factory.getbasetemp(), body))
    expected = list_sequences(rows, tie_policy=TiePolicy.IMPORTED)
    flat = [event for sequence in expected.values() for event in sequence]
    assert store.user_ids.tolist() == list(expected)
    assert store.lengths.tolist() == [len(sequence) for sequence in expected.values()]
    assert store.item_ids.tolist() == [event[1] for event in flat]
    assert store.half_stars.tolist() == [event[2] for event in flat]
    assert store.timestamps.tolist() == [event[3] for event in flat]


def test_an_import_says_so_and_is_not_redistributable(tmp_path: Path) -> None:
    store = load(write(tmp_path, '5,1,"3,2","5,3.5","7,7"\n'))
    assert store.name == "imported"
    assert store.record.provenance.tie_policy is TiePolicy.IMPORTED
    assert store.record.provenance.tied_events == 1
    assert not store.record.provenance.redistributable


def test_user_columns_of_ml_1m_are_passed_over(tmp_path: Path) -> None:
    header = HEADER.strip() + ",sex,age_group,occupation,zip_code\n"
    store = load(write(tmp_path, '5,1,"3,2","5,3","7,8",1,2,3,4\n', header=header), "mine")
    assert (store.name, store.item_ids.tolist()) == ("mine", [3, 2])


@pytest.mark.parametrize(
    ("row", "column"),
    [
        ('1,2,"3,x","1,2","1,2"\n', "sequence_item_ids: malformed value 'x'"),
        ('1,2,"3,0","1,2","1,2"\n', "sequence_item_ids: malformed value '0'"),
        ('1,2,"3,4","1,9","1,2"\n', "sequence_ratings: malformed value '9'"),
        ('1,2,"3,4","1,2","1,2.5"\n', "sequence_timestamps: malformed value '2.5'"),
        ('1,2,"3,4","1,2","1,"\n', "sequence_timestamps: 1 values for 2 items"),
        ('1,2,"3,4","1,2","1,,"\n', "sequence_timestamps: malformed value ''"),
        ('1,2,"[3,4)","1,2","1,2"\n', r"sequence_item_ids: malformed value '\[3'"),
        ('1,2,"3000000000,4","1,2","1,2"\n', "sequence_item_ids: malformed value '3000000000'; item ids"),
        ('1,2,"3,4","1,6","1,2"\n', "sequence_ratings: malformed value '6'; ratings are 0.5 to 5 in halves"),
        ('1,2,"__import__(1),4","1,2","1,2"\n', "sequence_item_ids: malformed value '__import__"),
        ('1,2,"3,4","1,2","1,2,3"\n', "sequence_timestamps: 3 values for 2 items"),
        ('1,2,"3,4",1,"1,2"\n', "sequence_ratings: 1 values for 2 items"),
        ('1,zwei,"3,4","1,2","1,2"\n', "user_id: not a user id .'zwei'"),
    ],
)
def test_a_bad_cell_is_named_with_file_line_and_column(tmp_path: Path, row: str, column: str) -> None:
    good = '0,1,"1,2,3","1,2,3","1,2,3"\n'
    with pytest.raises(ContentError, match=rf"^sasrec_format\.csv, line 3, column {column}"):
        load(write(tmp_path, good + row + '2,3,"5,6","1,2","3,4"\n'))


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("", "holds no users"),
        ("0,1,1,1,1\n1,1,2,2,2\n", "user 1 is listed twice"),
        ("0,1,1,1\n", "line 2: expected 5 cells, found 4"),
        ('0,1,"1,1,1\n', "line 2: malformed"),
        ("0,1,99,1,1\n", "item 99 is rated but not in the movie table"),
    ],
)
def test_a_bad_file_is_refused(tmp_path: Path, body: str, message: str) -> None:
    with pytest.raises(ContentError, match=message):
        load(write(tmp_path, body))


def test_a_file_without_the_columns_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ContentError, match="line 1: expected one column 'sequence_ratings'"):
        load(write(tmp_path, "", header="user_id,sequence_item_ids,sequence_timestamps\n"))


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path, "")
    path.write_bytes(HEADER.encode() + b'0,1,"1,\xff","1,1","1,1"\n')
    with pytest.raises(ContentError, match="not UTF-8"):
        load(path)


def test_a_missing_file_is_a_missing_path(tmp_path: Path) -> None:
    with pytest.raises(MissingPathError):
        load(tmp_path / "absent.csv")


def test_a_published_name_needs_the_published_counts(tmp_path: Path) -> None:
    with pytest.raises(ContentError, match="expected 138,493 users, found 1"):
        load(write(tmp_path, "0,1,1,1,1\n"), "ml-20m")


def test_histories_longer_than_pythons_csv_limit_are_read_and_the_limit_is_put_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sasrec_format, "CHARACTERS_PER_BLOCK", 800_000)
    before = csv.field_size_limit()
    times = ",".join(str(978300000 + event) for event in range(20_000))
    items, stars = ",".join(["7"] * 20_000), ",".join(["4.5"] * 20_000)
    body = "".join(f'{user},{user},"{items}","{stars}","{times}"\n' for user in (3, 1, 2))
    store = load(write(tmp_path, body))
    assert store.lengths.tolist() == [20_000] * 3
    assert csv.field_size_limit() == before


def test_real_data_in_a_stable_order_imports_to_the_very_store_that_preparation_makes(
    latest_small: Path, tmp_path: Path
) -> None:
    prepared = prepare_movielens(
        latest_small, name="ml-latest-small", tie_policy=TiePolicy.STABLE, output=tmp_path / "prepared"
    )
    bounds = list(zip(prepared.user_ids.tolist(), prepared.offsets[:-1], prepared.offsets[1:], strict=True))
    columns = (prepared.item_ids, prepared.half_stars / 2, prepared.timestamps)
    with (tmp_path / "sasrec_format.csv").open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(HEADER.strip().split(","))
        for user, start, end in reversed(bounds):
            writer.writerow([0, user, *(",".join(map(str, column[start:end].tolist())) for column in columns)])
    found = import_sasrec_format(
        tmp_path / "sasrec_format.csv", movies=latest_small / "movies.csv", name=None, output=tmp_path / "imported"
    )
    assert (found.name, found.fingerprint) == ("ml-latest-small", prepared.fingerprint)


def load_without_table(path: Path, name: str | None = None) -> Store:
    with tempfile.TemporaryDirectory() as folder:
        return import_sasrec_format(path, movies=None, name=name, output=Path(folder) / "store")


@pytest.mark.parametrize(
    ("cells", "candidates", "items"),
    [
        ('"0,3","5,5","1,2"', [1, 2, 3, 4], [1, 4]),
        ('"3,0,1","5,5,1","1,2,3"', [1, 2, 3, 4], [4, 1, 2]),
        ('"7,3","5,5","1,2"', [3, 7], [7, 3]),
        ("0,5,1", [1], [1]),
    ],
)
def test_without_a_movie_table_ids_from_zero_are_shifted_and_rated_items_are_candidates(
    tmp_path: Path, cells: str, candidates: list[int], items: list[int]
) -> None:
    store = load_without_table(write(tmp_path, f"0,0,{cells}\n"))
    assert store.user_ids.tolist() == [0]
    assert store.candidate_ids.tolist() == candidates
    assert store.item_ids.tolist() == items
    assert store.record.genres == ()


def test_ids_from_zero_to_the_largest_cannot_be_shifted(tmp_path: Path) -> None:
    path = write(tmp_path, '0,1,"0,2147483647","5,5","1,2"\n')
    with pytest.raises(ContentError, match="item ids from 0 to 2147483647"):
        load_without_table(path)
    assert load_without_table(write(tmp_path, '0,1,"1,2147483647","5,5","1,2"\n')).max_item_id == 2147483647


@pytest.mark.parametrize(
    ("items", "ratings", "times"),
    [
        ("3, 2, 3", "5, 3.5, 1", "7 , 8,9"),
        ("[3, 2, 3]", "[5.0, 3.5, 1.0]", "[7, 8, 9]"),
        ("(3,2,3)", "(5,3.5,1)", " ( 7,8,9 ) "),
        ("3,2,3,", "5,3.5,1,", "(7,8,9,)"),
    ],
)
def test_cells_are_taken_as_metas_loader_takes_them(tmp_path: Path, items: str, ratings: str, times: str) -> None:
    store = load(write(tmp_path, f'0,1,"{items}","{ratings}","{times}"\n'))
    plain = load(write(tmp_path, '0,1,"3,2,3","5,3.5,1","7,8,9"\n'))
    assert store.fingerprint == plain.fingerprint


@pytest.mark.parametrize("header", [HEADER, HEADER.removeprefix("index,")])
def test_a_byte_order_mark_is_no_part_of_a_column(tmp_path: Path, header: str) -> None:
    body = '1,"3,2","5,3","7,8"\n' if header != HEADER else '0,1,"3,2","5,3","7,8"\n'
    path = write(tmp_path, body, header=header)
    plain = load(path).fingerprint
    for name in ("sasrec_format.csv", "movies.csv"):
        (tmp_path / name).write_text((tmp_path / name).read_text(), encoding="utf-8-sig")
    assert load(path).fingerprint == plain
    for name in ("movies.csv", "sasrec_format.csv"):
        (tmp_path / name).write_text((tmp_path / name).read_text(encoding="utf-8-sig"), encoding="utf-16")
        with pytest.raises(ContentError, match=rf"^{name}.*not UTF-8 but UTF-16; save the file as UTF-8"):
            load(path)


@pytest.mark.parametrize("name", [None, "mine", "movielens"])
def test_data_of_ones_own_is_not_called_movielens(tmp_path: Path, name: str | None) -> None:
    notice = load(write(tmp_path, '0,1,"3,2","5,3","7,8"\n'), name).record.provenance.notice
    assert "MovieLens" not in notice
    assert "does not know its terms" in notice


def test_genres_are_trimmed(tmp_path: Path) -> None:
    path = write(tmp_path, '0,1,"1,2","5,3","7,8"\n')
    (tmp_path / "movies.csv").write_text("movieId,title,genres\n1,A,Drama | Comedy\n2,B, Comedy|Drama|\n")
    store = load(path)
    assert store.record.genres == ("Comedy", "Drama")
    assert store.candidate_genres.tolist() == [[1, 1], [1, 1]]
