"""Data that Meta's preprocessing already wrote (`sasrec_format.csv`), imported with its order of events kept.

Each row is a user, in random order; three cells hold the user's items, ratings and times, joined by commas. Meta's
loader runs `eval` on them; here they are parsed, and blanks, brackets and a last comma are taken as it takes them.
"""

import csv
import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hstu_preserve.data.arrays import Int32Array, Int64Array
from hstu_preserve.data.event_runs import open_event_runs
from hstu_preserve.data.known_datasets import (
    AMAZON_BOOKS,
    KNOWN_DATASETS,
    list_count_differences,
    require_published_counts,
)
from hstu_preserve.data.movie_table import MovieTable, make_plain_table
from hstu_preserve.data.ratings import Ratings
from hstu_preserve.data.store import Store, new_store_folder, open_store, write_record
from hstu_preserve.data.store_building import Origin
from hstu_preserve.data.store_streaming import stream_arrays
from hstu_preserve.errors import ContentError, UnavailableError
from hstu_preserve.primitives.files import open_stream
from hstu_preserve.primitives.text import NotUtf8Error
from hstu_preserve.primitives.voice import SILENT, Voice
from hstu_preserve.raw_data.amazon import NOTICE as AMAZON_NOTICE
from hstu_preserve.raw_data.movielens import MAX_TABLE_BYTES, decode, parse_movies_csv
from hstu_preserve.raw_data.number_fields import (
    ID_RULE,
    MALFORMED,
    MAX_ID,
    STARS_RULE,
    TIME_RULE,
    parse_half_stars,
    parse_ids,
    parse_ids_from_zero,
    parse_whole_numbers,
)
from hstu_preserve.raw_data.preparation import GROUPLENS_NOTICE
from hstu_preserve.raw_data.sources import read_whole
from hstu_preserve.records.store import StoreCounts, StoreRecord, TiePolicy

USER_COLUMN = "user_id"
ITEM_COLUMN = "sequence_item_ids"
RATING_COLUMN = "sequence_ratings"
TIME_COLUMN = "sequence_timestamps"
UNNAMED = "imported"
"""The name of data that is no published edition."""
UNKNOWN_TERMS = "Imported by its user; this program does not know its terms, so that it is not redistributed."
RULES = {
    ITEM_COLUMN: f"item ids are {ID_RULE}",
    RATING_COLUMN: f"ratings are {STARS_RULE}",
    TIME_COLUMN: f"times are {TIME_RULE}",
}
BLANKS = str.maketrans("", "", " \t\r\n")
CHARACTERS_PER_BLOCK = 2**22
MAX_CELL_CHARACTERS = 2**24
"""Python's reader stops at 2**17, which a user with 15,000 events exceeds."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """One user's cells, and the line they end on."""

    line: int
    cells: dict[str, str]


def import_sasrec_format(
    path: Path, *, movies: Path | None, name: str | None, output: Path, voice: Voice = SILENT
) -> Store:
    """Turn an existing `sasrec_format.csv` and its movie table, if there is one, into a store.

    Memory does not grow with the number of ratings; beside the store, disk space of 17 bytes for each is needed.

    Args:
        path: The CSV.
        movies: Meta's processed `movies.csv`, or MovieLens' own. None makes candidates of the items that were rated,
            without genres and years; if they count from 0, as Meta's preprocessing of Amazon's ratings does, of all ids
            up to the largest, and each is shifted by one, as Meta's loader shifts them.
        name: The dataset's name; None takes the published edition of the same counts, else `imported`.
        output: The new directory.
        voice: Shows how many ratings were written.

    Raises:
        UsageError: `output` exists and is not empty.
        MissingPathError: A file is not there.
        ContentError: A malformed cell (named with line and column), a user listed twice, an item that the movie table
            lacks, or other counts than those published under `name`.
        UnavailableError: `output` cannot be written, or the disk is full.
    """
    with new_store_folder(output) as folder, open_event_runs(folder, label=output) as runs:
        rated_ids: Int32Array = np.empty(0, dtype=np.int32)
        for part in read_sasrec_format(path, parse=parse_ids_from_zero if movies is None else parse_ids):
            runs.add(part)
            rated_ids = np.union1d(rated_ids, part.item_ids)
        runs.item_shift = find_shift(rated_ids, label=path.name)
        table = read_movie_table(movies) if movies is not None else make_table(rated_ids, shift=runs.item_shift)
        origin = Origin(source=path.name, source_md5=None, redistributable=False, notice=UNKNOWN_TERMS)
        record = stream_arrays(
            runs, table, folder=folder, name=name or UNNAMED, tie_policy=TiePolicy.IMPORTED, origin=origin, voice=voice
        )
        if name in KNOWN_DATASETS:
            require_published_counts(record.counts, dataset=KNOWN_DATASETS[name])
        write_record(name_data(record, name or recognize(record.counts)), folder)
    return open_store(output)


def find_shift(rated_ids: Int32Array, *, label: str) -> int:
    """Return by how much item ids are shifted: 1 if they count from 0, which is padding here.

    Raises:
        ContentError: The largest would be too large then.
    """
    if not len(rated_ids) or rated_ids[0] > 0:
        return 0
    if rated_ids[-1] == MAX_ID:
        raise ContentError(f"{label}: item ids from 0 to {MAX_ID}; those that count from 0 end at {MAX_ID - 1}")
    return 1


def make_table(rated_ids: Int32Array, *, shift: int) -> MovieTable:
    """Return the candidates of data without a table: the items that were rated, or all codes if they count from 0."""
    return make_plain_table(np.arange(1, int(rated_ids[-1]) + 2) if shift else rated_ids.astype(np.int64))


def name_data(record: StoreRecord, name: str) -> StoreRecord:
    """Return the record with its name, and with the terms of the publisher whose data bears it."""
    notices = {**dict.fromkeys(KNOWN_DATASETS, GROUPLENS_NOTICE), AMAZON_BOOKS.name: AMAZON_NOTICE}
    provenance = record.provenance.model_copy(update={"notice": notices.get(name, UNKNOWN_TERMS)})
    return record.model_copy(update={"name": name, "provenance": provenance})


def recognize(counts: StoreCounts) -> str:
    """Return the name of the published edition with these counts, else `imported`."""
    return next(
        (name for name, dataset in KNOWN_DATASETS.items() if not list_count_differences(counts, dataset=dataset)),
        UNNAMED,
    )


def read_movie_table(path: Path) -> MovieTable:
    """Read a `movies.csv`."""
    with open_stream(path) as stream:
        content = read_whole(stream, label=path.name, limit_bytes=MAX_TABLE_BYTES)
    return parse_movies_csv(decode(content, label=path.name, encoding="utf-8"), label=path.name)


def read_sasrec_format(path: Path, *, parse: Callable[..., Int64Array]) -> Iterator[Ratings]:
    """Yield all events, user by user in the file's order.

    Args:
        path: The CSV.
        parse: Reads item ids.

    Raises:
        ContentError: A malformed row, no users, or a user listed twice.
    """
    users: list[Int32Array] = []
    with open_stream(path) as stream, io.TextIOWrapper(stream, encoding="utf-8-sig", newline="") as text:
        for rows in split_rows(read_rows(text, label=path.name)):
            yield parse_rows(rows, parse=parse, label=path.name)
            users.append(np.array([int(row.cells[USER_COLUMN]) for row in rows], dtype=np.int32))
    if not users:
        raise ContentError(f"{path.name}: holds no users")
    values, counts = np.unique(np.concatenate(users), return_counts=True)
    if counts.max() > 1:
        raise ContentError(f"{path.name}: user {values[counts.argmax()]} is listed twice")


def split_rows(rows: Iterator[Row]) -> Iterator[list[Row]]:
    """Yield the rows in blocks, each of one row or a limited amount of text."""
    block: list[Row] = []
    size = 0
    for row in rows:
        length = sum(map(len, row.cells.values()))
        if block and size + length > CHARACTERS_PER_BLOCK:
            yield block
            block, size = [], 0
        block.append(row)
        size += length
    if block:
        yield block


def read_rows(stream: io.TextIOWrapper, *, label: str) -> Iterator[Row]:
    """Yield each user's cells.

    Raises:
        ContentError: Not a CSV with the four columns, or a row of another width.
    """
    reader = csv.reader(stream, strict=True)
    wanted = (USER_COLUMN, ITEM_COLUMN, RATING_COLUMN, TIME_COLUMN)
    try:
        with long_cells():
            header = next(reader, [])
            missing = [column for column in wanted if header.count(column) != 1]
            if missing:
                raise ContentError(f"{label}, line 1: expected one column {missing[0]!r}, found {header[:8]}")
            position_of = {column: header.index(column) for column in wanted}
            for fields in reader:
                if len(fields) != len(header):
                    raise ContentError(
                        f"{label}, line {reader.line_num}: expected {len(header)} cells, found {len(fields)}"
                    )
                cells = {column: strip_list(fields[place]) for column, place in position_of.items()}
                yield Row(line=reader.line_num, cells=cells)
    except UnicodeDecodeError as error:
        reason = NotUtf8Error(error.object, start=error.start) if reader.line_num == 0 else "not UTF-8"
        raise ContentError(f"{label}, after line {reader.line_num}: {reason}") from None
    except csv.Error as error:
        raise ContentError(f"{label}, line {reader.line_num}: malformed ({error})") from None
    except OSError as error:
        raise UnavailableError(f"{label}: cannot be read ({error.strerror})") from None


def strip_list(cell: str) -> str:
    """Return a cell's values joined by commas alone: `[1, 2]`, `(1, 2)` and `1, 2,` are `1,2`."""
    values = cell.translate(BLANKS)
    if values[:1] + values[-1:] in {"[]", "()"}:
        values = values[1:-1]
    return values.removesuffix(",")


@contextmanager
def long_cells() -> Iterator[None]:
    """Let Python's CSV reader, whose limit is one per process, read the longest histories."""
    before = csv.field_size_limit(MAX_CELL_CHARACTERS)
    try:
        yield
    finally:
        csv.field_size_limit(before)


def is_user_id(text: str) -> bool:
    """Say whether `text` is a user's id; Meta's preprocessing of Amazon's ratings counts users from 0."""
    return text.isascii() and text.isdigit() and len(text) <= 10 and int(text) <= MAX_ID


def parse_rows(rows: list[Row], *, parse: Callable[..., Int64Array], label: str) -> Ratings:
    """Return the events of some users.

    Raises:
        ContentError: A malformed cell, or cells of one row that differ in length.
    """
    for row in rows:
        if not is_user_id(row.cells[USER_COLUMN]):
            raise ContentError(
                f"{label}, line {row.line}, column {USER_COLUMN}: not a user id ({row.cells[USER_COLUMN][:40]!r}); "
                f"they are whole numbers up to {MAX_ID}"
            )
    counts = count_values(rows, column=ITEM_COLUMN)
    for column in (RATING_COLUMN, TIME_COLUMN):
        require_equal_counts(rows, column=column, expected=counts, label=label)
    user_ids = np.array([int(row.cells[USER_COLUMN]) for row in rows], dtype=np.int32)
    return Ratings(
        user_ids=np.repeat(user_ids, counts),
        item_ids=parse_column(rows, column=ITEM_COLUMN, parse=parse, label=label).astype(np.int32),
        half_stars=parse_column(rows, column=RATING_COLUMN, parse=parse_half_stars, label=label).astype(np.int8),
        timestamps=parse_column(rows, column=TIME_COLUMN, parse=parse_whole_numbers, label=label),
    )


def count_values(rows: list[Row], *, column: str) -> Int64Array:
    """Return how many values each row has in a column."""
    return np.array([row.cells[column].count(",") + 1 for row in rows])


def require_equal_counts(rows: list[Row], *, column: str, expected: Int64Array, label: str) -> None:
    """Raise ContentError for the first row whose column has another number of values than its items."""
    found = count_values(rows, column=column)
    if (found != expected).any():
        row = int((found != expected).argmax())
        raise ContentError(
            f"{label}, line {rows[row].line}, column {column}: {found[row]} values for {expected[row]} items"
        )


def parse_column(rows: list[Row], *, column: str, parse: Callable[..., Int64Array], label: str) -> Int64Array:
    """Return the values of all rows' cells, one after the other.

    Raises:
        ContentError: A value of another kind than the column's; line and column are named.
    """
    text = np.frombuffer("".join(f"{row.cells[column]}," for row in rows).encode(), dtype=np.uint8)
    ends = np.flatnonzero(text == ord(","))
    starts = np.concatenate(([0], ends[:-1] + 1))
    values = parse(text, starts=starts, ends=ends)
    malformed = values == MALFORMED
    if malformed.any():
        place = int(malformed.argmax())
        row = int(np.searchsorted(np.cumsum(count_values(rows, column=column)), place, side="right"))
        found = text[starts[place] : ends[place]][:40].tobytes().decode(errors="replace")
        raise ContentError(
            f"{label}, line {rows[row].line}, column {column}: malformed value {found!r}; {RULES[column]}"
        )
    return values
