"""Write a store part by part, for ratings that need not fit into memory; the bytes are those of `write_store`."""

import hashlib
from contextlib import ExitStack
from pathlib import Path
from typing import IO

import numpy as np

from hstu_preserve.data.arrays import AnyArray, Int32Array
from hstu_preserve.data.event_runs import EventRuns
from hstu_preserve.data.movie_table import MovieTable
from hstu_preserve.data.store import ARRAY_DTYPES, describe_array, write_arrays
from hstu_preserve.data.store_building import (
    Origin,
    arrange_events,
    arrange_movies,
    count_tied_events,
    describe_store,
    order_events,
    refuse_no_ratings,
    require_known_items,
)
from hstu_preserve.primitives.files import flush_file, refuse_unwritable, write_whole
from hstu_preserve.primitives.voice import SILENT, Progress, Voice
from hstu_preserve.records.store import ArrayRecord, StoreRecord, TiePolicy

EVENT_ARRAYS = ("item_ids", "half_stars", "timestamps")


class ArrayWriter:
    """Writes one flat array as an `.npy` file, from its beginning to its end, and hashes the bytes it writes.

    Args:
        stream: A new file, without a buffer.
        name: The array's name in the store.
        length: Values that will come.
    """

    def __init__(self, stream: IO[bytes], *, name: str, length: int) -> None:
        self.stream = stream
        self.name = name
        self.length = length
        self.position = 0
        """Values written."""
        self.dtype = np.dtype(ARRAY_DTYPES[name])
        self.digest = hashlib.sha256()
        header = {"descr": self.dtype.str, "fortran_order": False, "shape": (length,)}
        np.lib.format.write_array_header_1_0(stream, header)

    def append(self, values: AnyArray) -> None:
        """Write the next values.

        Raises:
            OSError: They cannot be written.
        """
        content = np.ascontiguousarray(values, dtype=self.dtype).view(np.uint8).data
        self.digest.update(content)
        write_whole(self.stream, content)
        self.position += len(values)

    def describe(self) -> ArrayRecord:
        """Return the record of the whole array."""
        return ArrayRecord(name=self.name, dtype=self.dtype.str, shape=(self.length,), sha256=self.digest.hexdigest())


def stream_arrays(
    runs: EventRuns,
    movies: MovieTable,
    *,
    folder: Path,
    name: str,
    tie_policy: TiePolicy,
    origin: Origin,
    voice: Voice = SILENT,
) -> StoreRecord:
    """Write a store's arrays to `folder` and return its record.

    Users and candidates are sorted by id, a user's events by time and, among equal times, by `tie_policy`
    (`imported` keeps the given order altogether). Repeated ratings are kept as they are.

    Args:
        runs: All ratings.
        movies: The movie table.
        folder: From `new_store_folder`; the caller checks the record, then writes it.
        name: Of the data.
        tie_policy: How events of one user at the same second are ordered.
        origin: The source of the data.
        voice: Shows how many ratings were written.

    Raises:
        ContentError: No ratings, or a rated item that is not in the movie table.
        UnavailableError: `folder` cannot be written, or the disk is full.
    """
    runs.finish()
    if not len(runs.user_ids):
        refuse_no_ratings(name)
    tables = arrange_movies(movies)
    tables |= {"user_ids": runs.user_ids, "offsets": np.concatenate(([0], np.cumsum(runs.counts)))}
    tables = {key: np.ascontiguousarray(array, dtype=ARRAY_DTYPES[key]) for key, array in tables.items()}
    described = {key: describe_array(key, array) for key, array in tables.items()}
    rated_ids: Int32Array = np.empty(0, dtype=np.int32)
    tied_events = 0
    with refuse_unwritable(runs.label), ExitStack() as stack:
        write_arrays(tables, folder)
        streams = {key: stack.enter_context((folder / f"{key}.npy").open("xb", buffering=0)) for key in EVENT_ARRAYS}
        writers = [ArrayWriter(stream, name=key, length=int(runs.counts.sum())) for key, stream in streams.items()]
        for part in runs.read_parts():
            arranged = arrange_events(part, order=order_events(part, tie_policy=tie_policy))
            for writer in writers:
                writer.append(arranged[writer.name])
            rated_ids = np.union1d(rated_ids, part.item_ids)
            tied_events += count_tied_events(arranged["timestamps"], offsets=arranged["offsets"])
            done = writers[0].position
            voice.show(Progress(activity="writing the store", completed=done, total=runs.num_events))
        for stream in streams.values():
            flush_file(stream.fileno())
    described |= {writer.name: writer.describe() for writer in writers}
    require_known_items(rated_ids, movies=movies, name=name)
    return describe_store(
        tuple(described[key] for key in ARRAY_DTYPES),
        movies,
        name=name,
        num_rated_items=len(rated_ids),
        tied_events=tied_events,
        tie_policy=tie_policy,
        origin=origin,
    )
