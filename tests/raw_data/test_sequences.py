"""Files of one event a line, from others: what is read of them, how it is filtered and numbered, what is refused."""

import gzip
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hstu_preserve.cli.main import main
from hstu_preserve.data import filtered_data
from hstu_preserve.data.event_filter import KEEP_ALL, EventFilter, filter_of
from hstu_preserve.data.filtered_data import SASREC_FILTER, FilteredData
from hstu_preserve.data.oddities import describe_repeats
from hstu_preserve.data.store import Store
from hstu_preserve.errors import ContentError, UsageError
from hstu_preserve.raw_data.sequences import lines as reading
from hstu_preserve.raw_data.sequences.events import Event, parse_date
from hstu_preserve.raw_data.sequences.fields import read_fields
from hstu_preserve.raw_data.sequences.importing import import_sequence_file
from hstu_preserve.raw_data.sequences.numbering import NameCounts, Numbering
from hstu_preserve.records.store import TiePolicy

TWICE = EventFilter(min_user_events=2, min_item_events=2)
AMAZON = (
    '{"reviewerID": "A%d", "asin": "B%d", "overall": %s, "unixReviewTime": %d, "helpful": [0, 1], "summary": "[{("}\n'
)
STEAM = (
    "{u'username': u'\\u2605%d', u'hours': 1.5, u'product_id': u'%d', u'date': u'2017-12-%02d', "
    "u'text': u\"it's {so}, 'so'\", u'tags': [u'a', {u'b': (1, None)}], u'found_funny': -2}\n"
)
SOUND = AMAZON % (1, 2, "5.0", 3)


def read(content: str | bytes, folder: Path, *, event_filter: EventFilter = KEEP_ALL, name: str | None = None) -> Store:
    path = folder / "events.txt"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    output = folder / f"store-{len(list(folder.iterdir()))}"
    return import_sequence_file(path, name=name, event_filter=event_filter, output=output)


def list_events(store: Store) -> dict[int, list[tuple[int, int, int]]]:
    events = list(zip(store.item_ids.tolist(), store.half_stars.tolist(), store.timestamps.tolist(), strict=True))
    bounds = zip(store.user_ids.tolist(), store.offsets[:-1].tolist(), store.offsets[1:].tolist(), strict=True)
    return {user: events[start:stop] for user, start, stop in bounds}


def test_lines_without_times_keep_their_order_and_say_so(tmp_path: Path) -> None:
    store = read("b y\na x\nb x\nb z\n", tmp_path)
    assert list_events(store) == {1: [(1, 0, 0), (2, 0, 1), (3, 0, 2)], 2: [(2, 0, 0)]}
    provenance = store.record.provenance
    assert (provenance.times, provenance.tie_policy, provenance.redistributable) == ("order", TiePolicy.IMPORTED, False)
    assert (store.name, store.record.genres, store.candidate_years.tolist()) == ("imported", (), [0, 0, 0])
    other_order_of_users = read("a x\nb y\nb x\nb z\n", tmp_path)
    assert list_events(other_order_of_users)[2] == [(2, 0, 0), (1, 0, 1), (3, 0, 2)]


def test_lines_with_times_are_sorted_by_them_and_ties_stay_in_the_order_of_the_file(tmp_path: Path) -> None:
    store = read("u a 4.5 30\nu b 1 20\nu c 5.0 30\nu d 0.5 20\n", tmp_path)
    assert list_events(store) == {1: [(2, 2, 20), (4, 1, 20), (1, 9, 30), (3, 10, 30)]}
    provenance = store.record.provenance
    assert (provenance.times, provenance.tie_policy, provenance.tied_events) == (None, TiePolicy.STABLE, 2)


def test_ids_that_count_from_one_already_are_kept_and_all_others_are_numbered_by_first_appearance(
    tmp_path: Path,
) -> None:
    assert list_events(read("2 3\n1 1\n2 2\n", tmp_path)) == {1: [(1, 0, 0)], 2: [(3, 0, 0), (2, 0, 1)]}
    for gaps in ("2 3\n1 1\n2 4\n", "2 03\n1 1\n2 2\n", f"2 {10**40}\n1 1\n2 2\n"):
        assert list_events(read(gaps, tmp_path)) == {1: [(2, 0, 0)], 2: [(1, 0, 0), (3, 0, 1)]}


names = st.sampled_from(["1", "2", "3", "ab", "é", "B00", "7"])


@given(st.lists(st.tuples(names, names), min_size=1, max_size=40), st.integers(1, 4), st.integers(1, 4))
def test_users_and_items_are_counted_once_over_all_lines_before_any_is_left_out(
    pairs: list[tuple[str, str]], user_least: int, item_least: int
) -> None:
    of_user, of_item = Counter(user for user, _ in pairs), Counter(item for _, item in pairs)
    left = [pair for pair in pairs if of_user[pair[0]] >= user_least and of_item[pair[1]] >= item_least]
    events = [Event(user=user, item=item, half_stars=0, timestamp=None) for user, item in pairs]
    counts = NameCounts()
    for event in events:
        counts.add(event)
    event_filter = EventFilter(min_user_events=user_least, min_item_events=item_least)
    numbering = Numbering(counts, event_filter=event_filter)
    parts = list(numbering.number(events))
    found = [pair for part in parts for pair in zip(part.user_ids.tolist(), part.item_ids.tolist(), strict=True)]
    assert len(found) == len(left)
    number_of = dict(zip([*left], found, strict=True))
    assert [number_of[pair] for pair in left] == found
    assert len({user for user, _ in found}) == len({user for user, _ in left})
    assert sorted({item for _, item in found}) == list(range(1, numbering.num_items + 1))


def test_reviews_of_amazon_give_the_store_of_their_lines(tmp_path: Path) -> None:
    rows = [(1, 5, "5.0", 30), (2, 5, "1.0", 10), (1, 6, "3.0", 20), (3, 7, "2.0", 5), (2, 6, "4.0", 10)]
    lines = "".join(f"A{user} B{item} {stars} {time}\n" for user, item, stars, time in rows)
    reviews = "".join(AMAZON % row for row in rows)
    plain, store = (read(text, tmp_path, event_filter=TWICE, name="mine") for text in (lines, reviews))
    assert store.fingerprint == plain.fingerprint
    assert list_events(store) == {1: [(2, 6, 20), (1, 10, 30)], 2: [(1, 2, 10), (2, 8, 10)]}
    assert filter_of(store.record.provenance) == TWICE
    assert read(gzip.compress(reviews.encode(), mtime=0), tmp_path, event_filter=TWICE).fingerprint == store.fingerprint


def test_reviews_of_steam_are_read_as_text_and_their_days_are_times(tmp_path: Path) -> None:
    store = read("".join(STEAM % row for row in [(1, 9, 2), (2, 9, 1), (1, 8, 1)]), tmp_path)
    day = parse_date("2017-12-01")
    assert day == 1_512_086_400
    assert list_events(store) == {1: [(2, 0, day), (1, 0, day + 86_400)], 2: [(1, 0, day)]}


@pytest.mark.parametrize(
    ("text", "fields"),
    [
        ("{}", {}),
        ("{'a': 1, u\"b'\": u'x\\'y', 'c': {'d': ('}', [2])}, 'e': 'f,g:{'}", {"a": "1", "b'": "x\\'y", "e": "f,g:{"}),
        ('{"a": 1.50, "b": {"a": 2}}', {"a": "1.50", "b": {"a": "2"}}),
    ],
)
def test_the_fields_of_a_dictionary_are_found_whatever_nests_in_it(text: str, fields: dict[str, object]) -> None:
    assert read_fields(text) == fields


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "expected lines of events, found nothing, it is empty"),
        ("\n \n", "holds no events"),
        ("u i\na\0 b\n", "holds NUL bytes"),
        ("u i\n".encode("utf-16"), "not UTF-8 but UTF-16"),
        (b"u i\n\xe9 i\n", "line 2: not UTF-8"),
        (b"PK\x03\x04", "found a zip file: unpack it$"),
        ("<!doctype html>\n", "line 1: expected 'user item'"),
        ("u,i\n", "line 1: expected 'user item'"),
        ("u i 3\n", "line 1: expected 'user item'"),
        ("user_id item_id\nu i\n", "line 1: a header"),
        ("u i\nu i 1 2\n", "line 2: 4 fields, where the first line has 2"),
        ("u i 6 1\n", "line 1: a rating that is not 0.5 to 5 in halves"),
        ("u i 4 -5\n", "line 1: times are whole seconds"),
        ("u i 4 1.5\n", "line 1: times are whole seconds"),
        (f"u i 4 {'9' * 16}\n", "line 1: times are whole seconds"),
        (f"{'u' * 257} i\n", "line 1: a name of 257 characters"),
        ("u\x1b[31m i\n", r"line 1: a name with a control character \(found 'u\\x1b\[31m i'\)"),
        (gzip.compress(b"u i\n" * 99, mtime=0)[:-9], "damaged gzip"),
        (SOUND + '{"reviewerID": "A"}\n', "line 2: a review without 'unixReviewTime'"),
        (SOUND + "u i\n", "line 2: a review without 'unixReviewTime'"),
        (SOUND + '{"reviewerID": ' + "[" * 99 + "\n", "line 2: nested deeper than 64"),
        (SOUND.replace("B2", '", "asin": "B'), "line 1: duplicate key 'asin'"),
        (SOUND.replace("5.0", "NaN"), "line 1: a rating that is not"),
        (SOUND.replace(": 3", f": {'9' * 5000}"), "line 1: times are whole seconds"),
        (SOUND.replace('"A1"', "true"), "line 1: 'reviewerID' is neither text nor number"),
        ('{"user_id": "A"}\n', "line 1: expected 'user item'.* .reviewerID"),
        ("{'username': __import__('os').getcwd(), 'product_id': '1', 'date': '2017-01-01'}\n", "line 1: expected"),
        ("{'username': " + "[" * 9999 + "\n", "line 1: not a whole dictionary"),
        ("{'username': 'a, 'product_id': '1'}\n", "line 1: not a dictionary at column"),
        (STEAM % (1, 1, 40), "line 1: dates are days from 1970-01-01 on"),
        ((STEAM % (1, 1, 1)).replace("2017", "1969"), "line 1: dates are days from 1970-01-01 on"),
    ],
)
def test_what_is_no_event_is_refused_with_its_line_and_nothing_is_written(
    content: str | bytes, said: str, tmp_path: Path
) -> None:
    with pytest.raises(ContentError, match=rf"^events\.txt[:,] .*{said}"):
        read(content, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["events.txt"]


def test_a_line_or_a_file_that_grows_without_measure_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ContentError, match="a line longer than"):
        read(gzip.compress(b"1" * 2**22, mtime=0), tmp_path)
    monkeypatch.setattr(reading, "FREE_BYTES", 2**16)
    with pytest.raises(ContentError, match="grows to more than 200 times its size"):
        read(gzip.compress(b"1 1\n" * 2**19, mtime=0), tmp_path)
    assert read(gzip.compress("".join(f"{n} {n * n}\n" for n in range(2**13)).encode()), tmp_path).num_users == 2**13


def test_a_filter_that_leaves_nothing_and_a_borrowed_name_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ContentError, match="no event is left with --min-user-events 2 --min-item-events 2"):
        read("a x\nb x\n", tmp_path, event_filter=TWICE)
    with pytest.raises(ContentError, match=r"ml-1m: not the published data .expected 6,040 users, found 1;"):
        read("a x\na y\n", tmp_path, name="ml-1m")
    with pytest.raises(ContentError, match=r"amzn-games: not the published data .expected 31,013 users, found 1;"):
        read("a x\n" * 5, tmp_path, name="amzn-games", event_filter=SASREC_FILTER)
    with pytest.raises(UsageError, match="a directory, not a file"):
        import_sequence_file(tmp_path, name=None, event_filter=KEEP_ALL, output=tmp_path / "new")


def test_a_published_file_is_known_by_the_name_that_git_gives_its_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # printf '1 1\n1 2\n' | git hash-object --stdin
    published = FilteredData(
        name="tiny",
        file_name="Tiny.txt",
        git_blob="1f25976c266786c3c202b03664b6b52f11adbc1d",
        num_users=1,
        num_items=2,
        num_ratings=2,
    )
    monkeypatch.setattr(filtered_data, "FILTERED_DATA", {"tiny": published})
    store = read("1 1\n1 2\n", tmp_path)
    assert store.name == "tiny"
    assert filter_of(store.record.provenance) == SASREC_FILTER
    assert f"git blob {published.git_blob}, Tiny.txt of kang205/SASRec" in store.record.provenance.source
    other = read("1 1\n1  2\n", tmp_path)
    assert (other.name, other.fingerprint) == ("imported", store.fingerprint)
    assert filter_of(other.record.provenance) == KEEP_ALL


def test_the_command_says_what_the_store_holds_and_warns_of_repeated_items(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "log").write_text("a x\na x\na y\nb y\n")
    arguments = ["data", "import-sequences", str(tmp_path / "log"), "--output", str(tmp_path / "s")]
    assert main([*arguments, "--min-user-events", "2", "--name", "mine"]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "1 of 3 events repeat an item" in said
    assert "filter of users with at least 2 events and items with at least 1 event (counted once)" in said
    assert "times none; an event's place" in said
    assert main([*arguments, "--min-user-events", "0"]) == 2
    assert "--min-user-events 0: must be at least 1" in capsys.readouterr().err


def test_repeats_are_counted_within_a_user_only(tmp_path: Path) -> None:
    assert describe_repeats(read("a x\nb x\na y\n", tmp_path)) == ()
    store = read("".join(f"{'ab'[n % 2]} {n % 3}\n" for n in range(12)), tmp_path)
    assert np.diff(store.offsets).tolist() == [6, 6]
    assert describe_repeats(store)[0].startswith("6 of 12 events repeat")
