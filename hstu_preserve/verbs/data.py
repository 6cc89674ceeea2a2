"""Fetch published data, make stores, show and export them."""

from pathlib import Path

from hstu_preserve.bundle.destinations import require_writable
from hstu_preserve.data.event_filter import ask_filter
from hstu_preserve.data.known_datasets import KnownDataset, find_served_dataset
from hstu_preserve.data.oddities import list_oddities
from hstu_preserve.data.results import ExportedData, FetchedData, PreparedOrders
from hstu_preserve.data.store import Store, new_store_folder, open_store, verify_store
from hstu_preserve.errors import UsageError
from hstu_preserve.primitives.urls import hide_login
from hstu_preserve.primitives.voice import SILENT, Voice
from hstu_preserve.raw_data.every_order import write_every_order
from hstu_preserve.raw_data.fetching import fetch_zip
from hstu_preserve.raw_data.preparation import prepare_published
from hstu_preserve.raw_data.sasrec_writing import list_reading_problems, locate_upstream, write_sasrec_format
from hstu_preserve.records.downloads import DigestKind
from hstu_preserve.records.results import StoreResult
from hstu_preserve.records.store import PREPARED_POLICIES, TiePolicy
from hstu_preserve.synthetic.stores import (
    DEFAULT_NUM_ITEMS,
    DEFAULT_NUM_RATINGS,
    DEFAULT_NUM_USERS,
    write_synthetic_store,
)

DEFAULT_POLICY = TiePolicy.STABLE
SASREC_FORMAT = "sasrec-format"


def download_data(
    name: str,
    *,
    accepts_terms: bool,
    output: str | Path | None = None,
    url: str | None = None,
    voice: Voice = SILENT,
) -> FetchedData:
    """Fetch the zip of a MovieLens edition and compare it with the published md5.

    Args:
        name: `ml-100k`, `ml-1m`, `ml-20m`, `ml-25m`, `ml-32m` or `ml-latest-small`.
        accepts_terms: That the caller has read the terms of GroupLens and accepts them.
        output: The new file; None takes NAME.zip in the current directory. The published file that is there already is
            compared and stays.
        url: A mirror; None takes GroupLens.
        voice: Shows progress in bytes.

    Raises:
        UnknownNameError: No such edition.
        UsageError: The terms are not accepted, or another file stands at `output`.
        ContentError: Other bytes than the published ones.
        UnavailableError: Network or disk.
    """
    dataset = find_served_dataset(name)
    if not accepts_terms:
        raise UsageError(f"{name}: {describe_terms(dataset)}; nothing was fetched, as they were not accepted")
    url = dataset.zip_url if url is None else url
    path = Path(f"{name}.zip") if output is None else Path(output)
    fetched = fetch_zip(url, path, md5=dataset.zip_md5, voice=voice)
    return FetchedData(
        name=name,
        path=path,
        url=hide_login(url),
        size=fetched.size,
        received=fetched.received,
        md5=fetched.digests[DigestKind.MD5],
        sha256=fetched.digests[DigestKind.SHA256],
        is_published_md5=dataset.zip_md5 is not None,
    )


def describe_terms(dataset: KnownDataset) -> str:
    """Return what GroupLens asks of everybody who uses an edition, and where the terms stand in full."""
    return (
        "MovieLens data is for research; its terms ask to cite it, not to hand it on, and not to use it commercially "
        f"without permission of GroupLens; they stand in the README linked from {dataset.page_url}"
    )


def prepare_data(
    name: str,
    *,
    source: str | Path,
    output: str | Path,
    tie_policy: str = DEFAULT_POLICY,
    numpy_python: str | Path | None = None,
    min_user_events: int = 1,
    min_item_events: int = 1,
    voice: Voice = SILENT,
) -> StoreResult:
    """Turn a MovieLens download, or Amazon's book ratings, into a store.

    Args:
        name: `ml-100k`, `ml-1m`, `ml-20m`, `ml-25m`, `ml-32m`, `ml-latest-small` or `amzn-books`.
        source: The zip, or the unpacked folder; of Amazon's, `ratings_Books.csv`.
        output: The new directory.
        tie_policy: `stable` keeps the file's order among equal timestamps, `item_id` sorts them by item; one of NumPy's
            four orders leaves them as Meta's preprocessing does with that NumPy: `numpy-introsort`, `numpy-avx512-1`,
            `numpy-avx2` or `numpy-avx512-2`.
        numpy_python: Another Python, whose NumPy makes an order that ours cannot make.
        min_user_events: Ratings that a user must have, counted once over all; users with fewer are left out.
        min_item_events: The same of a movie; movies without a rating that stays are no candidates then.
        voice: Shows how many ratings were read, then written.

    Raises:
        UnknownNameError: No such data set; the known ones are listed.
        ContentError: Another zip, a malformed line, or other counts than the published ones.
        UnavailableError: No NumPy here sorts in that order; the reasons are given.
    """
    source, output = Path(source), Path(output)
    if tie_policy not in PREPARED_POLICIES:
        raise UsageError(f"--tie-policy {tie_policy}: unknown; choose {' or '.join(PREPARED_POLICIES)}")
    require_writable(output, option="--output")
    store = prepare_published(
        source,
        name=name,
        tie_policy=TiePolicy(tie_policy),
        output=output,
        numpy_python=None if numpy_python is None else Path(numpy_python),
        event_filter=ask_filter(min_user_events=min_user_events, min_item_events=min_item_events),
        voice=voice,
    )
    return describe(store, output)


def prepare_every_order(
    name: str,
    *,
    source: str | Path,
    output: str | Path,
    numpy_python: str | Path | None = None,
    min_user_events: int = 1,
    min_item_events: int = 1,
    voice: Voice = SILENT,
) -> PreparedOrders:
    """Turn a download into one store for each distinct order that this machine can make.

    Args:
        name: As `prepare_data` takes it.
        source: As `prepare_data` takes it.
        output: The new directory of the stores, each of which bears the name of its tie policy.
        numpy_python: Another Python, whose NumPy makes orders that ours cannot make.
        min_user_events: As `prepare_data` takes it.
        min_item_events: As `prepare_data` takes it.
        voice: Says which order is being made, and shows how far that is.

    Raises:
        UnknownNameError: No such data set; the known ones are listed.
        ContentError: Another zip, a malformed line, or other counts than the published ones.
        UnavailableError: None of NumPy's orders can be made here.
    """
    source, output = Path(source), Path(output)
    require_writable(output, option="--output")
    return write_every_order(
        source,
        name=name,
        output=output,
        numpy_python=None if numpy_python is None else Path(numpy_python),
        event_filter=ask_filter(min_user_events=min_user_events, min_item_events=min_item_events),
        voice=voice,
    )


def synthesize_data(
    *,
    seed: int,
    output: str | Path,
    num_users: int | None = None,
    num_items: int | None = None,
    num_ratings: int | None = None,
) -> StoreResult:
    """Make up a store that may be shared: sessions, ties, popularity skew and a learnable order.

    Args:
        seed: Decides everything.
        output: The new directory.
        num_users: None takes ml-latest-small's 610.
        num_items: None takes 9,742.
        num_ratings: None takes 100,836.

    Raises:
        UsageError: No such data can exist.
    """
    output = Path(output)
    require_writable(output, option="--output")
    store = write_synthetic_store(
        output,
        seed=seed,
        num_users=DEFAULT_NUM_USERS if num_users is None else num_users,
        num_items=DEFAULT_NUM_ITEMS if num_items is None else num_items,
        num_ratings=DEFAULT_NUM_RATINGS if num_ratings is None else num_ratings,
    )
    return describe(store, output)


def show_data(path: str | Path) -> StoreResult:
    """Open a store, hash every array, and return its record.

    Raises:
        MissingPathError: There is no store.
        DataMismatchError: An array differs from the store's record.
    """
    path = Path(path)
    store = open_store(path)
    verify_store(store, place=path)
    return describe(store, path)


def export_data(
    path: str | Path,
    *,
    output: str | Path,
    format: str = SASREC_FORMAT,  # noqa: A002  the option's name
    voice: Voice = SILENT,
) -> ExportedData:
    """Write a store's data as upstream's code reads it; `import_data` of the files gives the same fingerprint.

    Args:
        path: The store; every array is hashed first.
        output: The new directory of `sasrec_format.csv` and, if the data has a movie table, `movies.csv`.
        format: `sasrec-format`.
        voice: Shows how many events were written.

    Raises:
        UsageError: An unknown format, or the store holds something that the format cannot say.
        DataMismatchError: The store's arrays were changed.
    """
    path, output = Path(path), Path(output)
    if format != SASREC_FORMAT:
        raise UsageError(f"--format {format}: unknown; choose {SASREC_FORMAT}")
    require_writable(output, option="--output")
    store = open_store(path)
    verify_store(store, place=path)
    with new_store_folder(output) as folder:
        files = write_sasrec_format(store, folder, label=output, voice=voice)
    provenance = store.record.provenance
    return ExportedData(
        path=output,
        name=store.name,
        fingerprint=store.fingerprint,
        tie_policy=provenance.tie_policy,
        files={file: locate_upstream(file, name=store.name) for file in files},
        redistributable=provenance.redistributable,
        notice=provenance.notice,
        warnings=list_reading_problems(store),
    )


def describe(store: Store, path: Path) -> StoreResult:
    """Return the name, fingerprint and counts of a store."""
    return StoreResult(path=path, store=store.record, is_verified=True, warnings=list_oddities(store))
