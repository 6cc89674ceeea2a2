"""Put the ratings of a whole file in the order in which NumPy sorts them by time, before they are grouped by user.

The sort is over the whole file, as in Meta's preprocessing: sorted user by user, equal times come out otherwise.
"""

import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import IO

import numpy as np

from hstu_preserve.data.arrays import AnyArray
from hstu_preserve.data.ratings import Ratings
from hstu_preserve.errors import UnavailableError
from hstu_preserve.primitives.files import refuse_unwritable, write_whole
from hstu_preserve.primitives.voice import Progress, Voice
from hstu_preserve.raw_data.numpy_orders import NumpySorter

COLUMNS = {"user_ids": "<i4", "item_ids": "<i4", "half_stars": "|i1", "timestamps": "<i8"}
"""On disk while they are sorted, each in a file of its own: NumPy is given the times alone."""
PLACE = np.dtype("<i8")
EVENTS_PER_BLOCK = 2**20


def sort_whole_file(
    parts: Iterable[Ratings], *, sorter: NumpySorter | None, folder: Path, label: Path, voice: Voice
) -> Iterator[Ratings]:
    """Yield all ratings in the order in which NumPy sorts the file by time; as they come if there is no sorter.

    A sort takes 25 bytes of disk for each rating, one byte of memory here, and eight in the process that sorts. The
    files are mapped: the system keeps as much of them in memory as it has to spare.

    Args:
        parts: All ratings, in file order.
        sorter: Sorts them.
        folder: Of the files, which have no name in it and are gone at the end.
        label: The folder or file that is being made, for messages.
        voice: Shows that the sort goes on.

    Raises:
        UnavailableError: `folder` cannot be written, or NumPy could not sort.
    """
    if sorter is None:
        yield from parts
        return
    with ExitStack() as stack:
        with refuse_unwritable(label):
            streams = {name: stack.enter_context(tempfile.TemporaryFile(dir=folder, buffering=0)) for name in COLUMNS}
            order_stream = stack.enter_context(tempfile.TemporaryFile(dir=folder, buffering=0))
        num_events = write_columns(parts, streams, label=label)
        if not num_events:
            return
        activity = f"sorting by time with NumPy {sorter.version}"
        voice.show(Progress(activity=activity, completed=0, total=num_events))
        sorter.sort(streams["timestamps"], order_stream)
        columns = {name: map_column(stream, dtype=COLUMNS[name]) for name, stream in streams.items()}
        yield from take_in_order(columns, order_stream, sorter=sorter)
        voice.show(Progress(activity=activity, completed=num_events, total=num_events))


def write_columns(parts: Iterable[Ratings], streams: Mapping[str, IO[bytes]], *, label: Path) -> int:
    """Write each column of the ratings to its file, and return how many there are."""
    num_events = 0
    for part in parts:
        with refuse_unwritable(label):
            for name, stream in streams.items():
                values = np.ascontiguousarray(getattr(part, name), dtype=COLUMNS[name])
                write_whole(stream, values.view(np.uint8).data)
        num_events += len(part.user_ids)
    return num_events


def map_column(stream: IO[bytes], *, dtype: str) -> AnyArray:
    """Return a file's values, mapped; there is one at least."""
    return np.asarray(np.memmap(stream, dtype=dtype, mode="r"))


def take_in_order(
    columns: Mapping[str, AnyArray], order_stream: IO[bytes], *, sorter: NumpySorter
) -> Iterator[Ratings]:
    """Yield the ratings in the order of a file of places.

    Raises:
        UnavailableError: The file does not name each rating once, in the order of time: another Python wrote it.
    """
    unsorted = UnavailableError(f"{sorter.policy.value}: {sorter.python} did not sort the times")
    times = columns["timestamps"]
    is_named = np.zeros(len(times), dtype=np.bool_)
    last = times.min()
    order_stream.seek(0)
    while content := order_stream.read(EVENTS_PER_BLOCK * PLACE.itemsize):
        if len(content) % PLACE.itemsize:
            raise unsorted
        places = np.frombuffer(content, dtype=PLACE)
        if places.min() < 0 or places.max() >= len(times):
            raise unsorted
        taken = Ratings(**{name: column[places] for name, column in columns.items()})  # type: ignore[arg-type]  # COLUMNS
        if taken.timestamps[0] < last or (taken.timestamps[1:] < taken.timestamps[:-1]).any():
            raise unsorted
        last = taken.timestamps[-1]
        is_named[places] = True
        yield taken
    if not is_named.all() or order_stream.tell() != len(times) * PLACE.itemsize:
        raise unsorted
