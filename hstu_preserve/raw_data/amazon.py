"""Amazon's book ratings (`ratings_Books.csv`), filtered and numbered as Meta's preprocessing does.

Users and items are counted over all lines, and a line stays if both have at least five: once, not until nothing
changes. Ids are the places in the sorted order of the names that are left; items are shifted by one, as Meta's loader
shifts them, since 0 is padding. A user with fewer than five lines left is dropped, the items stay. There is no table of
items.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from hstu_preserve.data.arrays import BoolArray, Int64Array, Uint8Array
from hstu_preserve.data.event_runs import open_event_runs
from hstu_preserve.data.known_datasets import AMAZON_BOOKS, KNOWN_DATASETS
from hstu_preserve.data.movie_table import make_plain_table
from hstu_preserve.data.ratings import Ratings
from hstu_preserve.data.store import Store, new_store_folder, open_store, write_record
from hstu_preserve.data.store_building import Origin
from hstu_preserve.data.store_streaming import stream_arrays
from hstu_preserve.errors import ContentError, MissingPathError, UsageError
from hstu_preserve.primitives.files import open_stream
from hstu_preserve.primitives.voice import SILENT, Progress, Voice
from hstu_preserve.raw_data.movielens import RatingsFormat, find_breaks, refuse_line
from hstu_preserve.raw_data.number_fields import MALFORMED, parse_half_stars, parse_whole_numbers
from hstu_preserve.raw_data.numpy_orders import find_sorter
from hstu_preserve.raw_data.sources import DirectorySource, read_line_blocks
from hstu_preserve.raw_data.whole_file_order import sort_whole_file
from hstu_preserve.records.store import TiePolicy

FILE_NAME = "ratings_Books.csv"
FORMAT = RatingsFormat(file_name=FILE_NAME, header=b"", separator=",", num_fields=4, columns=(0, 1, 2, 3))
LINE = "user,item,rating,timestamp"
MIN_LINES = 5
MAX_NAME_BYTES = 64
"""Amazon's names have 10 to 14; a longer one makes each of a block's names as long."""
NOTICE = (
    "Amazon review data of McAuley et al. 2015 (doi:10.1145/2766462.2767755): for research, under the terms of the "
    "page that it came from."
)

Names = npt.NDArray[np.bytes_]


@dataclass(frozen=True, kw_only=True)
class AmazonLines:
    """Some lines, column by column."""

    users: Names
    items: Names
    half_stars: Int64Array
    timestamps: Int64Array


class Tally:
    """How often each name occurs; names that come often take no more memory than those that come once."""

    def __init__(self) -> None:
        self.names: Names = np.empty(0, dtype="S1")
        """Ascending."""
        self.counts: Int64Array = np.empty(0, dtype=np.int64)
        self.pending: list[tuple[Names, Int64Array]] = []
        self.num_pending = 0

    def add(self, names: Names) -> None:
        """Count some names."""
        self.pending.append(np.unique(names, return_counts=True))
        self.num_pending += len(self.pending[-1][0])
        # Merging once there is as much again keeps the work near that of one sort.
        if self.num_pending > max(len(self.names), 2**20):
            self.merge()

    def merge(self) -> None:
        """Bring the pending counts into the table."""
        parts = [(self.names, self.counts), *self.pending]
        self.names, places = np.unique(np.concatenate([names for names, _ in parts]), return_inverse=True)
        counts = np.concatenate([counts for _, counts in parts])
        self.counts = np.bincount(places, weights=counts, minlength=len(self.names)).astype(np.int64)
        self.pending, self.num_pending = [], 0

    def list_frequent(self) -> Names:
        """Return the names that were counted at least five times, ascending."""
        self.merge()
        return self.names[self.counts >= MIN_LINES]


@dataclass(frozen=True, kw_only=True)
class Filter:
    """Which lines stay, and the number of each user and item in them."""

    users: Names
    """Those with enough lines in the whole file, ascending."""
    items: Names
    user_ids: Int64Array
    """[users], from 0."""
    is_dropped: BoolArray
    """[user ids], too few lines are left to make a history."""
    item_ids: Int64Array
    """[items], from 1."""
    num_items: int

    def apply(self, lines: AmazonLines) -> Ratings:
        """Return the lines that stay, those of users whose history is dropped among them: Meta's code sorts all."""
        user_places, item_places = locate(lines.users, self.users), locate(lines.items, self.items)
        stays = (user_places >= 0) & (item_places >= 0)
        return Ratings(
            user_ids=self.user_ids[user_places[stays]].astype(np.int32),
            item_ids=self.item_ids[item_places[stays]].astype(np.int32),
            half_stars=lines.half_stars[stays].astype(np.int8),
            timestamps=lines.timestamps[stays],
        )

    def drop_short(self, ratings: Ratings) -> Ratings:
        """Return the ratings of those users whose history stays."""
        stays = ~self.is_dropped[ratings.user_ids]
        return Ratings(
            user_ids=ratings.user_ids[stays],
            item_ids=ratings.item_ids[stays],
            half_stars=ratings.half_stars[stays],
            timestamps=ratings.timestamps[stays],
        )


def prepare_amazon(
    path: Path, *, tie_policy: TiePolicy, output: Path, numpy_python: Path | None = None, voice: Voice = SILENT
) -> Store:
    """Turn the file of ratings into a store.

    The file is read three times, so that memory grows with its users and items only, some 60 bytes for each. An order
    of NumPy takes what `sort_whole_file` says in addition.

    Args:
        path: `ratings_Books.csv` as SNAP publishes it, or the folder that holds it.
        tie_policy: How events of one user at the same second are ordered; `imported` has no meaning here.
        output: The new directory.
        numpy_python: Another Python whose NumPy may sort, for an order of NumPy.
        voice: Shows how many lines were read, then written; warns if Meta's own count of items differs.

    Raises:
        UsageError: Tie policy `imported`, or `output` exists and is not empty.
        MissingPathError: The file is not there.
        ContentError: A malformed line, or no user and item with five ratings.
        UnavailableError: `output` cannot be written, the disk is full, or no NumPy here sorts in that order.
    """
    if tie_policy is TiePolicy.IMPORTED:
        raise UsageError("tie policy imported keeps the order of a sasrec_format.csv; see 'hstu-preserve data import'")
    sorter = find_sorter(tie_policy, numpy_python=numpy_python)
    source = locate_ratings(path) if path.is_dir() else path
    with new_store_folder(output) as folder, open_event_runs(folder, label=output) as runs:
        kept = find_filter(source, voice=voice)
        parts = (kept.apply(lines) for lines in read_lines(source, activity="reading ratings", voice=voice))
        for part in sort_whole_file(parts, sorter=sorter, folder=folder, label=output, voice=voice):
            runs.add(kept.drop_short(part))
        origin = Origin(source=source.name, source_md5=None, redistributable=False, notice=NOTICE)
        record = stream_arrays(
            runs,
            make_plain_table(np.arange(1, kept.num_items + 1)),
            folder=folder,
            name=AMAZON_BOOKS.name,
            tie_policy=tie_policy,
            origin=origin,
            voice=voice,
        )
        write_record(record, folder)
    return open_store(output)


def locate_ratings(folder: Path) -> Path:
    """Return the path of the file of ratings in a folder.

    Raises:
        MissingPathError: It is not there; the folder may be another data set's.
    """
    try:
        return DirectorySource(root=folder).locate(FILE_NAME)
    except MissingPathError as error:
        others = ", ".join(KNOWN_DATASETS)
        raise MissingPathError(f"{error}; {AMAZON_BOOKS.name} is made of that file, {others} are of others") from None


def find_filter(source: Path, *, voice: Voice) -> Filter:
    """Return which lines of the file stay, after reading it twice.

    Raises:
        ContentError: None does.
    """
    users, items = Tally(), Tally()
    for lines in read_lines(source, activity="counting users and items", voice=voice):
        users.add(lines.users)
        items.add(lines.items)
    user_names, item_names = users.list_frequent(), items.list_frequent()
    lines_of_user = np.zeros(len(user_names), dtype=np.int64)
    is_left = np.zeros(len(item_names), dtype=np.bool_)
    for lines in read_lines(source, activity="counting what is left", voice=voice):
        user_places, item_places = locate(lines.users, user_names), locate(lines.items, item_names)
        stays = (user_places >= 0) & (item_places >= 0)
        lines_of_user += np.bincount(user_places[stays], minlength=len(user_names))
        is_left[item_places[stays]] = True
    if not (lines_of_user >= MIN_LINES).any():
        raise ContentError(
            f"{source.name}: nobody is left: no user has {MIN_LINES} ratings of items that have {MIN_LINES} ratings"
        )
    # A user with fewer lines left is numbered, too: Meta's code drops the history after numbering.
    numbers = np.cumsum(lines_of_user > 0) - 1
    return Filter(
        users=user_names,
        items=item_names,
        user_ids=numbers,
        is_dropped=lines_of_user[lines_of_user > 0] < MIN_LINES,
        item_ids=np.cumsum(is_left),
        num_items=int(is_left.sum()),
    )


def locate(names: Names, table: Names) -> Int64Array:
    """Return the place of each name in a sorted table, -1 if it is not there."""
    if not len(table):
        return np.full(len(names), -1)
    places = np.searchsorted(table, names)
    return np.where(table.take(places, mode="clip") == names, places, -1)


def read_lines(source: Path, *, activity: str, voice: Voice) -> Iterator[AmazonLines]:
    """Yield the lines of the file in blocks.

    Raises:
        ContentError: A malformed line, named with its number.
    """
    line = 1
    with open_stream(source) as stream:
        for block in read_line_blocks(stream, label=source.name):
            lines = parse_block(block, label=source.name, first_line=line)
            line += len(lines.users)
            voice.show(Progress(activity=activity, completed=line - 1, total=AMAZON_BOOKS.num_lines))
            yield lines


def parse_block(block: bytes, *, label: str, first_line: int) -> AmazonLines:
    """Return the columns of whole lines.

    Raises:
        ContentError: A malformed line.
    """
    text = np.frombuffer(block, dtype=np.uint8)
    breaks = find_breaks(text, spec=FORMAT)
    if breaks is None:
        rows = block.split(b"\n")
        place = next(place for place, row in enumerate(rows) if row.count(b",") != FORMAT.num_fields - 1)
        refuse_line(rows[place], label=label, line=first_line + place, expected=LINE)
    starts = np.concatenate(([0], breaks.ravel()[:-1] + 1)).reshape(breaks.shape)
    half_stars = parse_half_stars(text, starts=starts[:, 2], ends=breaks[:, 2])
    timestamps = parse_whole_numbers(text, starts=starts[:, 3], ends=breaks[:, 3])
    lengths = (breaks - starts)[:, :2]
    is_malformed = (np.minimum(half_stars, timestamps) == MALFORMED) | find_broken_names(lengths)
    if is_malformed.any():
        place = int(is_malformed.argmax())
        refuse_line(block[starts[place, 0] :], label=label, line=first_line + place, expected=LINE)
    return AmazonLines(
        users=take_names(text, starts=starts[:, 0], lengths=lengths[:, 0]),
        items=take_names(text, starts=starts[:, 1], lengths=lengths[:, 1]),
        half_stars=half_stars,
        timestamps=timestamps,
    )


def find_broken_names(lengths: Int64Array) -> BoolArray:
    """Return which lines have an empty name, or one longer than any of Amazon's."""
    return np.asarray(((lengths < 1) | (lengths > MAX_NAME_BYTES)).any(axis=1))


def take_names(text: Uint8Array, *, starts: Int64Array, lengths: Int64Array) -> Names:
    """Return the fields as an array of names, padded with zero bytes; the order of bytes is that of the text."""
    width = int(lengths.max(initial=1))
    places = np.arange(width)
    characters = np.where(places < lengths[:, None], text.take(starts[:, None] + places, mode="clip"), 0)
    return np.ascontiguousarray(characters, dtype=np.uint8).view(f"S{width}")[:, 0]
