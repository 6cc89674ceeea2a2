import io
import math
import struct
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hstu_preserve.errors import ContentError, MissingPathError, UnavailableError
from hstu_preserve.event_files.framing import FILE_VERSION, frame_record, pack_checksum
from hstu_preserve.event_files.reader import MAX_RECORD_BYTES, ScalarPoint, read_scalars
from hstu_preserve.event_files.writer import EventWriter
from tests.event_files.parsing import parse_scalars

POINTS = st.builds(
    ScalarPoint,
    tag=st.text(max_size=20),
    step=st.integers(-(2**63), 2**63 - 1),
    value=st.floats(width=32, allow_nan=False),
    wall_time=st.floats(allow_nan=False),
)


def make_record(**fields: Any) -> bytes:
    from tensorboard.compat.proto.event_pb2 import Event

    return frame_record(Event(**fields).SerializeToString())


VERSION_RECORD = make_record(wall_time=0.0, file_version=FILE_VERSION)
POINT_RECORD = make_record(wall_time=1.0, step=1, summary={"value": [{"tag": "a", "simple_value": 0.5}]})


def parse(*records: bytes) -> list[ScalarPoint]:
    return parse_scalars(b"".join(records), source="test")


@given(points=st.lists(POINTS, max_size=20))
def test_what_is_written_is_read(tmp_path_factory: pytest.TempPathFactory, points: list[ScalarPoint]) -> None:
    with EventWriter.create(tmp_path_factory.mktemp("tb"), wall_time=0.0, suffix="x") as writer:
        for point in points:
            writer.scalar(point.tag, value=point.value, step=point.step, wall_time=point.wall_time)
    assert read_scalars(writer.path) == points


def test_order_duplicates_steps_going_back_and_odd_values_are_kept(tmp_path: Path) -> None:
    with EventWriter.create(tmp_path, wall_time=0.0, suffix="x") as writer:
        for step, value in ((5, 1.0), (3, math.inf), (3, -math.inf), (5, math.nan)):
            writer.scalar("Loss", value=value, step=step, wall_time=0.0)
        writer.scalar("loss", value=2.0, step=0, wall_time=0.0)
    points = read_scalars(writer.path)
    assert [point.step for point in points] == [5, 3, 3, 5, 0]
    assert math.isnan(points[3].value)
    assert {point.tag for point in points} == {"Loss", "loss"}


def test_every_one_of_200000_points_is_read_in_seconds(tmp_path: Path) -> None:
    with EventWriter.create(tmp_path, wall_time=0.0, suffix="x") as writer:
        for step in range(200_000):
            writer.scalar("losses/ar_loss", value=1.0, step=step, wall_time=float(step))
    begin = time.process_time()  # which other work on the machine does not lengthen
    points = read_scalars(writer.path)
    assert [point.step for point in points] == list(range(200_000))
    assert time.process_time() - begin < 30  # some 1 s


def test_a_cut_file_is_refused_wherever_it_is_cut() -> None:
    content = VERSION_RECORD + POINT_RECORD * 2
    whole = {0, len(VERSION_RECORD), len(VERSION_RECORD + POINT_RECORD), len(content)}
    for length in range(1, len(content)):
        if length not in whole:
            with pytest.raises(ContentError, match=r"test: record at byte \d+ is cut off"):
                parse(content[:length])


def test_a_flipped_bit_is_refused_with_file_and_offset(tmp_path: Path) -> None:
    content = VERSION_RECORD + POINT_RECORD
    path = tmp_path / "events"
    for position in range(len(content)):
        changed = bytearray(content)
        changed[position] ^= 1
        path.write_bytes(changed)
        with pytest.raises(ContentError) as caught:
            read_scalars(path)
        offset = 0 if position < len(VERSION_RECORD) else len(VERSION_RECORD)
        assert f"{path}: record at byte {offset}" in str(caught.value)


def test_an_absurd_length_is_refused_before_it_is_read() -> None:
    for length in (2**60, MAX_RECORD_BYTES + 1):
        header = struct.pack("<Q", length)
        with pytest.raises(ContentError, match=f"says it has {length} bytes"):
            parse(VERSION_RECORD, header, pack_checksum(header), b"x" * 100)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "empty"),
        (POINT_RECORD, "file version ''"),
        (make_record(file_version="brain.Event:1"), "brain.Event:1"),
        (VERSION_RECORD + frame_record(b"\xff\xff\xff"), "is not an event"),
    ],
)
def test_what_is_no_event_file_is_refused(content: bytes, message: str) -> None:
    with pytest.raises(ContentError, match=message):
        parse(content)


def test_scalars_stored_as_tensors_are_read_and_other_summaries_passed_over() -> None:
    from tensorboard.compat.proto.types_pb2 import DT_DOUBLE, DT_FLOAT, DT_STRING

    tensors = [
        {"dtype": DT_FLOAT, "float_val": [0.5]},
        {"dtype": DT_FLOAT, "tensor_content": struct.pack("<f", 0.25)},
        {"dtype": DT_DOUBLE, "double_val": [0.1]},
        {"dtype": DT_FLOAT, "tensor_shape": {"dim": [{"size": 2}]}, "float_val": [1.0, 2.0]},
        {"dtype": DT_FLOAT, "tensor_shape": {"dim": [{"size": 1}]}, "float_val": [1.0]},
        {"dtype": DT_STRING, "string_val": [b"text"]},
    ]
    values: list[dict[str, object]] = [{"tag": f"t{n}", "tensor": tensor} for n, tensor in enumerate(tensors)]
    values.append({"tag": "picture", "image": {"height": 1}})
    points = parse(VERSION_RECORD, make_record(step=7, summary={"value": values}))
    assert [(point.tag, point.value) for point in points] == [("t0", 0.5), ("t1", 0.25), ("t2", 0.1)]


def test_what_torchs_writer_writes_is_read(tmp_path: Path) -> None:
    # The record that torch.utils.tensorboard.SummaryWriter wrote for add_scalar("loss/train", 0.125, 3).
    record = make_record(wall_time=9.0, step=3, summary={"value": [{"tag": "loss/train", "simple_value": 0.125}]})
    (tmp_path / "events").write_bytes(VERSION_RECORD + record)
    assert read_scalars(tmp_path / "events") == [ScalarPoint(tag="loss/train", step=3, value=0.125, wall_time=9.0)]


def test_missing_and_unreadable_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(MissingPathError, match="no such file"):
        read_scalars(tmp_path / "absent")
    with pytest.raises(UnavailableError, match="cannot be read"):
        read_scalars(tmp_path)


def test_a_stream_is_read_record_by_record() -> None:
    from hstu_preserve.event_files.reader import iterate_scalars

    damaged_end = io.BytesIO(VERSION_RECORD + POINT_RECORD + b"junk")
    points = iterate_scalars(damaged_end, source="test")
    assert next(points).value == 0.5
    with pytest.raises(ContentError, match="cut off in its header"):
        next(points)
