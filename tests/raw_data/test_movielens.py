"""MovieLens' raw files read into arrays."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hstu_preserve.data.known_datasets import Layout
from hstu_preserve.data.movie_table import MovieTable
from hstu_preserve.data.ratings import Ratings, join_ratings
from hstu_preserve.errors import ContentError
from hstu_preserve.raw_data import sources
from hstu_preserve.raw_data.movielens import parse_movies_csv, read_movies, read_ratings
from hstu_preserve.raw_data.sources import DirectorySource
from tests.data.raw_files import RATING_FILES, ROWS, Row, format_ratings, write_layout

ALL_LAYOUTS = pytest.mark.parametrize("layout", list(Layout))

rows = st.lists(
    st.tuples(
        st.integers(1, 2**31 - 1),
        st.integers(1, 2**31 - 1),
        st.integers(1, 5).map(float),
        st.integers(0, 10**12),
    ),
    min_size=1,
    max_size=40,
)


def as_rows(ratings: Ratings) -> list[Row]:
    columns = (ratings.user_ids, ratings.item_ids, ratings.half_stars / 2, ratings.timestamps)
    return list(zip(*(column.tolist() for column in columns), strict=True))


def read(folder: Path, layout: Layout) -> Ratings:
    return join_ratings(read_ratings(DirectorySource(root=folder), layout=layout))


@ALL_LAYOUTS
@given(rows=rows)
def test_ratings_are_read_in_file_order(
    tmp_path_factory: pytest.TempPathFactory, layout: Layout, rows: list[Row]
) -> None:
    folder = write_layout(
        tmp_path_factory.getbasetemp() / layout, layout=layout, ratings=format_ratings(rows, layout=layout)
    )
    assert as_rows(read(folder, layout)) == rows


@ALL_LAYOUTS
def test_blocks_of_any_size_give_the_same_ratings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, layout: Layout
) -> None:
    folder = write_layout(tmp_path, layout=layout)
    for size in (40, 41, 47, 64):
        monkeypatch.setattr(sources, "BLOCK_BYTES", size)
        assert as_rows(read(folder, layout)) == ROWS


def test_half_stars_windows_line_ends_and_a_missing_last_newline_are_read(tmp_path: Path) -> None:
    content = format_ratings([(1, 2, 3.5, 4), (1, 3, 0.5, 5)], layout=Layout.CSV)
    folder = write_layout(tmp_path, layout=Layout.CSV, ratings=content.replace("\n", "\r\n").removesuffix("\r\n"))
    ratings = read(folder, Layout.CSV)
    assert ratings.half_stars.tolist() == [7, 1]
    assert ratings.half_stars.dtype == np.int8
    assert ratings.timestamps.tolist() == [4, 5]


@ALL_LAYOUTS
@pytest.mark.parametrize(
    "fields",
    [
        ("1", "2", "3"),
        ("1", "2", "3", "4", "5"),
        ("1", "x", "3", "4"),
        ("0", "2", "3", "4"),
        ("-1", "2", "3", "4"),
        ("1", "2", "5.5", "4"),
        ("1", "2", "3.7", "4"),
        ("1", "2", "3", ""),
        ("1", "2", "3", "4.0"),
        ("1", "2", " 3", "4"),
        ("1", "2147483648", "3", "4"),
        ("",),
    ],
    ids=repr,
)
def test_a_malformed_line_is_named_with_file_and_line(tmp_path: Path, layout: Layout, fields: tuple[str, ...]) -> None:
    separator = {Layout.TABBED: "\t", Layout.DOUBLE_COLON: "::", Layout.CSV: ","}[layout]
    good = format_ratings(ROWS, layout=layout)
    folder = write_layout(tmp_path / "ml", layout=layout, ratings=good + separator.join(fields) + "\n" + good[-40:])
    line = good.count("\n") + 1
    with pytest.raises(ContentError, match=rf"ml/{RATING_FILES[layout]}, line {line}: malformed"):
        read(folder, layout)


def test_the_line_number_counts_over_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "BLOCK_BYTES", 64)
    content = format_ratings(ROWS * 20, layout=Layout.CSV) + "1,2,three,4\n"
    folder = write_layout(tmp_path, layout=Layout.CSV, ratings=content)
    with pytest.raises(ContentError, match=r"line 82: malformed .*found '1,2,three,4'"):
        read(folder, Layout.CSV)


def test_a_single_colon_does_not_separate(tmp_path: Path) -> None:
    folder = write_layout(tmp_path, layout=Layout.DOUBLE_COLON, ratings="1::2::3::4\n1:0:2::3::4\n")
    with pytest.raises(ContentError, match=r"ratings\.dat, line 2"):
        read(folder, Layout.DOUBLE_COLON)


@pytest.mark.parametrize("content", ["", "user,movie,rating,time\n1,2,3,4\n", "1,2,3,4\n"])
def test_a_csv_without_its_header_is_refused(tmp_path: Path, content: str) -> None:
    folder = write_layout(tmp_path, layout=Layout.CSV, ratings=content)
    with pytest.raises(ContentError, match=r"ratings\.csv"):
        read(folder, Layout.CSV)


def test_a_file_without_ratings_is_refused(tmp_path: Path) -> None:
    folder = write_layout(tmp_path, layout=Layout.CSV, ratings="userId,movieId,rating,timestamp\n")
    with pytest.raises(ContentError, match="holds no ratings"):
        read(folder, Layout.CSV)


@ALL_LAYOUTS
def test_movies_have_ids_genres_and_the_year_that_ends_the_title(tmp_path: Path, layout: Layout) -> None:
    table = read_movies(DirectorySource(root=write_layout(tmp_path, layout=layout)), layout=layout)
    assert table.item_ids.tolist() == [3, 10, 20]
    assert table.genres == (("Animation", "Comedy"), ("Drama",), ("Horror", "Sci-Fi"))
    assert table.years.tolist() == [1995, 1998, 0]


def read_csv(text: str) -> MovieTable:
    return parse_movies_csv(text, label="movies.csv")


def test_metas_processed_movie_table_gives_the_same_movies() -> None:
    meta = 'movie_id,title,genres,year,cleaned_title\n3,"A, The (1995)",Drama|War,1995,"A, The"\n'
    table = read_csv(meta)
    assert (table.item_ids.tolist(), table.genres, table.years.tolist()) == ([3], (("Drama", "War"),), [1995])


@pytest.mark.parametrize(
    ("row", "line"),
    [
        ("x,A (1990),Drama\n", 3),
        ("4,A (1990)\n", 3),
        ("0,A (1990),Drama\n", 3),
        ("4,A (1990),\n", 3),
        ('4,"A (1990),Drama\n', 3),
        ('4,"A\nB (1990)",Drama\n5,A\n', 5),
    ],
)
def test_a_malformed_movie_is_named_with_its_line(row: str, line: int) -> None:
    with pytest.raises(ContentError, match=f"movies.csv, line {line}: malformed"):
        read_csv("movieId,title,genres\n3,B,Drama\n" + row)


def test_a_movie_listed_twice_is_refused() -> None:
    with pytest.raises(ContentError, match="movie 3 is listed twice"):
        read_csv("movieId,title,genres\n3,B,Drama\n3,C,Drama\n")


def test_another_table_is_no_movie_table() -> None:
    with pytest.raises(ContentError, match="line 1"):
        read_csv("userId,movieId,tag\n3,B,Drama\n")


def test_a_title_in_another_encoding_is_named_with_its_line(tmp_path: Path) -> None:
    folder = write_layout(tmp_path, layout=Layout.CSV)
    (folder / "movies.csv").write_bytes(b"movieId,title,genres\n1,Am\xe9lie (2001),Comedy\n")
    with pytest.raises(ContentError, match=r"movies\.csv, line 2: not utf-8"):
        read_movies(DirectorySource(root=folder), layout=Layout.CSV)


@pytest.mark.parametrize("flags", ["0|1|1|0|0", "0|1|1|0|0|2"])
def test_genre_flags_that_do_not_fit_the_vocabulary_are_refused(tmp_path: Path, flags: str) -> None:
    folder = write_layout(tmp_path, layout=Layout.TABBED)
    (folder / "u.item").write_bytes(f"3|Toy Story (1995)|01-Jan-1995||http://x|{flags}\n".encode())
    with pytest.raises(ContentError, match=r"u\.item, line 1: malformed"):
        read_movies(DirectorySource(root=folder), layout=Layout.TABBED)
