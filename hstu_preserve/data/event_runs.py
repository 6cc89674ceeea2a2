"""Rating events kept on disk while there are too many to sort in memory.

Events come in any order and are set aside in runs, each sorted by user; they go out in parts of consecutive users,
each collected from all runs. Memory holds one run or one part and a count for each user, whatever the number of events;
only a single user with more events than a part makes it grow.
"""

import os
import tempfile
from bisect import bisect_left
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO

import numpy as np

from hstu_preserve.data.arrays import Int32Array, Int64Array
from hstu_preserve.data.ratings import Ratings, join_ratings
from hstu_preserve.primitives.files import refuse_unwritable, write_whole

EVENTS_PER_RUN = 2**20
EVENTS_PER_PART = 2**20
EVENT = np.dtype([("user_id", "<i4"), ("item_id", "<i4"), ("half_stars", "i1"), ("timestamp", "<i8")])
"""One event on disk: 17 bytes, the user first."""


class EventRuns:
    """Rating events on disk, and which users they are of.

    Args:
        stream: A new file that can be read and written, without a buffer.
        label: The folder or file that is being made, for messages.
    """

    def __init__(self, stream: IO[bytes], *, label: Path) -> None:
        self.stream = stream
        self.label = label
        self.pending: list[Ratings] = []
        self.run_ends = [0]
        self.item_shift = 0
        """Added to each item id on its way out: 1 for data that counts items from 0."""
        self.user_ids: Int32Array = np.empty(0, dtype=np.int32)
        """[U], of the events in runs, ascending."""
        self.counts: Int64Array = np.empty(0, dtype=np.int64)
        """[U], events of each user."""

    @property
    def num_events(self) -> int:
        """How many events were taken in."""
        return self.run_ends[-1] + sum(len(part.user_ids) for part in self.pending)

    def add(self, ratings: Ratings) -> None:
        """Take events in; those of one user keep the order in which they come.

        Raises:
            UnavailableError: The file cannot be written, or the disk is full.
        """
        self.pending.append(ratings)
        if sum(len(part.user_ids) for part in self.pending) >= EVENTS_PER_RUN:
            self.write_run()

    def write_run(self) -> None:
        """Write the pending events, sorted by user."""
        ratings = join_ratings(self.pending)
        self.pending = []
        order = np.argsort(ratings.user_ids, kind="stable")
        rows = np.empty(len(order), dtype=EVENT)
        rows["user_id"] = ratings.user_ids[order]
        rows["item_id"] = ratings.item_ids[order]
        rows["half_stars"] = ratings.half_stars[order]
        rows["timestamp"] = ratings.timestamps[order]
        with refuse_unwritable(self.label):
            write_whole(self.stream, rows.view(np.uint8).data)
        self.run_ends.append(self.run_ends[-1] + len(rows))
        self.count_users(rows["user_id"])

    def count_users(self, user_ids: Int32Array) -> None:
        """Add a run's users to the counts."""
        ids, counts = np.unique(user_ids, return_counts=True)
        all_ids = np.union1d(self.user_ids, ids)
        all_counts = np.zeros(len(all_ids), dtype=np.int64)
        all_counts[np.searchsorted(all_ids, self.user_ids)] = self.counts
        all_counts[np.searchsorted(all_ids, ids)] += counts
        self.user_ids, self.counts = all_ids, all_counts

    def finish(self) -> None:
        """Write the last run; nothing is added after it."""
        if self.pending:
            self.write_run()

    def read_parts(self) -> Iterator[Ratings]:
        """Yield all events, grouped in parts of whole users in ascending order; within a user as they came."""
        ends = np.cumsum(self.counts)
        first_user = 0
        run_places = self.run_ends[:-1]
        while first_user < len(ends):
            first_event = int(ends[first_user] - self.counts[first_user])
            users_below = int(np.searchsorted(ends, first_event + EVENTS_PER_PART, side="right"))
            next_user = max(first_user + 1, users_below)
            is_last = next_user == len(ends)
            run_stops = self.run_ends[1:] if is_last else self.find_places(int(self.user_ids[next_user]))
            yield self.collect(run_places, run_stops)
            first_user, run_places = next_user, run_stops

    def find_places(self, user_id: int) -> list[int]:
        """Return in each run the first event of that user or a later one."""
        bounds = zip(self.run_ends[:-1], self.run_ends[1:], strict=True)
        return [bisect_left(range(stop), user_id, lo=start, key=self.read_user_id) for start, stop in bounds]

    def read_user_id(self, place: int) -> int:
        """Return the user of the event at `place`."""
        content = os.pread(self.stream.fileno(), EVENT["user_id"].itemsize, place * EVENT.itemsize)
        return int.from_bytes(content, "little")

    def collect(self, starts: list[int], stops: list[int]) -> Ratings:
        """Return the events between the places of each run."""
        rows = np.concatenate(
            [self.read_rows(start, stop) for start, stop in zip(starts, stops, strict=True) if stop > start]
        )
        return Ratings(
            user_ids=rows["user_id"],
            item_ids=rows["item_id"] + np.int32(self.item_shift),
            half_stars=rows["half_stars"],
            timestamps=rows["timestamp"],
        )

    def read_rows(self, start: int, stop: int) -> np.ndarray[tuple[int], np.dtype[np.void]]:
        """Return the events from `start` to `stop`."""
        content = os.pread(self.stream.fileno(), (stop - start) * EVENT.itemsize, start * EVENT.itemsize)
        return np.frombuffer(content, dtype=EVENT)


@contextmanager
def open_event_runs(folder: Path, *, label: Path) -> Iterator[EventRuns]:
    """Yield an empty place for events; its file has no name in `folder` and is gone at the end, whatever happens.

    Args:
        folder: The folder of the file, which grows by 17 bytes for each event.
        label: The folder or file that is being made, for messages.

    Raises:
        UnavailableError: `folder` cannot be written.
    """
    with ExitStack() as stack:
        with refuse_unwritable(label):
            stream = stack.enter_context(tempfile.TemporaryFile(dir=folder, buffering=0))
        yield EventRuns(stream, label=label)
