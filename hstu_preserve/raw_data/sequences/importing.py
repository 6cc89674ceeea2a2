"""Make a store of a file that has one event a line; see `events` for the forms that are read.

The file is read twice: once to count users and items, once to number what stays. Memory grows with the names of users
and items, not with the events.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hstu_preserve.data.event_filter import EventFilter
from hstu_preserve.data.event_runs import open_event_runs
from hstu_preserve.data.filtered_data import REVIEWS, SASREC_FILTER, SASREC_REPOSITORY, FilteredData, recognize_blob
from hstu_preserve.data.known_datasets import KNOWN_DATASETS, list_published_differences
from hstu_preserve.data.movie_table import make_plain_table
from hstu_preserve.data.store import Store, new_store_folder, open_store, write_record
from hstu_preserve.data.store_building import Origin
from hstu_preserve.data.store_streaming import stream_arrays
from hstu_preserve.errors import ContentError
from hstu_preserve.primitives.voice import SILENT, Progress, Voice
from hstu_preserve.raw_data.amazon import NOTICE as AMAZON_NOTICE
from hstu_preserve.raw_data.preparation import GROUPLENS_NOTICE
from hstu_preserve.raw_data.sasrec_format import UNKNOWN_TERMS, UNNAMED
from hstu_preserve.raw_data.sequences.events import Event, read_events
from hstu_preserve.raw_data.sequences.lines import LineFile
from hstu_preserve.raw_data.sequences.numbering import EVENTS_PER_PART, NameCounts, Numbering
from hstu_preserve.records.store import StoreCounts, TiePolicy

STEAM_NOTICE = (
    "Reviews of Steam that Kang and McAuley 2018 (arXiv:1808.09781) crawled: under the terms of the page that it came "
    "from."
)
NOTICES = {
    **dict.fromkeys(KNOWN_DATASETS, GROUPLENS_NOTICE),
    **dict.fromkeys(REVIEWS, AMAZON_NOTICE),
    "steam": STEAM_NOTICE,
}


@dataclass(frozen=True, kw_only=True)
class Content:
    """What a file is, once it was read: how often its names occur, and whether it is a published one."""

    counts: NameCounts
    published: FilteredData | None


def import_sequence_file(
    path: Path, *, name: str | None, event_filter: EventFilter, output: Path, voice: Voice = SILENT
) -> Store:
    """Turn a file of events into a store, each user's in the order of time, or of the file if it has no times.

    Users and items are numbered from 1 by first appearance among the events that stay; numbers that are 1 to n already
    stay. The candidates are the items that have events; nothing else is known of them.

    Args:
        path: The file, plain or compressed with gzip.
        name: The dataset's name; None takes that of the published file that it is, else `imported`.
        event_filter: Which users and items stay; counted once over the whole file.
        output: The new directory.
        voice: Shows how far reading and writing are.

    Raises:
        UsageError: `output` exists and is not empty, or `path` is a directory.
        MissingPathError: There is no such file.
        ContentError: A malformed line (named), a damaged file, nothing that is left, or other counts than those
            published under `name`.
        UnavailableError: `output` cannot be written, or the disk is full.
    """
    file = LineFile(path=path)
    with new_store_folder(output) as folder, open_event_runs(folder, label=output) as runs:
        content = examine(file, event_filter=event_filter, voice=voice)
        numbering = Numbering(content.counts, event_filter=event_filter)
        for part in numbering.number(show_reading(file, activity="reading events", voice=voice)):
            runs.add(part)
        if not runs.num_events:
            raise ContentError(f"{file.label}: no event is left with{event_filter.options}; ask for fewer")
        name = name or (content.published.name if content.published else UNNAMED)
        origin = describe_origin(file, content, name=name, event_filter=event_filter)
        record = stream_arrays(
            runs,
            make_plain_table(np.arange(1, numbering.num_items + 1)),
            folder=folder,
            name=name,
            tie_policy=TiePolicy.STABLE if content.counts.has_times else TiePolicy.IMPORTED,
            origin=origin,
            voice=voice,
        )
        require_published(name, record.counts, event_filter=origin.event_filter)
        write_record(record, folder)
    return open_store(output)


def examine(file: LineFile, *, event_filter: EventFilter, voice: Voice) -> Content:
    """Return what a file is, after reading it once."""
    counts = NameCounts()
    for event in show_reading(file, activity="counting events", voice=voice):
        counts.add(event)
    is_plain = event_filter.keeps_all and file.git_blob is not None
    return Content(counts=counts, published=recognize_blob(file.git_blob or "") if is_plain else None)


def show_reading(file: LineFile, *, activity: str, voice: Voice) -> Iterator[Event]:
    """Yield a file's events, and show how much of it was read."""
    size = file.path.stat().st_size if file.path.exists() else 0
    for number, event in enumerate(read_events(file)):
        if number % EVENTS_PER_PART == 0:
            voice.show(Progress(activity=activity, completed=file.num_bytes_read, total=size, in_bytes=True))
        yield event


def describe_origin(file: LineFile, content: Content, *, name: str, event_filter: EventFilter) -> Origin:
    """Return where the data is from; a published file says what it was filtered by."""
    published = content.published
    source = file.label
    if published is not None:
        source += f" (git blob {published.git_blob}, {published.file_name} of {SASREC_REPOSITORY})"
    return Origin(
        source=source,
        source_md5=None,
        redistributable=False,
        notice=NOTICES.get(name, UNKNOWN_TERMS),
        event_filter=SASREC_FILTER if published is not None else event_filter,
        times=None if content.counts.has_times else "order",
    )


def require_published(name: str, counts: StoreCounts, *, event_filter: EventFilter) -> None:
    """Raise ContentError if data bears a published name and has other counts."""
    differences = list_published_differences(name, counts, event_filter)
    if differences:
        raise ContentError(f"{name}: not the published data ({'; '.join(differences)}); give it another --name")
