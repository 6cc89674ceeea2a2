"""Let the command line speak: sentences on stderr, and a progress bar if stderr is a terminal."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from hstu_preserve.cli.output import tell
from hstu_preserve.primitives.threads import start_thread
from hstu_preserve.primitives.voice import Progress, Voice
from hstu_preserve.primitives.wording import describe_duration

if TYPE_CHECKING:
    from rich.progress import Progress as Bar
    from rich.progress import TaskID


@contextmanager
def spoken() -> Iterator[Voice]:
    """Yield a voice that writes sentences on stderr and draws a bar there if it is a terminal."""
    if not can_draw():
        yield Voice(say=tell)
        return
    from rich.console import Console
    from rich.progress import BarColumn, TextColumn
    from rich.progress import Progress as Bar

    amount, left, figures = (TextColumn(f"{{task.fields[{name}]}}") for name in ("amount", "left", "figures"))
    what = TextColumn("{task.description}", markup=False)  # a path from the Hub may look like markup
    columns = (what, BarColumn(), amount, left, figures)
    with Bar(*columns, console=Console(stderr=True), transient=True) as bar:
        drawing = Drawing(bar)
        yield Voice(say=tell, show=drawing.show, step_aside=drawing.step_aside)


def can_draw() -> bool:
    """Whether stderr is a terminal, and a thread can be had, in which the bar draws itself."""
    return sys.stderr.isatty() and start_thread(lambda: None, name="probe") is not None


class Drawing:
    """Draws the latest progress as one bar."""

    def __init__(self, bar: "Bar") -> None:
        self.bar = bar
        self.task: TaskID | None = None
        self.activity: str | None = None

    @contextmanager
    def step_aside(self) -> Iterator[None]:
        """Clear the bar within the block: two that draw on one terminal overwrite each other's lines."""
        self.bar.stop()
        try:
            yield
        finally:
            self.bar.start()

    def show(self, event: Progress) -> None:
        """Draw one sign of progress; the remaining time is reckoned anew for each activity."""
        figures = "  ".join(f"{name} {value:.4f}" for name, value in event.figures.items())
        if self.task is None:
            self.task = self.bar.add_task(event.activity, total=event.total, amount="", left="", figures="")
        elif self.activity != event.activity and event.completed <= self.bar.tasks[0].completed:
            self.bar.reset(self.task)
        self.activity = event.activity
        self.bar.update(
            self.task,
            description=event.activity,
            completed=event.completed,
            total=event.total,
            amount=describe_amount(event),
            left=self.describe_time_left(event),
            figures=figures,
        )

    def describe_time_left(self, event: Progress) -> str:
        """Return how long the work will take: as whoever does it says, else at the pace of the units done so far."""
        seconds = self.bar.tasks[0].time_remaining if event.seconds_left is None else event.seconds_left
        return "" if seconds is None else f"{describe_duration(seconds)} left"


def describe_amount(event: Progress) -> str:
    """Return how much is done, of how much."""
    if not event.in_bytes:
        return f"{event.completed}/{event.total}"
    from rich.filesize import decimal

    return f"{decimal(event.completed)} of {decimal(event.total)}"
