"""Event file and recorded steps on a disk that is full: one deliberate error, and never in place of another."""

from pathlib import Path

import pytest

from hstu_preserve.errors import UnavailableError
from hstu_preserve.event_files.writer import EventWriter
from hstu_preserve.runs.logs import RunLogs
from hstu_preserve.training.events import StepEvent

FULL = Path("/dev/full")
MANY = 1000
"""Steps that no buffer holds."""


class PlugPulledError(Exception):
    """Something that is not ours to catch."""


def open_logs(folder: Path, *, full: str) -> RunLogs:
    """Open logs whose event file, recorded steps or both are on a full disk."""
    steps_path = FULL if full in {"steps", "both"} else folder / "steps.jsonl"
    events_path = FULL if full in {"events", "both"} else folder / "events"
    return RunLogs(EventWriter(events_path, events_path.open("wb")), steps_path.open("wb"), steps_path=steps_path)


def log(logs: RunLogs, *, num_steps: int, error: Exception | None = None) -> None:
    """Log steps and close, as a run does that is left by an error."""
    try:
        for step in range(num_steps):
            event = StepEvent(
                epoch=0,
                step=step,
                loss=1.5,
                main_loss=1.5,
                load_balance=None,
                learning_rate=0.1,
                steps_per_epoch=MANY,
            )
            logs.log_step(event, interval=1)
        if error:
            raise error
    finally:
        logs.close()


@pytest.mark.parametrize("full", ["events", "steps", "both"])
@pytest.mark.parametrize("num_steps", [1, MANY])
def test_a_full_disk_is_unavailable_whether_a_step_or_closing_finds_it(
    full: str, num_steps: int, tmp_path: Path
) -> None:
    logs = open_logs(tmp_path, full=full)
    with pytest.raises(UnavailableError, match=r"/dev/full: cannot be written .No space left"):
        log(logs, num_steps=num_steps)
    assert logs.steps.closed
    assert logs.writer.stream.closed


@pytest.mark.parametrize("full", ["events", "steps", "both"])
def test_a_full_disk_does_not_hide_the_error_that_was_under_way(full: str, tmp_path: Path) -> None:
    logs = open_logs(tmp_path, full=full)
    with pytest.raises(PlugPulledError):
        log(logs, num_steps=1, error=PlugPulledError())
    assert logs.steps.closed
    assert logs.writer.stream.closed
