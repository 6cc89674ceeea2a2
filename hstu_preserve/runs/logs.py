"""Log a run step by step: an event file for TensorBoard, and every step's exact loss beside it."""

import hashlib
import json
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import BinaryIO, Self

from hstu_preserve.bundle.layout import EVENTS_FOLDER, STEPS
from hstu_preserve.errors import UnavailableError
from hstu_preserve.event_files.framing import NAME_BEGINNING
from hstu_preserve.event_files.writer import EventWriter
from hstu_preserve.primitives.files import (
    close_written,
    flush_directory,
    flush_to_disk,
    make_directory,
    open_cut,
    read_bytes,
)
from hstu_preserve.records.evaluation import EvaluationRecord
from hstu_preserve.runs.journal import JournalRecord
from hstu_preserve.training.events import StepEvent

EVENT_FILE_SUFFIX = "hstu-preserve"
LOSS_TAG = "losses/ar_loss"
"""Upstream's, of the loss that is minimised."""
EVENT_FILES = f"{NAME_BEGINNING}*"


class RunLogs:
    """The event file and the recorded steps of one run.

    Args:
        writer: Of the event file.
        steps: Of the recorded steps.
        steps_path: Where they are.
        earlier_steps: The bytes of the recorded steps that are there already.
    """

    def __init__(self, writer: EventWriter, steps: BinaryIO, *, steps_path: Path, earlier_steps: bytes = b"") -> None:
        self.writer = writer
        self.steps = steps
        self.steps_path = steps_path
        self.step_digest = hashlib.sha256(earlier_steps)
        """Of all recorded steps."""

    @classmethod
    def create(cls, output: Path, *, name: str) -> Self:
        """Begin the logs of a run, and remove those of an attempt that ended before its first checkpoint.

        Raises:
            UnavailableError: They cannot be written.
        """
        folder, steps_path = output / EVENTS_FOLDER / name, output / STEPS
        try:
            for earlier in [*folder.glob(EVENT_FILES), *output.glob(STEPS)]:
                earlier.unlink()
            make_directory(steps_path.parent)
            steps = steps_path.open("xb")
        except OSError as error:
            raise UnavailableError(f"{error.filename or steps_path}: cannot be written ({error.strerror})") from None
        flush_directory(steps_path.parent)
        with closed_on_error(steps):
            writer = EventWriter.create(folder, wall_time=time.time(), suffix=EVENT_FILE_SUFFIX)
        return cls(writer, steps, steps_path=steps_path)

    @classmethod
    def resume(cls, output: Path, *, name: str, journal: JournalRecord) -> Self:
        """Continue the logs where a checkpoint's journal says that they stood; later lines are cut off.

        Raises:
            UnavailableError: They are not there, are shorter, or cannot be written.
        """
        steps_path = output / STEPS
        steps = open_cut(steps_path, length=journal.step_bytes)
        with closed_on_error(steps):
            writer = EventWriter.resume(find_event_file(output, name=name), length=journal.event_bytes)
            earlier = read_bytes(steps_path)
        return cls(writer, steps, steps_path=steps_path, earlier_steps=earlier)

    def log_step(self, event: StepEvent, *, interval: int) -> None:
        """Record one step's losses, every `interval` steps also the learning rate, under upstream's tags.

        As upstream has it, `ar_loss` is the loss that is minimised, and `main_loss` leaves the auxiliary losses out.
        The file beside the event file holds the first of them, exactly.
        """
        now = time.time()
        self.writer.scalar(LOSS_TAG, value=event.loss, step=event.step, wall_time=now)
        self.writer.scalar("losses/main_loss", value=event.main_loss, step=event.step, wall_time=now)
        if event.load_balance is not None:
            self.writer.scalar("losses/prism_load_balance", value=event.load_balance, step=event.step, wall_time=now)
        for name, value in event.auxiliary.items():
            self.writer.scalar(f"losses/{name}", value=value, step=event.step, wall_time=now)
        if event.step % interval == 0:
            self.writer.scalar("loss/train", value=event.loss, step=event.step, wall_time=now)
            self.writer.scalar("lr", value=event.learning_rate, step=event.step, wall_time=now)
        record = {"epoch": event.epoch, "loss": event.loss.hex(), "step": event.step}
        line = json.dumps(record, separators=(",", ":")).encode() + b"\n"
        self.step_digest.update(line)
        try:
            self.steps.write(line)
        except OSError as error:
            raise UnavailableError(f"{self.steps_path}: cannot be written ({error.strerror})") from None

    def log_evaluation(self, record: EvaluationRecord, *, prefixes: list[str]) -> None:
        """Record an epoch's metrics under each prefix."""
        now = time.time()
        for prefix in prefixes:
            for metric, value in {**record.metrics, "coverage@10": record.coverage_at_10}.items():
                if value is None:  # a mean over nobody
                    continue
                self.writer.scalar(f"{prefix}/{metric}", value=value, step=record.epoch, wall_time=now)

    def sync(self) -> tuple[int, int]:
        """Put everything on the disk and return the lengths of event file and recorded steps, in bytes."""
        return self.writer.sync(), flush_to_disk(self.steps, path=self.steps_path)

    def close(self) -> None:
        """Close both files; an error under way stays the one that is raised.

        Raises:
            UnavailableError: What they still had to write cannot be written.
        """
        try:
            self.writer.close()
        finally:
            close_written(self.steps, path=self.steps_path)


@contextmanager
def closed_on_error(stream: BinaryIO) -> Iterator[None]:
    """Close a stream if the block ends with an error."""
    with ExitStack() as stack:
        stack.enter_context(stream)
        yield
        stack.pop_all()


def find_event_file(output: Path, *, name: str) -> Path:
    """Return a run's one event file.

    Raises:
        UnavailableError: There is none, or more than one.
    """
    folder = output / EVENTS_FOLDER / name
    found = sorted(folder.glob(EVENT_FILES))
    if len(found) != 1:
        raise UnavailableError(f"{folder}: holds {len(found)} event files, expected the one of this run")
    return found[0]
