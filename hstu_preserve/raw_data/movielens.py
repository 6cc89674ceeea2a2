r"""Read MovieLens' raw files into arrays, in file order; a malformed line is named with file and line."""

import csv
import io
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NoReturn

import numpy as np

from hstu_preserve.data.arrays import Int64Array, Uint8Array
from hstu_preserve.data.known_datasets import Layout
from hstu_preserve.data.movie_table import MovieTable
from hstu_preserve.data.ratings import Ratings
from hstu_preserve.errors import ContentError
from hstu_preserve.raw_data.number_fields import (
    ID_RULE,
    MALFORMED,
    MAX_ID,
    STARS_RULE,
    TIME_RULE,
    parse_half_stars,
    parse_ids,
    parse_whole_numbers,
)
from hstu_preserve.raw_data.sources import Source, read_line_blocks, read_whole

YEAR = re.compile(r"\(([0-9]{4})\)\s*$")
NUM_LEADING_FIELDS_100K = 5
"""Of `u.item`: id, title, release date, video release date, IMDb URL; then one flag per genre."""
MAX_TABLE_BYTES = 2**26
NUMBER_RULES = f"; ids are {ID_RULE}, ratings {STARS_RULE}, times {TIME_RULE}"


@dataclass(frozen=True, kw_only=True)
class RatingsFormat:
    """The file and the line format of the ratings in one layout."""

    file_name: str
    header: bytes
    separator: str
    num_fields: int
    """Fields of one line, when it is split at each separator byte."""
    columns: tuple[int, int, int, int]
    """Which of them are user, item, rating and time; the others are empty."""


RATINGS_FORMATS = {
    Layout.TABBED: RatingsFormat(file_name="u.data", header=b"", separator="\t", num_fields=4, columns=(0, 1, 2, 3)),
    Layout.DOUBLE_COLON: RatingsFormat(
        file_name="ratings.dat", header=b"", separator=":", num_fields=7, columns=(0, 2, 4, 6)
    ),
    Layout.CSV: RatingsFormat(
        file_name="ratings.csv",
        header=b"userId,movieId,rating,timestamp\n",
        separator=",",
        num_fields=4,
        columns=(0, 1, 2, 3),
    ),
}


def read_ratings(source: Source, *, layout: Layout) -> Iterator[Ratings]:
    """Yield all ratings of a source in file order, block by block.

    Raises:
        ContentError: A malformed line, named with its number; or no ratings at all.
    """
    spec = RATINGS_FORMATS[layout]
    label = f"{source.name}/{spec.file_name}"
    is_empty = True
    with source.open(spec.file_name) as stream:
        for part in parse_blocks(read_line_blocks(stream, label=label), spec=spec, label=label):
            is_empty = False
            yield part
    if is_empty:
        raise ContentError(f"{label}: holds no ratings")


def parse_blocks(blocks: Iterator[bytes], *, spec: RatingsFormat, label: str) -> Iterator[Ratings]:
    """Yield the ratings of each block of lines."""
    line = 1
    for number, block in enumerate(blocks):
        rows = block
        if number == 0 and spec.header:
            if not block.startswith(spec.header):
                refuse_line(block, label=label, line=1, expected=spec.header.decode().strip())
            rows = block.removeprefix(spec.header)
            line += 1
        if rows:
            part = parse_block(rows, spec=spec, label=label, first_line=line)
            line += len(part.user_ids)
            yield part


def parse_block(block: bytes, *, spec: RatingsFormat, label: str, first_line: int) -> Ratings:
    """Return the ratings of whole lines.

    Raises:
        ContentError: A malformed line.
    """
    text = np.frombuffer(block, dtype=np.uint8)
    breaks = find_breaks(text, spec=spec)
    if breaks is None:
        refuse_first_malformed_line(block, spec=spec, label=label, first_line=first_line)
    ends = breaks.T
    starts = np.concatenate(([[0]], breaks.ravel()[:-1, None] + 1)).reshape(breaks.shape).T
    columns = [(np.ascontiguousarray(starts[column]), np.ascontiguousarray(ends[column])) for column in spec.columns]
    user, item, rating, time = columns
    user_ids = parse_ids(text, starts=user[0], ends=user[1])
    item_ids = parse_ids(text, starts=item[0], ends=item[1])
    half_stars = parse_half_stars(text, starts=rating[0], ends=rating[1])
    timestamps = parse_whole_numbers(text, starts=time[0], ends=time[1])
    malformed = np.minimum(np.minimum(user_ids, item_ids), np.minimum(half_stars, timestamps)) == MALFORMED
    empty = [column for column in range(spec.num_fields) if column not in spec.columns]
    malformed |= (starts[empty] != ends[empty]).any(axis=0)
    if malformed.any():
        row = int(malformed.argmax())
        refuse_line(
            block[starts[0][row] :], label=label, line=first_line + row, expected=describe_line(spec), rule=NUMBER_RULES
        )
    return Ratings(
        user_ids=user_ids.astype(np.int32),
        item_ids=item_ids.astype(np.int32),
        half_stars=half_stars.astype(np.int8),
        timestamps=timestamps,
    )


def find_breaks(text: Uint8Array, *, spec: RatingsFormat) -> Int64Array | None:
    """Return the end of each field of each line, shape [lines, fields]; None if any line has another number."""
    breaks = np.flatnonzero((text == ord(spec.separator)) | (text == ord("\n")))
    if len(breaks) % spec.num_fields:
        return None
    table = breaks.reshape(-1, spec.num_fields)
    is_line_end = text[table] == ord("\n")
    return table if is_line_end[:, -1].all() and not is_line_end[:, :-1].any() else None


def refuse_first_malformed_line(block: bytes, *, spec: RatingsFormat, label: str, first_line: int) -> NoReturn:
    """Raise for the first line with another number of fields, or for a malformed one before it."""
    lines = block.split(b"\n")
    separator = spec.separator.encode()
    row = next(row for row, line in enumerate(lines) if line.count(separator) != spec.num_fields - 1)
    if row:
        parse_block(b"\n".join(lines[:row]) + b"\n", spec=spec, label=label, first_line=first_line)
    refuse_line(lines[row], label=label, line=first_line + row, expected=describe_line(spec))


def describe_line(spec: RatingsFormat) -> str:
    """Return a line's pattern, for people."""
    names = dict(zip(spec.columns, ("user", "item", "rating", "timestamp"), strict=True))
    return spec.separator.join(names.get(column, "") for column in range(spec.num_fields))


def refuse_line(content: bytes, *, label: str, line: int, expected: str, rule: str = "") -> NoReturn:
    """Raise ContentError that names file and line and quotes the line."""
    found = content.split(b"\n", maxsplit=1)[0][:80].decode("latin-1")
    raise ContentError(f"{label}, line {line}: malformed (expected {expected!r}, found {found!r}{rule})")


def read_movies(source: Source, *, layout: Layout) -> MovieTable:
    """Read a source's movie table, in file order.

    Raises:
        ContentError: A malformed line or a movie listed twice.
    """
    match layout:
        case Layout.TABBED:
            return read_tabbed_movies(source)
        case Layout.DOUBLE_COLON:
            label = f"{source.name}/movies.dat"
            lines = read_text(source, "movies.dat", encoding="latin-1").split("\n")[:-1]
            return make_movie_table(enumerate((split_line(line, "::") for line in lines), start=1), label=label)
        case Layout.CSV:
            return parse_movies_csv(
                read_text(source, "movies.csv", encoding="utf-8"), label=f"{source.name}/movies.csv"
            )


def read_text(source: Source, file_name: str, *, encoding: str) -> str:
    """Return a small file's text."""
    label = f"{source.name}/{file_name}"
    with source.open(file_name) as stream:
        content = read_whole(stream, label=label, limit_bytes=MAX_TABLE_BYTES)
    return decode(content, label=label, encoding=encoding)


def decode(content: bytes, *, label: str, encoding: str) -> str:
    """Return the text of `content`.

    Raises:
        ContentError: Not in that encoding; the line is named.
    """
    try:
        return content.decode(encoding)
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ContentError(f"{label}, line {line}: not {encoding}") from None


def split_line(line: str, separator: str) -> list[str]:
    """Split `id SEPARATOR title SEPARATOR genres`; a title may hold the separator."""
    first, _, rest = line.partition(separator)
    title, _, genres = rest.rpartition(separator)
    return [first, title, genres]


def parse_movies_csv(text: str, *, label: str) -> MovieTable:
    """Read `movies.csv`: MovieLens' own (`movieId,title,genres`), or the one that Meta's preprocessing writes.

    Raises:
        ContentError: Another header, or a malformed row.
    """
    rows = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        header = next(rows, [])
        if header[:3] not in (["movieId", "title", "genres"], ["movie_id", "title", "genres"]):
            refuse_line(text.encode(), label=label, line=1, expected="movieId,title,genres")
        return make_movie_table(((rows.line_num, row[:3]) for row in rows), label=label)
    except csv.Error as error:
        raise ContentError(f"{label}, line {rows.line_num}: malformed ({error})") from None


def make_movie_table(numbered_rows: Iterable[tuple[int, list[str]]], *, label: str) -> MovieTable:
    """Return the table of rows `id, title, genres joined by |`, each with its line number."""
    ids: list[int] = []
    genres: list[tuple[str, ...]] = []
    years: list[int] = []
    for line, row in numbered_rows:
        if len(row) != 3 or not is_id(row[0]) or not split_genres(row[2]):
            refuse_line(",".join(row).encode(), label=label, line=line, expected="id, title, genres")
        ids.append(int(row[0]))
        genres.append(split_genres(row[2]))
        years.append(find_year(row[1]))
    return require_unique(ids, genres, years, label=label)


def split_genres(cell: str) -> tuple[str, ...]:
    """Return the genres of a cell, without blanks around them, which would make two genres of one."""
    return tuple(genre for part in cell.split("|") if (genre := part.strip()))


def read_tabbed_movies(source: Source) -> MovieTable:
    """Read ml-100k's `u.item`, whose genres are flags named by `u.genre`."""
    label = f"{source.name}/u.item"
    names = [
        line.partition("|")[0] for line in read_text(source, "u.genre", encoding="latin-1").split("\n") if line.strip()
    ]
    expected = f"id|title|date|date|url and {len(names)} flags"
    ids: list[int] = []
    genres: list[tuple[str, ...]] = []
    years: list[int] = []
    for line, text in enumerate(read_text(source, "u.item", encoding="latin-1").split("\n")[:-1], start=1):
        fields = text.split("|")
        flags = fields[NUM_LEADING_FIELDS_100K:]
        if len(flags) != len(names) or not is_id(fields[0]) or not set(flags) <= {"0", "1"}:
            refuse_line(text.encode(), label=label, line=line, expected=expected)
        ids.append(int(fields[0]))
        genres.append(tuple(name for name, flag in zip(names, flags, strict=True) if flag == "1"))
        years.append(find_year(fields[1]))
    return require_unique(ids, genres, years, label=label)


def is_id(text: str) -> bool:
    """Say whether `text` is an item id (0 is padding)."""
    return text.isascii() and text.isdigit() and len(text) <= 10 and 1 <= int(text) <= MAX_ID


def find_year(title: str) -> int:
    """Return the release year that ends a MovieLens title, or 0."""
    found = YEAR.search(title)
    return int(found[1]) if found else 0


def require_unique(ids: list[int], genres: list[tuple[str, ...]], years: list[int], *, label: str) -> MovieTable:
    """Return the table, refusing a movie listed twice."""
    if not ids:
        raise ContentError(f"{label}: holds no movies")
    values, counts = np.unique(np.array(ids), return_counts=True)
    if counts.max() > 1:
        raise ContentError(f"{label}: movie {values[counts.argmax()]} is listed twice")
    return MovieTable(
        item_ids=np.array(ids, dtype=np.int32), genres=tuple(genres), years=np.array(years, dtype=np.int16)
    )
