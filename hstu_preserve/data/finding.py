"""Find the store that a recipe or bundle needs."""

import os
from collections.abc import Callable
from pathlib import Path

from hstu_preserve.data.event_filter import filter_of
from hstu_preserve.data.known_datasets import advise
from hstu_preserve.data.store import RECORD_NAME, Store, open_store, verify_store
from hstu_preserve.errors import (
    ContentError,
    DataMismatchError,
    MissingPathError,
    PreserveError,
    UnavailableError,
    UsageError,
)
from hstu_preserve.primitives.files import read_bytes
from hstu_preserve.primitives.wording import list_some
from hstu_preserve.records.manifest import DataReference
from hstu_preserve.records.recipe import DatasetSettings
from hstu_preserve.records.store import StoreRecord

STORES_VARIABLE = "HSTU_PRESERVE_DATA"
DATASET_BINDING = "train_fn.dataset_name"
"""The gin name of a recipe's dataset, for a message that names the line to change."""
USER_FILTER_BINDING, ITEM_FILTER_BINDING = "data.min_user_events", "data.min_item_events"


def find_store_for_recipe(settings: DatasetSettings, data: Path | None) -> Store:
    """Return the store that a recipe trains on.

    Args:
        settings: The recipe's dataset.
        data: The store, or None for a search in the folder that HSTU_PRESERVE_DATA names.

    Raises:
        DataMismatchError: Another dataset, another fingerprint than the recipe pins, data of another filter, or arrays
            that were changed.
        UnavailableError: No store was named and none was found.
    """
    path = data or search_stores(
        lambda record: is_wanted(record, settings),
        wanted=f"dataset {settings.name}{describe_filter(settings)}",
        advice=advise(settings.name, filter_of(settings)),
    )
    store = open_pinned_store(settings, path)
    if store.name != settings.name:
        raise DataMismatchError(
            f"{path}: holds {store.name}, the recipe is for {settings.name}; to train on {store.name}, make a recipe "
            f"of your own that includes this one and says {DATASET_BINDING} = '{store.name}'"
        )
    return store


def is_wanted(record: StoreRecord, settings: DatasetSettings) -> bool:
    """Whether a store is of the recipe's name, filter and fingerprint."""
    is_pinned = settings.fingerprint in {None, record.fingerprint}
    return record.name == settings.name and is_pinned and filter_of(record.provenance) == filter_of(settings)


def describe_filter(settings: DatasetSettings) -> str:
    """Return what a recipe's filter leaves, to follow a name; nothing if there is none."""
    wanted = filter_of(settings)
    return "" if wanted.keeps_all else f" {wanted.words}"


def open_pinned_store(settings: DatasetSettings, path: Path) -> Store:
    """Return the store at `path`, whatever its name; every array is hashed, since a result will name the fingerprint.

    Raises:
        DataMismatchError: Another fingerprint than the recipe pins, data of another filter, or an array that was
            changed.
    """
    store = open_store(path)
    if settings.fingerprint is not None:
        require_fingerprint(store, settings.fingerprint, path=path)
    require_filter(store, settings, path=path)
    verify_store(store, place=path)
    return store


def locate_store_for_bundle(reference: DataReference, data: Path | None, *, carried: Path) -> Path:
    """Return the path of the store that a bundle needs.

    Args:
        reference: The data as the manifest names it.
        data: The store, or None for the one the bundle carries, else a search by fingerprint.
        carried: The path of the bundle's own store, if it carries one.

    Raises:
        UnavailableError: The bundle carries none, and none was named or found.
    """
    if data is not None:
        return data
    if reference.included:
        return carried
    return search_stores(
        lambda record: record.fingerprint == reference.fingerprint,
        wanted=f"{reference.name} with fingerprint {reference.fingerprint[:16]}…",
        advice=advise(reference.name),
    )


def open_store_for_bundle(reference: DataReference, path: Path) -> Store:
    """Return the store, every array of which is hashed: a verdict rests on it.

    Raises:
        DataMismatchError: The store's fingerprint is another (both are shown), or an array was changed.
    """
    store = open_store(path)
    require_fingerprint(store, reference.fingerprint, path=path)
    require_told_counts(reference, store)
    verify_store(store, place=path)
    return store


def require_told_counts(reference: DataReference, store: Store) -> None:
    """Raise ContentError if a bundle tells other sizes of its data than the data of its fingerprint has."""
    found = store.record.counts
    differences = [
        f"{what} told as {told:,}, found {size:,}"
        for what, told, size in (
            ("users", reference.num_users, found.num_users),
            ("rated items", reference.num_rated_items, found.num_rated_items),
            ("candidates", reference.num_candidates, found.num_candidates),
            ("ratings", reference.num_ratings, found.num_ratings),
        )
        if told != size
    ]
    if differences:
        raise ContentError(f"the bundle calls its data {reference.name}, and it is not ({'; '.join(differences)})")


def require_fingerprint(store: Store, expected: str, *, path: Path) -> None:
    """Raise DataMismatchError if the store is another than expected, showing both fingerprints."""
    if store.fingerprint != expected:
        raise DataMismatchError(
            f"{path}: other data than the recipe or bundle names (expected fingerprint {expected}, "
            f"found {store.fingerprint} of {store.name}, ties {store.record.provenance.tie_policy.value})"
        )


def require_filter(store: Store, settings: DatasetSettings, *, path: Path) -> None:
    """Raise DataMismatchError if other users and items were left out of a store than the recipe says."""
    wanted, found = filter_of(settings), filter_of(store.record.provenance)
    if wanted != found:
        raise DataMismatchError(
            f"{path}: holds {store.name} {found.words}, the recipe is for data {wanted.words} ({USER_FILTER_BINDING} = "
            f"{settings.min_user_events}, {ITEM_FILTER_BINDING} = {settings.min_item_events}); "
            f"{advise(settings.name, wanted)}"
        )


def list_stores(folder: Path) -> tuple[dict[Path, StoreRecord], list[str]]:
    """Return the record of each store in a folder, or of the store that it is, and why some cannot be read."""
    found, damaged = {}, []
    for path in sorted([*folder.glob(RECORD_NAME), *folder.glob(f"*/{RECORD_NAME}")]):
        try:
            found[path.parent] = StoreRecord.from_json(read_bytes(path), source=str(path))
        except PreserveError as error:  # it may be another store than the one that is wanted
            damaged.append(str(error))
    return found, damaged


def search_stores(is_wanted: Callable[[StoreRecord], bool], *, wanted: str, advice: str) -> Path:
    """Return the one fitting store in the folder that HSTU_PRESERVE_DATA names.

    Args:
        is_wanted: Says whether a store fits.
        wanted: The store in words, for messages.
        advice: How such a store is made, if it can be.

    Raises:
        UnavailableError: The variable is not set, or no store there fits.
        UsageError: Several fit.
    """
    folder = os.environ.get(STORES_VARIABLE)
    if not folder:
        raise UnavailableError(
            f"no data: {wanted} is needed; name a store with --data or a folder of stores with {STORES_VARIABLE}; "
            f"if there is none yet, {advice}"
        )
    if not Path(folder).is_dir():
        raise MissingPathError(f"{folder}: no such directory ({STORES_VARIABLE})")
    stores, damaged = list_stores(Path(folder))
    fitting = [path for path, record in stores.items() if is_wanted(record)]
    if not fitting:
        passed_over = f" (passed over: {list_some(damaged, at_most=2, separator='; ')})" if damaged else ""
        raise UnavailableError(f"{folder}: no store with {wanted}{passed_over}; {advice}")
    if len(fitting) > 1:
        raise UsageError(f"several stores with {wanted}: {', '.join(map(str, fitting))}; name one with --data")
    return fitting[0]
