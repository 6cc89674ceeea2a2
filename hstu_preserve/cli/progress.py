"""A progress bar on stderr, where that is a terminal; silence where it is not."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from hstu_preserve.cli.output import tell
from hstu_preserve.primitives.progress import Listener, Progress, ignore
from hstu_preserve.primitives.threads import start_thread

if TYPE_CHECKING:
    from rich.progress import ProgressColumn


@contextmanager
def progress_bar() -> Iterator[Listener]:
    """Yield a listener that draws a bar with loss and NDCG on a terminal and does nothing elsewhere."""
    if not sys.stderr.isatty():
        yield ignore
        return
    from rich.progress import MofNCompleteColumn, TextColumn, TimeRemainingColumn

    columns = (MofNCompleteColumn(), TimeRemainingColumn(), TextColumn("{task.fields[figures]}"))
    with draw(*columns, beginning="starting") as listener:
        yield listener


@contextmanager
def training_progress() -> Iterator[Listener]:
    """Yield a listener that draws a bar on a terminal and writes a line after each epoch elsewhere, e.g. into a log."""
    with progress_bar() as listener:
        yield EpochLines().hear if listener is ignore else listener


class EpochLines:
    """Says of each epoch how it went, once the next one has begun: then it has been evaluated."""

    def __init__(self) -> None:
        self.latest: Progress | None = None

    def hear(self, event: Progress) -> None:
        """Take one sign of life; those of evaluations are passed over."""
        if not event.activity.startswith("epoch "):
            return
        if self.latest is not None and self.latest.activity != event.activity:
            evaluated = {name: value for name, value in event.figures.items() if name != "loss"}
            figures = (f"{name} {value:.4f}" for name, value in (self.latest.figures | evaluated).items())
            tell(f"{self.latest.activity}, {self.latest.completed} of {self.latest.total} steps: {', '.join(figures)}")
        self.latest = event


@contextmanager
def transfer_bar() -> Iterator[Listener]:
    """Yield a listener that draws bytes, rate and remaining time on a terminal and does nothing elsewhere."""
    if not sys.stderr.isatty():
        yield ignore
        return
    from rich.progress import DownloadColumn, TimeRemainingColumn, TransferSpeedColumn

    with draw(DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn(), beginning="asking the Hub") as listener:
        yield listener


@contextmanager
def draw(*columns: "ProgressColumn", beginning: str) -> Iterator[Listener]:
    """Yield a listener that draws what is being done, a bar and the columns; `beginning` stands there at first."""
    from rich.console import Console
    from rich.progress import BarColumn, TextColumn
    from rich.progress import Progress as Bar

    if start_thread(lambda: None, name="probe") is None:  # the bar draws itself in one
        yield ignore
        return
    what = TextColumn("{task.description}")
    with Bar(what, BarColumn(), *columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(beginning, total=None, figures="")

        def show(event: Progress) -> None:
            figures = "  ".join(f"{name} {value:.4f}" for name, value in event.figures.items())
            bar.update(task, description=event.activity, completed=event.completed, total=event.total, figures=figures)

        yield show
