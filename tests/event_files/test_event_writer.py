import math
import struct
import subprocess
import sys
from pathlib import Path

import google_crc32c
import pytest

from hstu_preserve.errors import UnavailableError, UsageError
from hstu_preserve.event_files.framing import frame_record, pack_checksum
from hstu_preserve.event_files.reader import read_scalars
from hstu_preserve.event_files.writer import EventWriter


def write_curve(directory: Path) -> Path:
    with EventWriter.create(directory, wall_time=1_700_000_000.5, suffix="run.0") as writer:
        for step in range(3):
            writer.scalar("losses/ar_loss", value=1.0 / (step + 1), step=step, wall_time=1_700_000_001.0 + step)
        writer.scalar("eval_epoch/ndcg@10", value=0.25, step=2, wall_time=1_700_000_009.0)
    return writer.path


def test_the_same_calls_write_the_same_bytes(tmp_path: Path) -> None:
    first, second = write_curve(tmp_path / "one"), write_curve(tmp_path / "two")
    assert first.name == second.name == "events.out.tfevents.1700000000.run.0"
    assert first.read_bytes() == second.read_bytes()


def test_tensorboards_own_reader_shows_every_point(tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    write_curve(tmp_path)
    accumulator = EventAccumulator(str(tmp_path)).Reload()
    assert accumulator.Tags()["scalars"] == ["losses/ar_loss", "eval_epoch/ndcg@10"]
    points = accumulator.Scalars("losses/ar_loss")
    single = [struct.unpack("<f", struct.pack("<f", value))[0] for value in (1.0, 0.5, 1 / 3)]
    assert [(point.step, point.value) for point in points] == list(enumerate(single))
    assert points[1].wall_time == 1_700_000_002.0


def test_the_framing_is_tensorboards(tmp_path: Path) -> None:
    from tensorboard.compat.tensorflow_stub.pywrap_tensorflow import masked_crc32c
    from tensorboard.summary.writer.record_writer import RecordWriter

    assert google_crc32c.value(b"123456789") == 0xE3069283  # the check value of CRC-32C
    assert pack_checksum(b"123456789") == struct.pack("<I", masked_crc32c(b"123456789"))
    with (tmp_path / "record").open("wb") as stream:
        RecordWriter(stream).write(b"content")
    assert (tmp_path / "record").read_bytes() == frame_record(b"content")


def evaluated_are_readable_after_a_flush(tmp_path: Path) -> None:
    writer = EventWriter.create(tmp_path, wall_time=0.0, suffix="x")
    writer.scalar("a", value=math.nan, step=1, wall_time=0.0)
    writer.flush()
    assert [point.step for point in read_scalars(writer.path)] == [1]
    writer.close()


def test_a_file_is_written_once(tmp_path: Path) -> None:
    write_curve(tmp_path)
    with pytest.raises(UsageError, match="written once"):
        write_curve(tmp_path)


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UnavailableError, match="cannot be written"):
        EventWriter.create(tmp_path / "file/tb", wall_time=0.0, suffix="x")


def test_a_full_disk_is_unavailable_when_the_file_is_closed() -> None:
    full = Path("/dev/full")
    with pytest.raises(UnavailableError, match=r"/dev/full: cannot be written .No space left"):
        write_point(EventWriter(full, full.open("wb")))


class PlugPulledError(Exception):
    """Something that is not ours to catch."""


def test_a_full_disk_does_not_hide_the_error_that_was_under_way() -> None:
    full = Path("/dev/full")
    with pytest.raises(PlugPulledError):
        write_point(EventWriter(full, full.open("wb")), error=PlugPulledError())


def write_point(writer: EventWriter, *, error: Exception | None = None) -> None:
    with writer:
        writer.scalar("a", value=1.0, step=1, wall_time=0.0)
        if error:
            raise error


def test_neither_torch_nor_tensorflow_is_imported(tmp_path: Path) -> None:
    program = f"""
import sys, pathlib
from hstu_preserve.event_files.reader import read_scalars
from hstu_preserve.event_files.writer import EventWriter
with EventWriter.create(pathlib.Path({str(tmp_path)!r}), wall_time=0.0, suffix="x") as writer:
    writer.scalar("a", value=1.0, step=1, wall_time=0.0)
assert len(read_scalars(writer.path)) == 1
print(sorted({{"torch", "tensorflow"}} & sys.modules.keys()))
"""
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert result.stdout == "[]\n"
