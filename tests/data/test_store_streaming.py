"""A store written part by part: the very files that a store in memory has, whatever the sizes of runs and parts."""

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hstu_preserve.data import event_runs
from hstu_preserve.data.event_runs import open_event_runs
from hstu_preserve.data.known_datasets import KNOWN_DATASETS, Layout
from hstu_preserve.data.ratings import Ratings
from hstu_preserve.data.store import Store, new_store_folder, verify_store, write_record, write_store
from hstu_preserve.data.store_streaming import stream_arrays
from hstu_preserve.errors import ContentError, UnavailableError, UsageError
from hstu_preserve.raw_data import sources
from hstu_preserve.raw_data.preparation import prepare_movielens
from hstu_preserve.records.store import StoreRecord, TiePolicy
from hstu_preserve.synthetic.stores import write_synthetic_store
from tests.data.raw_files import Row, format_ratings, write_layout, zip_folder
from tests.data.stores_in_memory import synthesize
from tests.data.strategies import MOVIES, ORIGIN, Event, events, make_ratings, make_store

ROWS: list[Row] = [(1 + n * 7 % 3, (3, 10, 20)[n % 3], 0.5 + n % 9 / 2, 978300760 + n * 13 % 11) for n in range(40)]
policies = st.sampled_from(TiePolicy)
sizes = st.integers(1, 70)


def stream(parts: list[Ratings], output: Path, *, tie_policy: TiePolicy = TiePolicy.STABLE) -> StoreRecord:
    with new_store_folder(output) as folder, open_event_runs(folder, label=output) as runs:
        for part in parts:
            runs.add(part)
        record = stream_arrays(runs, MOVIES, folder=folder, name="made-up", tie_policy=tie_policy, origin=ORIGIN)
        write_record(record, folder)
    return record


def read_files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@given(rows=events, policy=policies, per_block=sizes, per_run=sizes, per_part=sizes)
def test_every_file_is_the_one_that_a_store_in_memory_is_written_to(
    tmp_path_factory: pytest.TempPathFactory,
    rows: list[Event],
    policy: TiePolicy,
    per_block: int,
    per_run: int,
    per_part: int,
) -> None:
    folder = tmp_path_factory.mktemp("stores")
    write_store(make_store(rows, tie_policy=policy), folder / "whole")
    parts = [make_ratings(rows[start : start + per_block]) for start in range(0, len(rows), per_block)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(event_runs, "EVENTS_PER_RUN", per_run)
        patch.setattr(event_runs, "EVENTS_PER_PART", per_part)
        stream(parts, folder / "streamed", tie_policy=policy)
    assert read_files(folder / "streamed") == read_files(folder / "whole")


@pytest.fixture
def prepare(monkeypatch: pytest.MonkeyPatch) -> Callable[[Path, Path], Store]:
    """Prepares a folder or zip of 3 users, 3 movies and 40 ratings as if it were a published edition."""
    small = replace(KNOWN_DATASETS["ml-32m"], zip_md5=None, num_users=3, num_candidates=3, num_ratings=len(ROWS))
    monkeypatch.setitem(KNOWN_DATASETS, "ml-32m", small)

    def prepare(source: Path, output: Path) -> Store:
        return prepare_movielens(source, name="ml-32m", tie_policy=TiePolicy.STABLE, output=output)

    return prepare


@pytest.mark.parametrize("size", [*range(36, 48), 2**20])
@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
@pytest.mark.parametrize("packs", [True, False], ids=["zip", "folder"])
def test_the_blocks_in_which_a_file_is_read_do_not_show(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    prepare: Callable[[Path, Path], Store],
    size: int,
    line_end: str,
    packs: bool,
) -> None:
    """Rows cross the ends of blocks at every byte, the last line has no end, and movies have quoted titles."""
    text = format_ratings(ROWS, layout=Layout.CSV).removesuffix("\n").replace("\n", line_end)
    source = write_layout(tmp_path / "raw", layout=Layout.CSV, ratings=text)
    if packs:
        source = zip_folder(source, tmp_path / "raw.zip", prefix="ml/")
    monkeypatch.setattr(sources, "BLOCK_BYTES", size)
    monkeypatch.setattr(event_runs, "EVENTS_PER_RUN", 7)
    monkeypatch.setattr(event_runs, "EVENTS_PER_PART", 5)
    store = prepare(source, tmp_path / "store")
    verify_store(store)
    expected = sorted(ROWS, key=lambda row: (row[0], row[3]))
    assert np.repeat(store.user_ids, store.lengths).tolist() == [row[0] for row in expected]
    assert store.item_ids.tolist() == [row[1] for row in expected]
    assert store.half_stars.tolist() == [2 * row[2] for row in expected]
    assert store.timestamps.tolist() == [row[3] for row in expected]
    assert store.record.genres == ("Animation", "Comedy", "Drama", "Horror", "Sci-Fi")


@pytest.mark.parametrize("line", [2, 17, 41])
def test_a_malformed_line_after_events_were_set_aside_is_named_and_nothing_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, prepare: Callable[[Path, Path], Store], line: int
) -> None:
    lines = format_ratings(ROWS, layout=Layout.CSV).splitlines()
    lines[line - 1] = "1,2,three,4"
    source = write_layout(tmp_path / "raw", layout=Layout.CSV, ratings="\n".join(lines))
    monkeypatch.setattr(sources, "BLOCK_BYTES", 64)
    monkeypatch.setattr(event_runs, "EVENTS_PER_RUN", 3)
    with pytest.raises(ContentError, match=rf"raw/ratings\.csv, line {line}: malformed .*found '1,2,three,4'"):
        prepare(source, tmp_path / "store")
    assert [path.name for path in tmp_path.iterdir()] == ["raw"]


def test_an_unknown_item_and_other_counts_leave_nothing_behind(
    tmp_path: Path, prepare: Callable[[Path, Path], Store]
) -> None:
    unknown = format_ratings([*ROWS, (1, 99, 4.0, 1)], layout=Layout.CSV)
    source = write_layout(tmp_path / "raw", layout=Layout.CSV, ratings=unknown)
    with pytest.raises(ContentError, match="item 99 is rated but not in the movie table"):
        prepare(source, tmp_path / "store")
    source = write_layout(tmp_path / "raw", layout=Layout.CSV, ratings=format_ratings(ROWS[1:], layout=Layout.CSV))
    with pytest.raises(ContentError, match="expected 40 ratings, found 39"):
        prepare(source, tmp_path / "store")
    assert [path.name for path in tmp_path.iterdir()] == ["raw"]


def test_no_ratings_are_no_store(tmp_path: Path) -> None:
    with pytest.raises(ContentError, match="made-up: there are no ratings"):
        stream([], tmp_path / "store")
    assert not list(tmp_path.iterdir())


def test_a_directory_that_holds_something_is_refused_before_anything_is_read(
    tmp_path: Path, prepare: Callable[[Path, Path], Store]
) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(UsageError, match="exists and is not empty"):
        prepare(tmp_path / "absent", tmp_path)


@pytest.mark.parametrize("writer", ["event_runs", "store_streaming"])
def test_a_full_disk_is_reported_for_the_store_that_was_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, writer: str
) -> None:
    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(f"hstu_preserve.data.{writer}.write_whole", fail)
    with pytest.raises(UnavailableError, match=r"/store: cannot be written .No space left on device"):
        stream([make_ratings([(1, 2, 10, 7)])], tmp_path / "store")
    assert not list(tmp_path.iterdir())


def test_made_up_data_on_disk_is_the_same_as_in_memory(tmp_path: Path) -> None:
    write_store(synthesize(seed=7, num_users=20, num_items=60, num_ratings=400), tmp_path / "whole")
    write_synthetic_store(tmp_path / "streamed", seed=7, num_users=20, num_items=60, num_ratings=400)
    assert read_files(tmp_path / "streamed") == read_files(tmp_path / "whole")


PEAK = """
import sys
from dataclasses import replace
from pathlib import Path
from hstu_preserve.data.known_datasets import KNOWN_DATASETS
from hstu_preserve.raw_data.preparation import prepare_movielens
from hstu_preserve.records.store import TiePolicy
folder, output, ratings = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
KNOWN_DATASETS["ml-32m"] = replace(
    KNOWN_DATASETS["ml-32m"], num_users=5000, num_candidates=3, num_ratings=ratings
)
prepare_movielens(folder, name="ml-32m", tie_policy=TiePolicy.STABLE, output=output)
status = Path("/proc/self/status").read_text()
print(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM")))
"""


def measure_peak(folder: Path, *, repetitions: int) -> float:
    """Prepare in a process of its own, whose own peak memory (MB) counts; `ru_maxrss` begins with its parent's."""
    rows = "".join(f"{user},{(3, 10, 20)[user % 3]},3.5,{978300760 + user % 77}\n" for user in range(1, 5001)) * 20
    source = write_layout(folder / "raw", layout=Layout.CSV, ratings="")
    with (source / "ratings.csv").open("w") as stream:
        stream.write("userId,movieId,rating,timestamp\n")
        for _ in range(repetitions):
            stream.write(rows)
    command = [sys.executable, "-c", PEAK, str(source), str(folder / "store"), str(repetitions * 100_000)]
    printed = subprocess.run(command, check=True, capture_output=True, text=True, timeout=600).stdout
    return int(printed) / 1000


@pytest.mark.skipif(not Path("/proc/self/status").is_file(), reason="Linux says what a process's peak memory was")
def test_three_times_the_ratings_take_no_more_memory(tmp_path: Path) -> None:
    """In memory they would take 130 MB more."""
    smaller = measure_peak(tmp_path / "smaller", repetitions=12)
    larger = measure_peak(tmp_path / "larger", repetitions=36)
    assert larger < smaller + 40
