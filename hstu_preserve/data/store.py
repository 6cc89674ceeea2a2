"""The store: prepared data as a directory of flat arrays, named by their fingerprint."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from hstu_preserve.data.arrays import AnyArray, Int16Array, Int32Array, Int64Array, Uint8Array
from hstu_preserve.data.sequences import Sequences
from hstu_preserve.errors import DataMismatchError, MissingPathError, PreserveError, UnavailableError, UsageError
from hstu_preserve.primitives.arrays import DAMAGED_ARRAYS, map_array_file
from hstu_preserve.primitives.digests import sha256_of_bytes
from hstu_preserve.primitives.files import (
    flush_to_disk,
    read_small,
    refuse_unwritable,
    write_atomically,
)
from hstu_preserve.primitives.temporary_folders import whole_folder
from hstu_preserve.primitives.wording import printable
from hstu_preserve.records.store import ArrayRecord, StoreRecord

RECORD_NAME = "store.json"
MAX_RECORD_BYTES = 8 * 2**20
MAX_REASON_CHARACTERS = 300
ARRAY_DTYPES = {
    "user_ids": "<i4",
    "offsets": "<i8",
    "item_ids": "<i4",
    "half_stars": "|i1",
    "timestamps": "<i8",
    "candidate_ids": "<i4",
    "candidate_genres": "|u1",
    "candidate_years": "<i2",
}


@dataclass(frozen=True, kw_only=True)
class Store(Sequences):
    """Prepared data: the users' events, the items that can be recommended, and their genres and years."""

    record: StoreRecord
    candidate_ids: Int32Array
    """[I], ascending: the whole movie table, as upstream ranks it."""
    candidate_genres: Uint8Array
    """[I, G], 1 where the item has the genre of `record.genres`."""
    candidate_years: Int16Array
    """[I], of release; 0 if unknown."""

    @property
    def name(self) -> str:
        """`ml-1m`, `synthetic`, …."""
        return self.record.name

    @property
    def fingerprint(self) -> str:
        """The sha256 that names this data."""
        return self.record.fingerprint

    @property
    def max_item_id(self) -> int:
        """The largest candidate id; an item table has one row more."""
        return self.record.counts.max_item_id

    def list_arrays(self) -> dict[str, AnyArray]:
        """Return each array by the name it is stored under."""
        return {name: getattr(self, name) for name in ARRAY_DTYPES}


def describe_array(name: str, array: AnyArray) -> ArrayRecord:
    """Return the array's record, with the digest of its raw bytes."""
    return ArrayRecord(name=name, dtype=array.dtype.str, shape=array.shape, sha256=hash_array(array))


def hash_array(array: AnyArray) -> str:
    """Return the sha256 of a little-endian, C-ordered array's raw bytes."""
    return sha256_of_bytes(array.reshape(-1).view(np.uint8).data)


def assemble_store(record: StoreRecord, arrays: Mapping[str, AnyArray]) -> Store:
    """Return the store of a record and its arrays, which nobody may write to any more."""
    for array in arrays.values():
        array.flags.writeable = False
    return Store(record=record, **arrays)  # type: ignore[arg-type]  # dtypes were checked by name


@contextmanager
def new_store_folder(directory: Path) -> Iterator[Path]:
    """Yield an empty folder beside `directory` that takes its name when the block ends without an error.

    Leftovers of killed processes, from earlier attempts at the same directory, are removed.

    Raises:
        UsageError: The directory exists and is not empty.
        UnavailableError: It cannot be written.
    """
    require_empty(directory)
    with whole_folder(directory, require_free=partial(require_empty, directory)) as temporary:
        yield temporary


def require_empty(directory: Path) -> None:
    """Raise UsageError unless nothing, or an empty folder, is there."""
    if os.path.lexists(directory) and not (directory.is_dir() and not any(directory.iterdir())):
        raise UsageError(f"{directory}: exists and is not empty; name another directory or remove it")


def write_store(store: Store, directory: Path) -> None:
    """Write the store to `directory`, whole or not at all.

    Raises:
        UsageError: The directory exists and is not empty.
        UnavailableError: It cannot be written, or the disk is full.
    """
    with new_store_folder(directory) as folder, refuse_unwritable(directory):
        write_arrays(store.list_arrays(), folder)
        write_record(store.record, folder)


def write_arrays(arrays: Mapping[str, AnyArray], folder: Path) -> None:
    """Write each array to the file that has its name, onto the disk."""
    for name, array in arrays.items():
        path = folder / f"{name}.npy"
        with path.open("xb") as stream:
            np.save(stream, array, allow_pickle=False)
            flush_to_disk(stream, path=path)


def write_record(record: StoreRecord, folder: Path) -> None:
    """Write the record, last: a folder is a store once it has one."""
    write_atomically(folder / RECORD_NAME, record.to_json())


def open_store(directory: Path) -> Store:
    """Open a store, its arrays memory-mapped and read-only; dtypes, shapes and structure are checked, digests not.

    Raises:
        MissingPathError: There is no store at `directory`.
        DataMismatchError: An array differs from the record.
        ContentError: The record itself is damaged.
        UnavailableError: The directory may not be read.
    """
    path = directory / RECORD_NAME
    if not os.path.isfile(path):  # noqa: PTH113  is_file raises where the folder may not be read
        raise describe_missing_store(directory)
    record = StoreRecord.from_json(read_small(path, max_bytes=MAX_RECORD_BYTES), source=str(path))
    listed = {array.name: array for array in record.arrays}
    if listed.keys() != ARRAY_DTYPES.keys() or len(listed) != len(record.arrays):
        raise DataMismatchError(f"{path}: lists the arrays {sorted(listed)}, expected {sorted(ARRAY_DTYPES)}")
    arrays = {name: map_array(directory / f"{name}.npy", described=listed[name]) for name in ARRAY_DTYPES}
    store = assemble_store(record, arrays)
    require_sound_structure(store, directory=directory)
    return store


def describe_missing_store(directory: Path) -> PreserveError:
    """Return the error that says why there is no store, and how to get one."""
    if not os.path.lexists(directory):
        return MissingPathError(f"{directory}: no such directory; make a store with 'hstu-preserve data prepare'")
    try:
        with suppress(FileNotFoundError, NotADirectoryError):
            (directory / RECORD_NAME).stat()
    except OSError as error:
        return UnavailableError(f"{directory}: cannot be read ({error.strerror})")
    inside = directory / "data"
    is_run = (inside / RECORD_NAME).is_file()
    advice = f"name {inside}, the run's own" if is_run else "make one with 'hstu-preserve data prepare'"
    return MissingPathError(f"{directory}: no store there (no {RECORD_NAME}); {advice}")


def map_array(path: Path, *, described: ArrayRecord) -> AnyArray:
    """Return one array, memory-mapped.

    Raises:
        MissingPathError: The file is not there.
        DataMismatchError: No array, or of another dtype or shape.
        UnavailableError: It may not be read.
    """
    try:
        array: AnyArray = map_array_file(path)
    except FileNotFoundError:
        raise MissingPathError(f"{path}: no such file, though {RECORD_NAME} lists it") from None
    except PermissionError as error:
        raise UnavailableError(f"{path}: cannot be read ({error.strerror})") from None
    except DAMAGED_ARRAYS as error:
        raise DataMismatchError(
            f"{path}: not a readable array ({printable(str(error))[:MAX_REASON_CHARACTERS]})"
        ) from None
    expected = f"{ARRAY_DTYPES[described.name]} {list(described.shape)}"
    found = f"{array.dtype.str} {list(array.shape)}"
    if found != expected or described.dtype != array.dtype.str or not array.flags.c_contiguous:
        raise DataMismatchError(f"{path}: expected {expected}, found {found}")
    return array


def require_sound_structure(store: Store, *, directory: Path) -> None:
    """Raise DataMismatchError if the arrays do not fit together; reads the small ones only."""
    counts, offsets = store.record.counts, store.offsets
    events = (len(store.item_ids), len(store.half_stars), len(store.timestamps))
    num_candidates = len(store.candidate_ids)
    laws = {
        "all arrays but the genres are flat": all(
            array.ndim == 1 + (name == "candidate_genres") for name, array in store.list_arrays().items()
        ),
        "each event has item, rating and time": events == (counts.num_ratings,) * 3,
        "counts are the arrays' sizes": (store.num_users, num_candidates) == (counts.num_users, counts.num_candidates),
        "offsets run from 0 to the number of events": len(offsets) == store.num_users + 1
        and offsets[0] == 0
        and offsets[-1] == counts.num_ratings
        and is_ascending(offsets),
        "user ids ascend": is_ascending(store.user_ids),
        "candidate ids ascend from 1 to max_item_id": is_ascending(store.candidate_ids)
        and num_candidates > 0
        and store.candidate_ids[0] >= 1
        and store.candidate_ids[-1] == counts.max_item_id,
        "each candidate has genres and a year": store.candidate_genres.shape
        == (num_candidates, len(store.record.genres))
        and store.candidate_years.shape == (num_candidates,),
    }
    broken = [law for law, holds in laws.items() if not holds]
    if broken:
        raise DataMismatchError(f"{directory}: not a store of this program (does not hold: {'; '.join(broken)})")


def is_ascending(values: Int32Array | Int64Array) -> bool:
    """Say whether each value is greater than the one before."""
    return bool((values[1:] > values[:-1]).all())


def verify_store(store: Store, *, place: Path | None = None) -> None:
    """Hash every array anew and check every event's item.

    Args:
        store: To be verified.
        place: Its path, for the message; None gives its dataset's name instead.

    Raises:
        DataMismatchError: Arrays differ from their record; all are named.
    """
    changed = [
        f"{described.name} (expected sha256 {described.sha256}, found {found})"
        for described in store.record.arrays
        if (found := hash_array(store.list_arrays()[described.name])) != described.sha256
    ]
    if changed:
        raise DataMismatchError(f"{place or store.name}: array differs from {RECORD_NAME}: {'; '.join(changed)}")
    unknown = find_unknown_items(store)
    if len(unknown):
        raise DataMismatchError(f"{place or store.name}: item {unknown.min()} is rated but no candidate")


def find_unknown_items(store: Store) -> Int32Array:
    """Return the events' items that are no candidate; a table finds them in a hundredth of the time of sorting."""
    items = store.item_ids
    outside = items[(items < 0) | (items > store.max_item_id)]
    if len(outside):
        return outside
    is_candidate = np.zeros(store.max_item_id + 1, dtype=np.bool_)
    is_candidate[store.candidate_ids] = True
    return items[~is_candidate[items]]
