"""Train a run to its end, and write the results and the ranks behind them."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hstu_preserve.bundle.layout import METRICS, RANKS
from hstu_preserve.evaluation.ranks import write_ranks
from hstu_preserve.primitives.files import write_atomically
from hstu_preserve.records.evaluation import ResultsRecord
from hstu_preserve.runs.checkpoint_folder import CheckpointFolder
from hstu_preserve.runs.conductor import Conductor
from hstu_preserve.runs.evaluator import Evaluator
from hstu_preserve.runs.history import RunHistory
from hstu_preserve.runs.journal import JournalRecord
from hstu_preserve.runs.logs import RunLogs
from hstu_preserve.runs.opened_run import OpenedRun
from hstu_preserve.runs.resume_point import ResumePoint
from hstu_preserve.runs.saver import Saver
from hstu_preserve.training.checkpoint import read_checkpoint, state_digest
from hstu_preserve.training.loop import TrainingRun


def complete(
    run: OpenedRun,
    *,
    training: TrainingRun,
    folder: CheckpointFolder,
    history: RunHistory,
    point: ResumePoint | None,
    minutes: float,
) -> tuple[ResultsRecord, Path]:
    """Train to the end and return the results and the checkpoint behind them.

    Args:
        run: The run directory.
        training: The loop, where the run begins or goes on.
        folder: The run's checkpoints.
        history: What the run has found so far.
        point: The checkpoint that the run goes on from, None if it begins.
        minutes: Time after which a checkpoint is written within an epoch.

    Raises:
        RunStopped: Somebody asked the run to stop; it can be resumed.
        LostProcessError: Another process is gone; the run can be resumed.
    """
    # A run goes on by the path that it began with: evaluations of one model by two paths are not equal to the bit.
    ranking_path = history.epochs[-1].ranking_path if history.epochs else run.ranking_path
    evaluator = Evaluator(run, training.model, ranking_path=ranking_path)
    run.world.wait()  # until all have read what the first one will go on with
    with open_logs(run, name=folder.name, journal=point.journal if point else None) as logs:
        saver = Saver(
            run,
            training=training,
            folder=folder,
            history=history,
            logs=logs,
            minutes=minutes,
            newest=point.checkpoint.path if point else None,
        )
        Conductor(run, training=training, history=history, logs=logs, evaluator=evaluator, saver=saver).train()
    run.world.wait()  # until the first one has written the last checkpoint, which all read below
    assert saver.newest is not None  # the last epoch, and one at which patience ends, is always saved
    selected = history.find_selected(run.output) or saver.newest
    final = evaluator.latest_test or evaluator.evaluate_checkpoint(selected)
    results = history.to_results(final, state_sha256=state_digest(read_checkpoint(saver.newest).content))
    run.world.wait()  # until all have read the checkpoints, of which the first one removes some
    if run.world.is_first:
        write_ranks(run.output / RANKS, final.ranks)
        write_atomically(run.output / METRICS, results.to_json())
        folder.prune(keep={selected}, is_finished=True)
    return results, selected


@contextmanager
def open_logs(run: OpenedRun, *, name: str, journal: JournalRecord | None) -> Iterator[RunLogs | None]:
    """Yield the logs, cut back to where the run goes on; None on a process that does not write them.

    Args:
        run: The run directory.
        name: What the run is called, as its checkpoints are.
        journal: Of the checkpoint that the run goes on from, None if it begins.
    """
    if not run.world.is_first:
        yield None
        return
    logs = RunLogs.resume(run.output, name=name, journal=journal) if journal else RunLogs.create(run.output, name=name)
    try:
        yield logs
    finally:
        logs.close()
