"""Writes scalars into an event file that TensorBoard shows."""

from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

from hstu_preserve.errors import UnavailableError, UsageError
from hstu_preserve.event_files.framing import FILE_VERSION, NAME_BEGINNING, frame_record
from hstu_preserve.primitives.files import close_written, flush_directory, flush_to_disk, make_directory, open_cut


class EventWriter:
    """Appends scalar points to one event file; the caller's clock is the only one.

    A new file is `events.out.tfevents.SECONDS.SUFFIX`: TensorBoard reads the files of a folder in that order.
    """

    def __init__(self, path: Path, stream: BinaryIO) -> None:
        self.path = path
        self.stream = stream

    @classmethod
    def create(cls, directory: Path, *, wall_time: float, suffix: str) -> Self:
        """Begin a new event file.

        Raises:
            UsageError: The file exists.
            UnavailableError: It cannot be written.
        """
        path = directory / f"{NAME_BEGINNING}{int(wall_time):010d}.{suffix}"
        try:
            make_directory(directory)
            writer = cls(path, path.open("xb"))
        except FileExistsError:
            raise UsageError(f"{path}: exists; an event file is written once") from None
        except OSError as error:
            raise UnavailableError(f"{path}: cannot be written ({error.strerror})") from None
        try:
            writer._write(wall_time=wall_time, file_version=FILE_VERSION)
            writer.flush()
        except UnavailableError:
            writer.close()
            raise
        flush_directory(directory)
        return writer

    @classmethod
    def resume(cls, path: Path, *, length: int) -> Self:
        """Continue an event file after its first `length` bytes; the rest is cut off.

        Raises:
            UnavailableError: It cannot be written, or is shorter.
        """
        return cls(path, open_cut(path, length=length))

    def scalar(self, tag: str, *, value: float, step: int, wall_time: float) -> None:
        """Append one point; the file keeps `value` in single precision."""
        self._write(wall_time=wall_time, step=step, summary={"value": [{"tag": tag, "simple_value": value}]})

    def flush(self) -> None:
        """Hand what was written to the operating system."""
        try:
            self.stream.flush()
        except OSError as error:
            raise UnavailableError(f"{self.path}: cannot be written ({error.strerror})") from None

    def sync(self) -> int:
        """Put what was written on the disk, and return the file's length in bytes."""
        return flush_to_disk(self.stream, path=self.path)

    def close(self) -> None:
        """Flush and close the file; an error under way stays the one that is raised.

        Raises:
            UnavailableError: It cannot be written.
        """
        close_written(self.stream, path=self.path)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _write(self, **fields: Any) -> None:  # the fields of a protobuf message
        """Append one event."""
        from tensorboard.compat.proto.event_pb2 import Event

        try:
            self.stream.write(frame_record(Event(**fields).SerializeToString()))
        except OSError as error:
            raise UnavailableError(f"{self.path}: cannot be written ({error.strerror})") from None
