"""Turn a download into a store."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

from hstu_preserve.data.event_filter import KEEP_ALL, EventFilter
from hstu_preserve.data.event_runs import open_event_runs
from hstu_preserve.data.known_datasets import AMAZON_BOOKS, KnownDataset, find_known_dataset, require_published_counts
from hstu_preserve.data.ratings import Ratings
from hstu_preserve.data.store import Store, new_store_folder, open_store, write_record
from hstu_preserve.data.store_building import Origin
from hstu_preserve.data.store_streaming import stream_arrays
from hstu_preserve.errors import UsageError
from hstu_preserve.primitives.voice import SILENT, Progress, Voice
from hstu_preserve.raw_data.amazon import prepare_amazon
from hstu_preserve.raw_data.event_filtering import choose_events
from hstu_preserve.raw_data.movielens import read_movies, read_ratings
from hstu_preserve.raw_data.numpy_orders import find_sorter
from hstu_preserve.raw_data.sources import Source, open_source
from hstu_preserve.raw_data.whole_file_order import sort_whole_file
from hstu_preserve.records.store import TiePolicy

GROUPLENS_NOTICE = (
    "MovieLens data of GroupLens Research, University of Minnesota: for research, with citation of Harper and "
    "Konstan 2015 (doi:10.1145/2827872), under the terms of the README that came with it."
)


def prepare_published(
    path: Path,
    *,
    name: str,
    tie_policy: TiePolicy,
    output: Path,
    numpy_python: Path | None = None,
    event_filter: EventFilter = KEEP_ALL,
    voice: Voice = SILENT,
) -> Store:
    """Turn the download of any data set that has a name into a store; see `prepare_movielens` and `prepare_amazon`."""
    is_amazon = name == AMAZON_BOOKS.name
    if is_amazon and not event_filter.keeps_all:
        raise UsageError(f"{name}:{event_filter.options} is not for it; it is filtered as Meta's code filters it")
    prepare = prepare_amazon if is_amazon else partial(prepare_movielens, name=name, event_filter=event_filter)
    return prepare(path, tie_policy=tie_policy, output=output, numpy_python=numpy_python, voice=voice)


def prepare_movielens(
    path: Path,
    *,
    name: str,
    tie_policy: TiePolicy,
    output: Path,
    numpy_python: Path | None = None,
    event_filter: EventFilter = KEEP_ALL,
    voice: Voice = SILENT,
) -> Store:
    """Turn a MovieLens edition's folder or zip into a store, and compare it with the published counts.

    Users and items with too few events are left out if a filter asks for it, after the counts of the source were
    compared; the candidates are then the items that have events left, and the ratings are read twice.

    Memory does not grow with the number of ratings; beside the store, disk space of 17 bytes for each is needed. An
    order of NumPy takes what `sort_whole_file` says in addition.

    Args:
        path: The zip as downloaded, the unpacked folder, or the folder that holds it.
        name: The edition, e.g. `ml-20m`.
        tie_policy: How events of one user at the same second are ordered; `imported` has no meaning here.
        output: The new directory.
        numpy_python: Another Python whose NumPy may sort, for an order of NumPy.
        event_filter: Which users and items stay.
        voice: Shows how many ratings were read, then written.

    Raises:
        UsageError: Tie policy `imported`, or `output` exists and is not empty.
        UnknownNameError: There is no such edition.
        MissingPathError: A file is not there.
        ContentError: Another zip, a malformed line, or other counts than the published ones.
        UnavailableError: `output` cannot be written, the disk is full, or no NumPy here sorts in that order.
    """
    if tie_policy is TiePolicy.IMPORTED:
        raise UsageError("tie policy imported keeps the order of a sasrec_format.csv; see 'hstu-preserve data import'")
    dataset = find_known_dataset(name)
    sorter = find_sorter(tie_policy, numpy_python=numpy_python)
    with (
        new_store_folder(output) as folder,
        open_event_runs(folder, label=output) as runs,
        open_source(path, zip_md5=dataset.zip_md5) as source,
    ):
        movies = read_movies(source, layout=dataset.layout)
        parts = show_reading(source, dataset, activity="reading ratings", voice=voice)
        if not event_filter.keeps_all:
            counted = show_reading(source, dataset, activity="counting events", voice=voice)
            selection = choose_events(counted, event_filter=event_filter, name=name)
            require_published_counts(selection.count_before(movies), dataset=dataset)
            parts = selection.select(parts)
        for part in sort_whole_file(parts, sorter=sorter, folder=folder, label=output, voice=voice):
            runs.add(part)
        if not event_filter.keeps_all:
            movies = selection.cut(movies)
        origin = Origin(
            source=source.name,
            source_md5=source.md5,
            redistributable=False,
            notice=GROUPLENS_NOTICE,
            event_filter=event_filter,
        )
        record = stream_arrays(
            runs, movies, folder=folder, name=name, tie_policy=tie_policy, origin=origin, voice=voice
        )
        require_published_counts(record.counts, dataset=dataset, event_filter=event_filter)
        write_record(record, folder)
    return open_store(output)


def show_reading(source: Source, dataset: KnownDataset, *, activity: str, voice: Voice) -> Iterator[Ratings]:
    """Yield the ratings as they are read, and show how many that were."""
    num_events = 0
    for part in read_ratings(source, layout=dataset.layout):
        num_events += len(part.user_ids)
        voice.show(Progress(activity=activity, completed=num_events, total=dataset.num_ratings))
        yield part
