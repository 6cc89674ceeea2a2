"""Describe how far runs are: one that is not finished, and those in a folder."""

from collections.abc import Iterator

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.text import Text

from hstu_preserve.primitives.wording import count, printable
from hstu_preserve.records.evaluation_kind import NOT_COMPARABLE, EvaluationKind
from hstu_preserve.records.runs import ListedRun, RunListing, RunState, ShownRun
from hstu_preserve.report.curves import PlottedCurve
from hstu_preserve.report.tables import list_fields, new_table

STYLES = {
    RunState.FINISHED: "green",
    RunState.PACKED: "green",
    RunState.TRAINING: "cyan",
    RunState.UNFINISHED: "yellow",
    RunState.DIVERGED: "red",
    RunState.UNREADABLE: "red",
}
NOTHING = "–"


def describe_shown_run(record: ShownRun) -> RenderableType:
    """Return how far a run is, its curve so far, and what goes on with it."""
    run = record.run
    num_epochs = run.recipe.training.num_epochs
    fields = {
        "run": str(record.path),
        "state": describe_state(record),
        "title": run.bundle.title,
        "model": f"{run.recipe.model.kind}, seed {run.recipe.training.random_seed}",
        "data": f"{run.data.name}, fingerprint {run.data.fingerprint}",
        "progress": f"{count(len(record.curve), 'epoch')} of {num_epochs} evaluated, {count(record.num_steps, 'step')}",
    }
    parts: list[RenderableType] = [list_fields(fields)]
    if record.curve:
        parts += [Text(), Text(record.metric, style="bold")]
        points = record.curve
        curve = PlottedCurve(
            epochs=[point.epoch for point in points], values=[point.value for point in points], claimed=None
        )
        parts.append(curve)
    if record.resume is not None:
        parts += [Text(), Text(printable(f"to go on: {record.resume}"))]
    return Group(*parts)


def describe_state(record: ShownRun) -> str:
    """Return the state in words."""
    words = {
        RunState.TRAINING: "a process trains into it now",
        RunState.DIVERGED: "its training diverged, and cannot go on",
        RunState.UNFINISHED: "unfinished",
    }
    return words.get(record.state, record.state.value)


def describe_runs(record: RunListing) -> RenderableType:
    """Return the runs of a folder, one line each, and below them what goes on with the unfinished ones.

    If numbers are of another kind of evaluation than Meta's, each says its kind.
    """
    has_kinds = any(run.kind is not None for run in record.runs)
    table = new_table("run", "state", "seed", "epochs", "ndcg@10", *(["evaluation"] if has_kinds else []))
    for column in table.columns[1:5]:
        column.no_wrap = True
    for column in table.columns[2:5]:
        column.justify = "right"
    for run in record.runs:
        name = Text(
            printable(str(run.path.relative_to(record.path))) if run.path != record.path else printable(str(run.path))
        )
        state = Text(run.state.value, style=STYLES[run.state])
        table.add_row(name, state, *list_figures(run), *([describe_kind(run)] if has_kinds else []))
    below: list[RenderableType] = [Text(f"{NOT_COMPARABLE}.", style="dim")] if has_kinds else []
    below += [line for run in record.runs for line in list_remarks(run)]
    if record.left_out:
        below.append(Text(f"and {record.left_out} more", style="dim"))
    return Group(table, *below)


def list_figures(run: ListedRun) -> tuple[str, str, str]:
    """Return the seed, the epochs and the value of a run."""
    epochs = NOTHING if run.epochs_done is None else f"{run.epochs_done}/{run.num_epochs}"
    return (
        NOTHING if run.seed is None else str(run.seed),
        epochs,
        NOTHING if run.ndcg10 is None else f"{run.ndcg10:.4f}",
    )


def describe_kind(run: ListedRun) -> str:
    """Return the kind of evaluation of a run's number."""
    return NOTHING if run.ndcg10 is None else (run.kind or EvaluationKind.WINDOW).words


def list_remarks(run: ListedRun) -> Iterator[RenderableType]:
    """Yield what goes on with a run, or why it cannot be read."""
    if run.resume is not None:
        yield Text(printable(f"to go on with {run.path}:"), style="dim")
        yield Padding(Text(printable(run.resume)), (0, 0, 0, 2))
    if run.problem is not None:
        yield Text(printable(f"not read: {run.problem}"), style="red")
