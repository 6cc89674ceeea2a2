"""Write a store as upstream's code reads its data: `sasrec_format.csv`, and `movies.csv` if it has a movie table.

`data import` of the files gives a store of the same fingerprint. What a store does not keep is made up: titles name the
item's number, and users stand in the order of their ids, where Meta's preprocessing shuffles them.
"""

import csv
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from hstu_preserve.data.arrays import AnyArray
from hstu_preserve.data.known_datasets import AMAZON_BOOKS
from hstu_preserve.data.store import Store
from hstu_preserve.errors import UsageError
from hstu_preserve.primitives.files import refuse_unwritable
from hstu_preserve.primitives.voice import SILENT, Progress, Voice
from hstu_preserve.raw_data.number_fields import MAX_DIGITS, MAX_ID
from hstu_preserve.raw_data.sasrec_format import (
    ITEM_COLUMN,
    MAX_CELL_CHARACTERS,
    RATING_COLUMN,
    TIME_COLUMN,
    USER_COLUMN,
)

EVENTS_FILE = "sasrec_format.csv"
MOVIES_FILE = "movies.csv"
MOVIE_COLUMNS = ("movie_id", "title", "genres", "year", "cleaned_title")
MAX_HALF_STARS = 10
MAX_YEAR = 9999
USERS_PER_STEP = 1000
MIN_EVENTS = 2
"""Of a user, for upstream's loader: it trains on all but the last event, and takes the last of these as the target."""


def write_sasrec_format(store: Store, folder: Path, *, label: Path, voice: Voice = SILENT) -> tuple[str, ...]:
    """Write a store's events, and its movie table if it has one, and return the names of the files.

    Args:
        store: Its order of events is kept.
        folder: Of the files.
        label: The folder's final name, for messages.
        voice: Shows how many events were written.

    Raises:
        UsageError: The store holds something that the format cannot say.
        UnavailableError: `folder` cannot be written, or the disk is full.
    """
    obstacles = list(find_obstacles(store))
    if obstacles:
        raise UsageError(f"{store.name}: cannot be written as sasrec-format: {'; '.join(obstacles)}")
    with refuse_unwritable(label):
        with (folder / EVENTS_FILE).open("x", encoding="utf-8", newline="") as stream:
            writer = csv.writer(stream, lineterminator="\n")
            writer.writerow(("index", USER_COLUMN, ITEM_COLUMN, RATING_COLUMN, TIME_COLUMN))
            writer.writerows(list_users(store, voice=voice))
        if not has_movie_table(store):
            return (EVENTS_FILE,)
        with (folder / MOVIES_FILE).open("x", encoding="utf-8", newline="") as stream:
            writer = csv.writer(stream, lineterminator="\n")
            writer.writerow(MOVIE_COLUMNS)
            writer.writerows(list_movies(store))
    return EVENTS_FILE, MOVIES_FILE


def has_movie_table(store: Store) -> bool:
    """Say whether anything but its id is known of any candidate."""
    return bool(store.candidate_genres.any() or store.candidate_years.any())


def counts_from_zero(store: Store) -> bool:
    """Say whether items are written one lower, as Meta's preprocessing of data without a table numbers them.

    Candidates without a table are 1 to n; if not all of them were rated, only counting from 0 says so.
    """
    if has_movie_table(store):
        return False
    return store.name == AMAZON_BOOKS.name or not np.array_equal(np.unique(store.item_ids), store.candidate_ids)


def list_users(store: Store, *, voice: Voice) -> Iterator[tuple[int, int, str, str, str]]:
    """Yield each user's row: a number, the user's id, and items, ratings and times joined by commas."""
    shift = int(counts_from_zero(store))
    has_halves = bool((store.half_stars % 2).any())
    texts = [f"{value / 2:.1f}" if has_halves else str(value // 2) for value in range(MAX_HALF_STARS + 1)]
    for row, user in enumerate(store.user_ids.tolist()):
        events = slice(int(store.offsets[row]), int(store.offsets[row + 1]))
        items = ",".join(map(str, (store.item_ids[events] - shift).tolist()))
        ratings = ",".join(texts[value] for value in store.half_stars[events].tolist())
        yield row, user, items, ratings, ",".join(map(str, store.timestamps[events].tolist()))
        if row % USERS_PER_STEP == 0 or events.stop == len(store.item_ids):
            voice.show(Progress(activity="writing events", completed=events.stop, total=len(store.item_ids)))


def list_movies(store: Store) -> Iterator[tuple[int, str, str, str, str]]:
    """Yield each candidate's row, in the columns of Meta's processed table."""
    genres = np.array(store.record.genres, dtype=np.object_)
    for item, flags, year in zip(
        store.candidate_ids.tolist(), store.candidate_genres, store.candidate_years.tolist(), strict=True
    ):
        title = f"item {item}"
        ending = f" ({year:04d})" if year else ""
        yield item, f"{title}{ending}", "|".join(genres[flags == 1]), f"{year:04d}", title


def find_obstacles(store: Store) -> Iterator[str]:
    """Return what the format cannot say, so that an import would fail or give other data."""
    if not len(store.item_ids):
        return iter(("it has no ratings",))
    longest = int(np.diff(store.offsets).max())
    laws = {
        "events have times": store.record.provenance.times is None,
        "ratings are 0.5 to 5": lies_within(store.half_stars, 1, MAX_HALF_STARS),
        f"user ids are 0 to {MAX_ID}": lies_within(store.user_ids, 0, MAX_ID),
        f"times have at most {MAX_DIGITS} digits": lies_within(store.timestamps, 0, 10**MAX_DIGITS - 1),
        "no user has more events than fit into one cell": longest * (MAX_DIGITS + 1) <= MAX_CELL_CHARACTERS,
        **(find_table_laws(store) if has_movie_table(store) else find_plain_laws(store)),
    }
    return (f"it does not hold that {law}" for law, holds in laws.items() if not holds)


def lies_within(values: AnyArray, least: int, most: int) -> bool:
    """Say whether all values, of which there is one at least, lie between two bounds."""
    return bool(values.min() >= least and values.max() <= most)


def find_table_laws(store: Store) -> dict[str, bool]:
    """Return what must hold of a movie table, and whether it does."""
    names = store.record.genres
    return {
        "genres are distinct sorted words": list(names) == sorted(set(names))
        and all(name and name.isprintable() and name == name.strip() and "|" not in name for name in names),
        "each genre is of some candidate": bool(store.candidate_genres.any(axis=0).all()),
        "each candidate has a genre": bool(store.candidate_genres.any(axis=1).all()),
        "genres are flags of 0 and 1": lies_within(store.candidate_genres, 0, 1),
        f"years are 0 to {MAX_YEAR}": bool(
            store.candidate_years.min() >= 0 and store.candidate_years.max() <= MAX_YEAR
        ),
    }


def find_plain_laws(store: Store) -> dict[str, bool]:
    """Return what must hold of data of whose items nothing is known, and whether it does."""
    if not counts_from_zero(store):
        return {"there is no list of genres": not store.record.genres}
    last = store.max_item_id
    return {
        "there is no list of genres": not store.record.genres,
        "candidates are the rated items, or all from 1 to the largest rated one, of which 1 is rated": (
            len(store.candidate_ids) == last and int(store.item_ids.min()) == 1 and int(store.item_ids.max()) == last
        ),
    }


def locate_upstream(file: str, *, name: str) -> str:
    """Return where upstream's code looks for a file, from the folder that it runs in."""
    folder = "amzn_books" if name == AMAZON_BOOKS.name else name
    return f"tmp/processed/{folder}/{file}" if file == MOVIES_FILE else f"tmp/{folder}/{file}"


def list_reading_problems(store: Store) -> tuple[str, ...]:
    """Return one sentence if upstream's loader cannot read the histories of some users."""
    num_short = int((np.diff(store.offsets) < MIN_EVENTS).sum())
    if not num_short:
        return ()
    return (f"{num_short:,} of {store.num_users:,} users have a single event, of which upstream's loader fails",)
