"""Amazon's book ratings against Meta's rules, written out line by line."""

import random
import tempfile
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hstu_preserve.data.store import Store
from hstu_preserve.errors import ContentError, MissingPathError, UsageError
from hstu_preserve.raw_data import amazon, sources
from hstu_preserve.raw_data.amazon import prepare_amazon
from hstu_preserve.records.store import TiePolicy

Line = tuple[str, str, int, int]


def prepare(text: str | bytes, *, tie_policy: TiePolicy = TiePolicy.STABLE) -> Store:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "ratings_Books.csv"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return prepare_amazon(path, tie_policy=tie_policy, output=Path(folder) / "store")


def format_lines(lines: list[Line]) -> str:
    return "".join(f"{user},{item},{stars}.0,{time}\n" for user, item, stars, time in lines)


def expect(lines: list[Line]) -> tuple[dict[int, list[tuple[int, int, int]]], int]:
    """Return each user's events by Meta's rules, and the number of items."""
    of_user, of_item = Counter(line[0] for line in lines), Counter(line[1] for line in lines)
    left = [line for line in lines if of_user[line[0]] >= 5 and of_item[line[1]] >= 5]
    users, items = sorted({line[0] for line in left}), sorted({line[1] for line in left})
    histories: dict[int, list[tuple[int, int, int]]] = {}
    for user, item, stars, time in sorted(left, key=lambda line: line[3]):
        histories.setdefault(users.index(user), []).append((items.index(item) + 1, 2 * stars, time))
    return {user: events for user, events in sorted(histories.items()) if len(events) >= 5}, len(items)


def read(store: Store) -> dict[int, list[tuple[int, int, int]]]:
    events = list(zip(store.item_ids.tolist(), store.half_stars.tolist(), store.timestamps.tolist(), strict=True))
    bounds = zip(store.user_ids.tolist(), store.offsets[:-1].tolist(), store.offsets[1:].tolist(), strict=True)
    return {user: events[start:stop] for user, start, stop in bounds}


names = st.sampled_from(["A1", "A10", "A2", "ab", "0000000116", "B000GQG5MA"])
lines_of_some = st.lists(
    st.tuples(names, names, st.integers(1, 5), st.integers(0, 10**9)),
    min_size=20,
    max_size=120,
    unique_by=lambda line: (line[0], line[3]),
)


@given(lines_of_some)
def test_users_and_items_are_filtered_once_and_numbered_in_sorted_order(lines: list[Line]) -> None:
    expected, num_items = expect(lines)
    if not expected:
        with pytest.raises(ContentError, match="nobody is left"):
            prepare(format_lines(lines))
        return
    store = prepare(format_lines(lines))
    assert read(store) == expected
    assert store.candidate_ids.tolist() == list(range(1, num_items + 1))
    assert store.candidate_genres.shape == (num_items, 0)
    assert (store.name, store.record.provenance.redistributable) == ("amzn-books", False)


def test_a_file_of_many_blocks_gives_the_same_store(monkeypatch: pytest.MonkeyPatch) -> None:
    chance = random.Random(0)
    lines = [
        (f"A{chance.randrange(90)}", f"B{chance.randrange(70):0{chance.choice((3, 9))}}", chance.randint(1, 5), n)
        for n in range(2000)
    ]
    whole = prepare(format_lines(lines)).fingerprint
    monkeypatch.setattr(sources, "BLOCK_BYTES", 256)
    tally = amazon.Tally()
    for place in range(0, 2000, 7):
        tally.add(np.array([line[0].encode() for line in lines[place : place + 7]]))
        tally.merge()
    assert dict(zip(tally.names.tolist(), tally.counts.tolist(), strict=True)) == {
        name.encode(): count for name, count in Counter(line[0] for line in lines).items()
    }
    assert prepare(format_lines(lines)).fingerprint == whole


SOUND = [("A", "B", 5, n) for n in range(6)]


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("A,B,5.0", "A,B,5.0"),
        ("A,B,5.0,1,2", "A,B,5.0,1,2"),
        ("A,B,6.0,1", "A,B,6.0,1"),
        ("A,B,5.0,x", "A,B,5.0,x"),
        (",B,5.0,1", ",B,5.0,1"),
        ("A,,5.0,1", "A,,5.0,1"),
        ("A" * 65 + ",B,5.0,1", "A" * 65),
        ("user,item,rating,timestamp", "user,item"),
    ],
)
def test_a_malformed_line_is_named(line: str, found: str) -> None:
    with pytest.raises(ContentError, match=rf"^ratings_Books\.csv, line 7: malformed .*found '{found}"):
        prepare(format_lines(SOUND) + line + "\n" + format_lines(SOUND))


@pytest.mark.parametrize("text", ["", "\n", format_lines(SOUND[:4])])
def test_a_file_of_which_nothing_is_left_is_refused(text: str) -> None:
    with pytest.raises(ContentError):
        prepare(text)


def test_a_byte_order_mark_and_windows_lines_change_nothing() -> None:
    lines = [("A", f"B{n % 2}", 5, n) for n in range(12)]
    plain = format_lines(lines)
    assert prepare(plain.replace("\n", "\r\n").encode("utf-8-sig")).fingerprint == prepare(plain).fingerprint


def test_the_folder_may_be_named(tmp_path: Path) -> None:
    (tmp_path / "ratings_Books.csv").write_text(format_lines([("A", f"B{n % 2}", 5, n) for n in range(12)]))
    store = prepare_amazon(tmp_path, tie_policy=TiePolicy.STABLE, output=tmp_path / "store")
    assert store.num_users == 1
    with pytest.raises(MissingPathError):
        prepare_amazon(tmp_path / "none", tie_policy=TiePolicy.STABLE, output=tmp_path / "other")
    with pytest.raises(UsageError, match="data import"):
        prepare_amazon(tmp_path, tie_policy=TiePolicy.IMPORTED, output=tmp_path / "other")
