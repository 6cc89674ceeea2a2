"""Let the command line speak: sentences on stderr, and a progress bar if stderr is a terminal."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from hstu_preserve.cli.output import tell
from hstu_preserve.primitives.threads import start_thread
from hstu_preserve.primitives.voice import Progress, Voice

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
    from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    texts = (TextColumn(f"{{task.fields[{name}]}}") for name in ("amount", "figures"))
    what = TextColumn("{task.description}", markup=False)  # a path from the Hub may look like markup
    columns = (what, BarColumn(), next(texts), TimeRemainingColumn(), next(texts))
    with Bar(*columns, console=Console(stderr=True), transient=True) as bar:
        drawing = Drawing(bar)
        yield Voice(say=tell, show=drawing.show, step_aside=drawing.step_aside)


@contextmanager
def spoken_in_epochs() -> Iterator[Voice]:
    """Yield a voice as `spoken` does; if no bar can be drawn, it writes a line after each epoch."""
    with spoken() as voice:
        yield voice if can_draw() else Voice(say=voice.say, show=EpochLines().hear)


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
            self.task = self.bar.add_task(event.activity, total=event.total, amount="", figures="")
        elif self.activity != event.activity and event.completed <= self.bar.tasks[0].completed:
            self.bar.reset(self.task)
        self.activity = event.activity
        self.bar.update(
            self.task,
            description=event.activity,
            completed=event.completed,
            total=event.total,
            amount=describe_amount(event),
            figures=figures,
        )


def describe_amount(event: Progress) -> str:
    """Return how much is done, of how much."""
    if not event.in_bytes:
        return f"{event.completed}/{event.total}"
    from rich.filesize import decimal

    return f"{decimal(event.completed)} of {decimal(event.total)}"


class EpochLines:
    """Says of each epoch how it went, once the next one has begun: then it has been evaluated."""

    def __init__(self) -> None:
        self.latest: Progress | None = None

    def hear(self, event: Progress) -> None:
        """Take one sign of progress; those of evaluations are passed over."""
        if not event.activity.startswith("epoch "):
            return
        if self.latest is not None and self.latest.activity != event.activity:
            evaluated = {name: value for name, value in event.figures.items() if name != "loss"}
            figures = (f"{name} {value:.4f}" for name, value in {**self.latest.figures, **evaluated}.items())
            tell(f"{self.latest.activity}, {self.latest.completed} of {self.latest.total} steps: {', '.join(figures)}")
        self.latest = event
