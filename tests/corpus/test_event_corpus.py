"""Every event file of the corpus: refused with its offset, or every point kept exactly."""

import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hstu_preserve.errors import ContentError
from hstu_preserve.event_files.framing import frame_record
from hstu_preserve.event_files.reader import read_scalars
from tests.corpus.cases import Case, read_cases
from tests.corpus.events.generators import GENERATORS, describe, honest
from tests.event_files.parsing import parse_scalars

CASES = read_cases("events")
MAX_SECONDS = 20.0


def expected_points(case: Case) -> list[list[object]]:
    assert case.points is not None
    if isinstance(case.points, dict):
        return [["loss", step, float(step), 0.0] for step in range(case.points["counted_up"])]
    return case.points


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_an_event_file_gets_its_verdict(case: Case, tmp_path: Path) -> None:
    path = tmp_path / "events.out.tfevents.0"
    path.write_bytes(GENERATORS[case.generator](**case.arguments))
    begin = time.process_time()
    if case.verdict == "refused":
        with pytest.raises(ContentError) as caught:
            read_scalars(path)
        (words,) = case.finding
        assert str(caught.value).startswith(f"{path}: ")
        assert words in str(caught.value)
    else:
        points = read_scalars(path)
        found = [[p.tag, p.step, describe(p.value), describe(p.wall_time)] for p in points]
        assert list(map(repr, found)) == list(map(repr, expected_points(case)))  # repr tells -0.0 from 0.0
    assert time.process_time() - begin < MAX_SECONDS


def test_two_writers_in_one_folder_are_two_files_each_whole(tmp_path: Path) -> None:
    for name in ("events.out.tfevents.1.a", "events.out.tfevents.1.b"):
        (tmp_path / name).write_bytes(b"".join(honest()))
    assert [len(read_scalars(path)) for path in sorted(tmp_path.iterdir())] == [2, 2]


@given(content=st.binary(max_size=400), is_framed=st.booleans(), has_version=st.booleans())
@settings(max_examples=200)
def test_any_bytes_are_points_or_a_content_error(content: bytes, is_framed: bool, has_version: bool) -> None:
    body = frame_record(content) if is_framed else content
    try:
        parse_scalars((honest()[0] if has_version else b"") + body, source="x")
    except ContentError as error:
        if not str(error).startswith("x: "):
            raise


@given(data=st.data())
@settings(max_examples=150)
def test_a_mutated_event_file_is_refused_or_cut_between_records(data: st.DataObject) -> None:
    whole = b"".join(honest())
    content = bytearray(whole)
    start = data.draw(st.integers(0, len(content)))
    content[start : start + data.draw(st.integers(0, 60))] = data.draw(st.binary(max_size=30))
    try:
        points = parse_scalars(bytes(content), source="x")
    except ContentError:
        return
    assert bytes(content) == whole or len(points) < 2
