"""Conduct a training run: log, evaluate and save as the loop's events ask for it."""

import math

from hstu_preserve.errors import DivergedError, LostProcessError
from hstu_preserve.evaluation.evaluated import Evaluated
from hstu_preserve.primitives.voice import Progress
from hstu_preserve.runs.evaluator import Evaluator, list_tags
from hstu_preserve.runs.history import RunHistory
from hstu_preserve.runs.logs import RunLogs
from hstu_preserve.runs.opened_run import OpenedRun
from hstu_preserve.runs.pace import Pace
from hstu_preserve.runs.saver import Saver
from hstu_preserve.runs.signals import RunStopped
from hstu_preserve.training.events import StepEvent
from hstu_preserve.training.loop import TrainingRun


class Conductor:
    """Answers each event of the training loop with log lines, an evaluation, a checkpoint, or the end.

    Args:
        run: The run that is trained.
        training: The loop.
        history: Receives every epoch's evaluation.
        logs: None on a process that does not write them.
        evaluator: Evaluates the model.
        saver: Writes checkpoints.
    """

    def __init__(
        self,
        run: OpenedRun,
        *,
        training: TrainingRun,
        history: RunHistory,
        logs: RunLogs | None,
        evaluator: Evaluator,
        saver: Saver,
    ) -> None:
        self.run = run
        self.settings = run.recipe.training
        self.training = training
        self.history = history
        self.logs = logs
        self.evaluator = evaluator
        self.saver = saver
        self.pace = Pace(
            num_steps=training.steps_per_epoch * self.settings.num_epochs, num_epochs=self.settings.num_epochs
        )
        self.loss = math.nan
        """Of the last step that was taken."""

    def train(self) -> None:
        """Train until the recipe's or the patience's end, saving on the way and before leaving.

        Raises:
            RunStopped: Somebody asked the run to stop; it is saved.
            LostProcessError: Another process is gone; the run is saved.
            DivergedError: The loss is NaN or infinite.
        """
        try:
            self.follow_events()
            if self.pace.epochs_ended:
                self.run.voice.say(self.pace.summarize(loss=self.loss))
        except (RunStopped, LostProcessError):
            self.saver.save(self.training.position, is_epoch_end=False)
            raise

    def follow_events(self) -> None:
        """Take steps and end epochs for as long as the recipe and the patience say."""
        # A run can be resumed between its last epoch and its sealing: no epoch must follow then.
        if self.history.selection.is_stalled(self.training.position.finished_epoch):
            return
        for event in self.training.epochs():
            if isinstance(event, StepEvent):
                self.end_step(event)
                continue
            self.end_epoch(event.epoch)
            if self.history.selection.is_stalled(event.epoch):
                return

    def end_step(self, event: StepEvent) -> None:
        """Log and show a step, and save if the last checkpoint is too long ago.

        Raises:
            RunStopped: Somebody asked the run to stop.
            DivergedError: The loss is NaN or infinite.
        """
        self.pace.note_step()
        self.loss = event.loss
        if self.logs:
            self.logs.log_step(event, interval=self.settings.eval_interval)
        self.show(event)
        self.require_finite(event)
        # All processes must leave after the same step: what they send each other would not match otherwise.
        if self.run.world.agree(self.run.stop.is_made):
            raise RunStopped
        if self.saver.is_due:
            self.saver.save(self.training.position, is_epoch_end=False)

    def require_finite(self, event: StepEvent) -> None:
        """Require a loss that is a number, the same on all processes: from any other, no later step comes back.

        Raises:
            DivergedError: It is NaN or infinite.
        """
        if math.isfinite(event.loss):
            return
        newest = f"{self.saver.newest.name} is the newest checkpoint" if self.saver.newest else "no checkpoint is there"
        raise DivergedError(
            f"{self.run.output}: stopped, since the loss of step {event.step} (epoch {event.epoch}) is {event.loss}; "
            f"{newest}, and nothing is claimed. Train a recipe with a lower learning rate or more warm-up steps into a "
            "new directory"
        )

    def show(self, event: StepEvent) -> None:
        """Show the progress of one step."""
        ndcg = self.history.newest_ndcg
        figures = {"loss": event.loss} if ndcg is None else {"loss": event.loss, "ndcg@10": ndcg}
        self.run.voice.show(
            Progress(
                activity=f"epoch {event.epoch} of {self.settings.num_epochs}",
                completed=event.step + 1,
                total=event.steps_per_epoch * self.settings.num_epochs,
                figures=figures,
                seconds_left=self.pace.estimate_seconds_left(steps_done=event.step + 1, epochs_done=event.epoch),
            )
        )

    def end_epoch(self, epoch: int) -> None:
        """Evaluate, log, write a checkpoint if one is due, and say how the epoch went."""
        evaluated = self.evaluator.evaluate_epoch(epoch)
        self.history.epochs.append(evaluated.record)
        if self.logs:
            self.logs.log_evaluation(evaluated.record, prefixes=list_tags(self.run.recipe.evaluation, epoch=epoch))
        is_best = self.evaluator.may_be_selected(epoch) and self.offer(evaluated)
        if is_best or self.is_due(epoch) or self.history.selection.is_stalled(epoch):
            self.saver.save(self.training.position.after_epoch(), is_epoch_end=True)
        self.pace.note_epoch()
        figures = {"loss": self.loss, "ndcg@10": evaluated.record.value_of("ndcg@10")}
        steps_done = self.training.position.batch_id
        self.run.voice.say(self.pace.describe_epoch(epoch, steps_done=steps_done, figures=figures))

    def offer(self, evaluated: Evaluated) -> bool:
        """Return whether the epoch that just ended is the best so far."""
        position = self.training.position.after_epoch()
        path = self.saver.folder.path_at(position, is_epoch_end=True).relative_to(self.run.output).as_posix()
        return self.history.selection.offer(evaluated.record.metrics, epoch=position.finished_epoch, checkpoint=path)

    def is_due(self, epoch: int) -> bool:
        """Whether the recipe asks for a checkpoint after an epoch."""
        is_regular = epoch > 0 and epoch % self.settings.save_ckpt_every_n == 0
        # The last one is reported; the last but one lets a stranger resume there and compare.
        return is_regular or epoch >= self.settings.num_epochs - 2
