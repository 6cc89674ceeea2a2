"""A progress bar on stderr, where that is a terminal; silence where it is not."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from hstu_preserve.workflows.progress import Listener, Progress, ignore


@contextmanager
def progress_bar() -> Iterator[Listener]:
    """Yield a listener that draws a bar with loss and NDCG on a terminal and does nothing elsewhere."""
    if not sys.stderr.isatty():
        yield ignore
        return
    from rich import progress
    from rich.console import Console

    columns = (
        progress.TextColumn("{task.description}"),
        progress.BarColumn(),
        progress.MofNCompleteColumn(),
        progress.TimeRemainingColumn(),
        progress.TextColumn("{task.fields[figures]}"),
    )
    with progress.Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("starting", total=None, figures="")

        def show(event: Progress) -> None:
            figures = "  ".join(f"{name} {value:.4f}" for name, value in event.figures.items())
            bar.update(task, description=event.activity, completed=event.completed, total=event.total, figures=figures)

        yield show


@contextmanager
def transfer_bar() -> Iterator[Listener]:
    """Yield a listener that draws bytes, rate and remaining time on a terminal and does nothing elsewhere."""
    if not sys.stderr.isatty():
        yield ignore
        return
    from rich import progress
    from rich.console import Console

    columns = (
        progress.TextColumn("{task.description}"),
        progress.BarColumn(),
        progress.DownloadColumn(),
        progress.TransferSpeedColumn(),
        progress.TimeRemainingColumn(),
    )
    with progress.Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("asking the Hub", total=None)

        def show(event: Progress) -> None:
            bar.update(task, description=event.activity, completed=event.completed, total=event.total)

        yield show
