"""The store as a directory: written whole, opened mapped, and every change to it noticed."""

import fcntl
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given

from hstu_preserve.data.store import (
    ARRAY_DTYPES,
    RECORD_NAME,
    Store,
    new_store_folder,
    open_store,
    verify_store,
    write_store,
)
from hstu_preserve.errors import ContentError, DataMismatchError, MissingPathError, UnavailableError, UsageError
from hstu_preserve.primitives.digests import sha256_of_bytes
from hstu_preserve.primitives.temporaries import MARK, list_leftovers, remove_abandoned
from hstu_preserve.records.store import ArrayRecord, StoreRecord, fingerprint_of
from tests.data.strategies import Event, events, make_store

ROWS = [(1, 2, 10, 7), (1, 3, 8, 9), (2, 5, 1, 1), (2, 6, 2, 2)]
STRUCTURE = {"offsets": "offsets run", "candidate_ids": "candidate ids ascend"}
"""What is noticed of a changed small array before any digest."""
ALL_ARRAYS = pytest.mark.parametrize("name", sorted(ARRAY_DTYPES))


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    write_store(make_store(ROWS), tmp_path / "store")
    return tmp_path / "store"


def describe_anew(directory: Path) -> None:
    """Write the record that the arrays lying there would have: a consistent lie."""
    record = StoreRecord.from_json((directory / RECORD_NAME).read_bytes(), source=RECORD_NAME)
    arrays = []
    for name in ARRAY_DTYPES:
        array = np.load(directory / f"{name}.npy")
        sha256 = sha256_of_bytes(array.tobytes())
        arrays.append(ArrayRecord(name=name, dtype=array.dtype.str, shape=array.shape, sha256=sha256))
    update = {"arrays": tuple(arrays), "fingerprint": fingerprint_of(tuple(arrays), record.genres)}
    (directory / RECORD_NAME).write_bytes(record.model_copy(update=update).to_json())


@given(rows=events)
def test_a_store_comes_back_as_it_was_written(tmp_path_factory: pytest.TempPathFactory, rows: list[Event]) -> None:
    directory = tmp_path_factory.mktemp("stores") / "store"
    store = make_store(rows)
    write_store(store, directory)
    found = open_store(directory)
    verify_store(found)
    assert found.record == store.record
    for name, array in store.list_arrays().items():
        np.testing.assert_array_equal(found.list_arrays()[name], array)
        assert found.list_arrays()[name].dtype == array.dtype


def test_an_opened_store_is_mapped_and_read_only(directory: Path) -> None:
    store = open_store(directory)
    base: object = store.item_ids
    while isinstance(base, np.ndarray) and not isinstance(base, np.memmap):
        base = base.base
    assert isinstance(base, np.memmap)
    assert not store.item_ids.flags.writeable
    assert (store.name, store.num_users, store.num_events, store.lengths.tolist()) == ("made-up", 2, 4, [2, 2])


def test_a_directory_that_holds_something_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / "notes.txt").write_text("mine")
    with pytest.raises(UsageError, match="exists and is not empty"):
        write_store(make_store(ROWS), tmp_path / "store")
    assert [path.name for path in tmp_path.rglob("*")] == ["store", "notes.txt"]


def test_an_empty_directory_is_taken(tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    write_store(make_store(ROWS), tmp_path / "store")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["store"]
    verify_store(open_store(tmp_path / "store"))


def test_a_failed_write_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "save", fail)
    with pytest.raises(UnavailableError, match="No space left on device"):
        write_store(make_store(ROWS), tmp_path / "store")
    assert not list(tmp_path.iterdir())


MARKED = [f"{name}.a1b2c3d4{MARK}" for name in (".store", ".store.b", ".other")]


def test_what_a_killed_attempt_left_is_removed_by_the_next(tmp_path: Path) -> None:
    for name in (*MARKED, ".store.mine.tmp"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "item_ids.npy").write_bytes(b"half")
    write_store(make_store(ROWS), tmp_path / "store")
    left = sorted(path.name for path in tmp_path.iterdir())
    assert left == sorted([*MARKED[1:], ".store.mine.tmp", "store"])


def test_what_a_living_process_is_writing_stays(tmp_path: Path) -> None:
    with new_store_folder(tmp_path / "store") as folder:
        remove_abandoned(list_leftovers(tmp_path / "store"))
        assert list(tmp_path.iterdir()) == [folder]
    assert [path.name for path in tmp_path.iterdir()] == ["store"]


def test_a_folder_that_looked_abandoned_before_it_was_locked_is_made_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = fcntl.flock
    swept: list[Path] = []

    def sweep_and_lock(descriptor: int, operation: int) -> None:
        if operation == fcntl.LOCK_EX and not swept:
            swept.extend(tmp_path.iterdir())
            remove_abandoned(list_leftovers(tmp_path / "store"))
            assert not swept[0].exists()
        lock(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", sweep_and_lock)
    write_store(make_store(ROWS), tmp_path / "store")
    assert [path.name for path in tmp_path.iterdir()] == ["store"]
    verify_store(open_store(tmp_path / "store"))


def test_a_parent_that_is_a_file_is_reported(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(UnavailableError):
        write_store(make_store(ROWS), tmp_path / "file" / "store")


@ALL_ARRAYS
def test_one_changed_value_is_found_and_the_array_named(directory: Path, name: str) -> None:
    path = directory / f"{name}.npy"
    content = bytearray(path.read_bytes())
    content[-1] ^= 0x40
    path.write_bytes(bytes(content))
    with pytest.raises(DataMismatchError, match=STRUCTURE.get(name, f"{name} .expected sha256")):
        verify_store(open_store(directory))


@ALL_ARRAYS
@pytest.mark.parametrize("damage", ["missing", "truncated", "garbage", "longer", "wider", "reshaped", "pickled"])
def test_a_damaged_array_is_refused_when_the_store_is_opened(directory: Path, name: str, damage: str) -> None:
    path = directory / f"{name}.npy"
    array = np.load(path)
    match damage:
        case "missing":
            path.unlink()
        case "truncated":
            path.write_bytes(path.read_bytes()[:-1])
        case "garbage":
            path.write_bytes(b"garbage")
        case "longer":
            np.save(path, np.concatenate([array, array]))
        case "wider":
            np.save(path, array.astype(np.float64))
        case "reshaped":
            np.save(path, array[None])
        case "pickled":
            np.save(path, array.astype(object), allow_pickle=True)
    with pytest.raises((DataMismatchError, MissingPathError), match=name):
        open_store(directory)


def test_a_damaged_record_is_refused(directory: Path) -> None:
    path = directory / RECORD_NAME
    path.write_bytes(path.read_bytes().replace(b'"fingerprint":"', b'"fingerprint":"0', 1))
    with pytest.raises(ContentError, match=r"store\.json"):
        open_store(directory)


def test_another_fingerprint_than_the_arrays_have_is_refused(directory: Path) -> None:
    record = open_store(directory).record
    content = record.to_json().replace(record.fingerprint.encode(), b"0" * 64)
    (directory / RECORD_NAME).write_bytes(content)
    with pytest.raises(ContentError, match="fingerprint does not follow"):
        open_store(directory)


@pytest.mark.parametrize(
    ("name", "values", "law"),
    [
        ("offsets", [0, 3, 2], "offsets run"),
        ("offsets", [1, 2, 4], "offsets run"),
        ("offsets", [0, 2, 5], "offsets run"),
        ("offsets", [0, 4], "offsets run"),
        ("user_ids", [2, 1], "user ids ascend"),
        ("user_ids", [1, 2, 3], "counts are"),
        ("timestamps", [1, 2, 3], "each event has"),
        ("candidate_ids", [*range(12)], "candidate ids ascend"),
        ("candidate_years", [1, 2], "each candidate has"),
        ("candidate_genres", [0] * 12, "flat"),
        ("half_stars", [[1, 2, 3, 4]], "flat"),
    ],
)
def test_arrays_that_do_not_fit_together_are_refused_though_their_digests_hold(
    directory: Path, name: str, values: list[int], law: str
) -> None:
    np.save(directory / f"{name}.npy", np.array(values, dtype=ARRAY_DTYPES[name]))
    describe_anew(directory)
    with pytest.raises(DataMismatchError, match=law):
        open_store(directory)


@pytest.mark.parametrize("item", [99, 0, -1, 2**31 - 1])
def test_an_event_whose_item_is_no_candidate_is_found_by_verification(directory: Path, item: int) -> None:
    np.save(directory / "item_ids.npy", np.array([2, 3, item, 6], dtype=np.int32))
    describe_anew(directory)
    store: Store = open_store(directory)
    with pytest.raises(DataMismatchError, match=f"item {item} is rated but no candidate"):
        verify_store(store)


def test_a_missing_store_is_a_missing_path(tmp_path: Path) -> None:
    with pytest.raises(MissingPathError, match="no store there"):
        open_store(tmp_path)
    with pytest.raises(MissingPathError, match="absent: no such directory"):
        open_store(tmp_path / "absent")
    write_store(make_store(ROWS), tmp_path / "run/data")
    with pytest.raises(MissingPathError, match=r"run: no store there .*; name .*/run/data, the run's own"):
        open_store(tmp_path / "run")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
@pytest.mark.parametrize("unreadable", [".", "store.json", "item_ids.npy"])
def test_what_may_not_be_read_is_not_called_missing_or_damaged(unreadable: str, tmp_path: Path) -> None:
    write_store(make_store(ROWS), tmp_path / "store")
    (tmp_path / "store" / unreadable).chmod(0)
    with pytest.raises(UnavailableError, match=r"cannot be read .Permission denied"):
        open_store(tmp_path / "store")
    (tmp_path / "store" / unreadable).chmod(0o700)


def write_header(text: str, *, version: tuple[int, int] = (1, 0)) -> bytes:
    """Return an array file of that header, with eight bytes of content."""
    header = text.encode("latin-1")
    return b"\x93NUMPY" + bytes(version) + len(header).to_bytes(2, "little") + header + bytes(8)


BROKEN = {
    "no array": b"no array",
    "empty": b"",
    "a brace too few": write_header("{'descr': '<i4', 'fortran_order': False, 'shape': (2,)"),
    "deeply nested": write_header("(" * 5000),
    "a call": write_header("{'descr': '<i4', 'fortran_order': False, 'shape': (2).__class__}"),
    "a number that overflows": write_header("{'descr': '<i4', 'fortran_order': False, 'shape': (" + "9" * 400 + ",)}"),
    "a negative size": write_header("{'descr': '<i4', 'fortran_order': False, 'shape': (-4,)}"),
    "more than there is": write_header("{'descr': '<i4', 'fortran_order': False, 'shape': (99999999999,)}"),
    "Python 2": write_header("{'descr': '<i4', 'fortran_order': False, 'shape': (2L,)}"),
    "objects": write_header("{'descr': '|O', 'fortran_order': False, 'shape': (1,)}"),
    "an unknown type": write_header("{'descr': '<q9', 'fortran_order': False, 'shape': (2,)}"),
    "an unfinished text": write_header("{'descr': '<i4"),
    "an unknown version": write_header("{}", version=(9, 9)),
    "a null": write_header("{'descr': '<i4\0', 'fortran_order': False, 'shape': (2,)}"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_array_file_is_named(case: str, directory: Path) -> None:
    (directory / "user_ids.npy").write_bytes(BROKEN[case])
    with pytest.raises(DataMismatchError, match=r"user_ids\.npy: (not a readable array|expected)"):
        open_store(directory)


def test_what_is_no_file_at_all_is_not_waited_for(directory: Path) -> None:
    place = directory / "user_ids.npy"
    place.unlink()
    os.mkfifo(place)
    with pytest.raises(DataMismatchError, match="not a regular file"):
        open_store(directory)
    place.unlink()
    place.mkdir()
    with pytest.raises(DataMismatchError, match="not a regular file"):
        open_store(directory)


def test_a_record_that_is_absurdly_large_is_not_read(directory: Path) -> None:
    with (directory / RECORD_NAME).open("r+b") as stream:
        stream.truncate(2**40)
    with pytest.raises(ContentError, match="larger than"):
        open_store(directory)
