"""Stores in NumPy's orders against what Meta's preprocessing would have written, and one store for every order."""

import json
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from hstu_preserve.cli.main import main
from hstu_preserve.data.store import open_store
from hstu_preserve.raw_data.amazon import prepare_amazon
from hstu_preserve.raw_data.numpy_orders import KNOWN_ANSWERS
from hstu_preserve.raw_data.preparation import prepare_movielens
from hstu_preserve.raw_data.sasrec_format import import_sasrec_format
from hstu_preserve.records.store import NUMPY_POLICIES, TiePolicy
from tests.raw_data.numpy_truth import FEATURES_OFF, ORDERS, Event, group, has_instructions, make_times, write_csv
from tests.raw_data.test_numpy_orders import write_python

Capture = pytest.CaptureFixture[str]
Line = tuple[str, str, float, int]
MADE = [policy for policy in FEATURES_OFF if has_instructions(policy)]


def make_lines() -> list[Line]:
    """Return lines of Amazon's shape: equal times in plenty, and users who have too few lines once some are left out.

    Everybody rates item I00 and item I19, so that the first and the last are rated by somebody who stays.
    """
    draw = np.random.default_rng(5)
    times = make_times(4000, seed=6).tolist()
    lines = [
        (f"U{draw.integers(60):02}", f"I{draw.integers(20):02}", float(draw.integers(1, 6)), 0) for _ in range(3600)
    ]
    lines += [(f"U{user:02}", item, 3.0, 0) for user in range(60) for item in ("I00", "I19")]
    lines += [(f"V{user:02}", item, 2.0, 0) for user in range(40) for item in ("I03", "I05", "I07", "I09")]
    lines += [(f"V{user:02}", f"rare{user % 9 if user < 36 else user}", 2.0, 0) for user in range(40)]
    draw.shuffle(lines)
    return [(user, item, stars, time) for (user, item, stars, _), time in zip(lines, times, strict=False)]


def write_amazon(folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / "ratings_Books.csv"
    path.write_text("".join(f"{user},{item},{stars},{time}\n" for user, item, stars, time in make_lines()))
    return path


def preprocess_amazon(lines: list[Line], policy: TiePolicy) -> tuple[dict[int, list[Event]], int]:
    """Return the histories that Meta's preprocessing writes, and how many it drops after the sort."""
    of_user, of_item = Counter(line[0] for line in lines), Counter(line[1] for line in lines)
    left = [line for line in lines if of_user[line[0]] >= 5 and of_item[line[1]] >= 5]
    users, items = sorted({line[0] for line in left}), sorted({line[1] for line in left})
    numbered = [(users.index(user), items.index(item), stars, time) for user, item, stars, time in left]
    histories = group(numbered, policy)
    return {user: events for user, events in histories.items() if len(events) >= 5}, len(
        [user for user, events in histories.items() if len(events) < 5]
    )


@pytest.mark.parametrize("policy", ORDERS)
def test_amazons_lines_are_in_the_order_of_metas_preprocessing(tmp_path: Path, policy: TiePolicy) -> None:
    histories, num_dropped = preprocess_amazon(make_lines(), policy)
    assert num_dropped  # their lines are sorted with the others, and move them
    csv = write_csv(histories, tmp_path / "sasrec_format.csv")
    expected = import_sasrec_format(csv, movies=None, name=None, output=tmp_path / "imported")
    found = prepare_amazon(write_amazon(tmp_path), tie_policy=policy, output=tmp_path / "store")
    assert found.fingerprint == expected.fingerprint
    assert found.record.provenance.tie_policy is policy


@pytest.mark.parametrize("policy", ORDERS)
def test_movielens_is_in_the_order_of_metas_preprocessing(
    latest_small: Path, tmp_path: Path, policy: TiePolicy
) -> None:
    rows = [line.split(",") for line in (latest_small / "ratings.csv").read_text().splitlines()[1:]]
    events = [(int(user), int(item), float(stars), int(time)) for user, item, stars, time in rows]
    csv = write_csv(group(events, policy), tmp_path / "sasrec_format.csv")
    expected = import_sasrec_format(csv, movies=latest_small / "movies.csv", name=None, output=tmp_path / "imported")
    found = prepare_movielens(latest_small, name="ml-latest-small", tie_policy=policy, output=tmp_path / "store")
    assert found.fingerprint == expected.fingerprint


def prepare(folder: Path, *options: str) -> int:
    source = write_amazon(folder)
    return main(["data", "prepare", "amzn-books", "--from", str(source), "--output", str(folder / "out"), *options])


def test_every_order_that_can_be_made_is_made_once(tmp_path: Path, capsys: Capture) -> None:
    assert prepare(tmp_path, "--every-order", "--json") == 0
    record = json.loads(capsys.readouterr().out)
    orders = {one["tie_policy"]: one for one in record["orders"]}
    made = {policy for policy, one in orders.items() if one["path"]}
    assert made == {"stable", "item_id", *MADE} == {path.name for path in (tmp_path / "out").iterdir()}
    assert (orders["stable"]["num_moved_events"], orders["stable"]["num_other_targets"]) == (0, 0)
    for policy in made:
        store = open_store(Path(orders[policy]["path"]))
        alone = prepare_amazon(tmp_path, tie_policy=TiePolicy(policy), output=tmp_path / f"alone-{policy}")
        assert store.fingerprint == alone.fingerprint == orders[policy]["fingerprint"]
        assert store.record.provenance.tie_policy is TiePolicy(policy)
    stable = open_store(tmp_path / "out" / "stable")
    other = open_store(tmp_path / "out" / "numpy-introsort")
    last = [int(stop) - 1 for stop in stable.offsets[1:]]
    introsort = orders["numpy-introsort"]
    assert introsort["num_moved_events"] == sum(stable.item_ids != other.item_ids) > 0
    assert introsort["num_other_targets"] == sum(stable.item_ids[last] != other.item_ids[last]) > 0
    for policy in set(NUMPY_POLICIES) - made:
        assert orders[policy]["reason"].startswith("needs NumPy")
        assert orders[policy]["fingerprint"] is None


def test_equal_orders_are_kept_once_and_named(tmp_path: Path, capsys: Capture) -> None:
    source = tmp_path / "ratings_Books.csv"
    # No two events at one time: every sort gives the same order.
    source.write_text("".join(f"U{row % 7},I{row // 7 % 6},4.0,{1000 - row}\n" for row in range(210)))
    options = ["--from", str(source), "--output", str(tmp_path / "out"), "--every-order"]
    assert main(["data", "prepare", "amzn-books", *options]) == 0
    text = capsys.readouterr().out
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["stable"]
    assert text.count("equal to stable") == 1 + len(MADE)
    assert "not made: numpy-avx512-1: needs NumPy 1.25 or 1.26" in text


def test_without_any_order_of_numpy_nothing_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    for policy in NUMPY_POLICIES:
        monkeypatch.setitem(KNOWN_ANSWERS, policy, "0" * 16)
    assert prepare(tmp_path, "--every-order") == 4
    assert "no order of NumPy can be made here: numpy-introsort: needs" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        (["--every-order", "--tie-policy", "stable"], 2, "choose one of them"),
        (["--tie-policy", "numpy"], 2, "unknown; choose stable or item_id or numpy-introsort"),
        (["--tie-policy", "imported"], 2, "unknown; choose"),
        (["--tie-policy", "numpy-avx512-1"], 4, "needs NumPy 1.25 or 1.26"),
        (["--tie-policy", "numpy-avx512-1", "--numpy-python", "no-such-python"], 2, "no such program"),
        (["--every-order", "--numpy-python", "no-such-python"], 2, "no such program"),
        (["--tie-policy", "item_id", "--numpy-python", "python3"], 2, "item_id needs no other NumPy"),
    ],
)
def test_what_cannot_be_made_is_refused_before_anything_is_written(
    tmp_path: Path, capsys: Capture, options: list[str], code: int, said: str
) -> None:
    assert prepare(tmp_path, *options) == code
    assert said in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_folder_that_holds_something_is_left_alone(tmp_path: Path, capsys: Capture) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine").touch()
    assert prepare(tmp_path, "--every-order") == 2
    assert "exists and is not empty" in capsys.readouterr().err
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["mine"]


def test_the_numpy_of_another_python_sorts_if_it_is_named(tmp_path: Path) -> None:
    """A stand-in for NumPy 1.26 on AVX-512 gives that answer, and sorts in its own way: stably."""
    (tmp_path / "sort.py").write_text(
        "import sys, numpy\n"
        "numpy.argsort(numpy.fromfile(sys.stdin.buffer, '<i8'), kind='stable').tofile(sys.stdout.buffer)\n"
    )
    answer = json.dumps({"version": "1.26.4", "answer": KNOWN_ANSWERS[TiePolicy.NUMPY_AVX512_1]})
    python = write_python(
        tmp_path, f"if [ $5 = describe ]; then echo '{answer}'; else exec {sys.executable} {tmp_path / 'sort.py'}; fi"
    )
    assert prepare(tmp_path, "--tie-policy", "numpy-avx512-1", "--numpy-python", str(python)) == 0
    found = open_store(tmp_path / "out")
    stable = prepare_amazon(tmp_path, tie_policy=TiePolicy.STABLE, output=tmp_path / "stable")
    assert found.fingerprint == stable.fingerprint
    assert found.record.provenance.tie_policy is TiePolicy.NUMPY_AVX512_1


def test_a_python_that_fails_to_sort_leaves_nothing(tmp_path: Path, capsys: Capture) -> None:
    answer = json.dumps({"version": "1.26.4", "answer": KNOWN_ANSWERS[TiePolicy.NUMPY_AVX512_1]})
    python = write_python(tmp_path, f"if [ $5 = describe ]; then echo '{answer}'; else echo no memory >&2; exit 1; fi")
    assert prepare(tmp_path, "--tie-policy", "numpy-avx512-1", "--numpy-python", str(python)) == 4
    assert "fails (no memory)" in capsys.readouterr().err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["python", "ratings_Books.csv"]
