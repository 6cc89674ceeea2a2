"""Go on with a run from its newest whole checkpoint."""

from hstu_preserve.records.evaluation import Resumption
from hstu_preserve.runs.checkpoint_folder import CheckpointFolder
from hstu_preserve.runs.history import RunHistory
from hstu_preserve.runs.opened_run import OpenedRun
from hstu_preserve.runs.resume_point import ResumePoint, find_resume_point, require_one_view
from hstu_preserve.training.loop import TrainingRun


def resume(
    run: OpenedRun, *, training: TrainingRun, folder: CheckpointFolder, history: RunHistory, changes: list[str]
) -> ResumePoint | None:
    """Put the loop and the history where the newest whole checkpoint was written; None if none was written yet.

    Args:
        run: The run directory; its voice says where the run goes on, and which checkpoints could not be used.
        training: Receives the checkpoint's state.
        folder: The run's checkpoints.
        history: Receives the findings until then.
        changes: How arithmetic and code differ from those the run began with.

    Raises:
        UsageError, DataMismatchError, CheckpointError: The checkpoints are of another run, or none is whole.
    """
    point = find_resume_point(folder, output=run.output, run=run.record, voice=run.voice)
    require_one_view(point, output=run.output, world=run.world)
    if point is None:
        run.voice.say(f"{run.output}: no checkpoint was written yet; starting from the beginning")
    else:
        training.restore(point.checkpoint)
        history.restore(point.journal)
        run.voice.say(
            f"resuming from {point.checkpoint.path.name}: epoch {training.position.finished_epoch + 1}, "
            f"{training.position.batch_id} steps done"
        )
    if changes:
        history.resumptions.append(Resumption(batch_id=training.position.batch_id, differences=tuple(changes)))
        run.voice.say(f"warning: no longer the environment the run began in ({'; '.join(changes)}); bits may differ")
    return point
