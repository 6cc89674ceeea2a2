"""Conduct a training run: log, evaluate and checkpoint what the loop yields."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hstu_preserve.bundle.layout import CHECKPOINT_FOLDER, METRICS, RANKS
from hstu_preserve.compute.world import World
from hstu_preserve.data.split import Part
from hstu_preserve.data.store import Store
from hstu_preserve.errors import LostProcessError
from hstu_preserve.evaluation.one_evaluation import Evaluated, evaluate_model
from hstu_preserve.evaluation.ranks import write_ranks
from hstu_preserve.model.upstream_weights import load_state
from hstu_preserve.primitives.files import write_atomically
from hstu_preserve.primitives.voice import Progress, Voice
from hstu_preserve.records.evaluation import EvaluationRecord, ResultsRecord, Resumption
from hstu_preserve.records.journal import JournalRecord
from hstu_preserve.records.manifest import RunRecord
from hstu_preserve.records.recipe import Protocol, Recipe
from hstu_preserve.runs.checkpoint_folder import CheckpointFolder
from hstu_preserve.runs.epoch_selection import EpochSelection
from hstu_preserve.runs.logs import RunLogs
from hstu_preserve.runs.resume_point import ResumePoint, find_resume_point, require_one_view
from hstu_preserve.runs.signals import RunStopped, StopRequest
from hstu_preserve.training.checkpoint import JOURNAL, capture_state, read_checkpoint, state_digest
from hstu_preserve.training.loop import EpochEvent, StepEvent, TrainingRun
from hstu_preserve.training.position import Position
from hstu_preserve.training.run_names import model_string

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, kw_only=True)
class Durability:
    """How a run outlives its process; nothing here decides a number.

    Attributes:
        resume: Whether it goes on with what is in its directory.
        num_kept: How many of the newest checkpoints after an epoch stay, beside the best; 0 keeps all.
        minutes: Time after which a checkpoint is written within an epoch.
    """

    resume: bool = False
    num_kept: int = 2
    minutes: float = 10.0


class Conduct:
    """Conducts a training run: logs, evaluates and checkpoints what the loop yields.

    Args:
        output: The run directory.
        run: What was decided before.
        store: The data.
        device: Where the model lives.
        durability: When checkpoints are written, and which stay.
        stop: Whether somebody asked the run to stop.
        world: The processes that train it; the first one writes.
        voice: Shows progress.
    """

    def __init__(
        self,
        output: Path,
        *,
        run: RunRecord,
        store: Store,
        device: "torch.device",
        durability: Durability,
        stop: StopRequest,
        world: World,
        voice: Voice,
    ) -> None:
        self.output = output
        self.run = run
        self.recipe: Recipe = run.recipe
        self.store = store
        self.device = device
        self.durability = durability
        self.stop = stop
        self.world = world
        self.voice = voice
        self.name = model_string(run.recipe)
        self.training = TrainingRun(run.recipe, store, device=device, world=world)
        self.checkpoints = CheckpointFolder(
            output / CHECKPOINT_FOLDER,
            name=self.name,
            steps_per_epoch=self.training.steps_per_epoch,
            num_kept=durability.num_kept,
        )
        self.epochs: list[EvaluationRecord] = []
        self.selection = EpochSelection(run.policies[0], patience=run.recipe.training.patience)
        self.resumptions: list[Resumption] = []
        self.journal: JournalRecord | None = None
        """Where the logs of a resumed run stand."""
        self.latest_test: Evaluated | None = None
        self.last_checkpoint: Path | None = None
        """The newest that was written or read, on every process, though only the first one writes."""
        self.saved_at = time.monotonic()
        self.is_validated = run.recipe.dataset.protocol is Protocol.VALIDATED

    def resume(self, *, changes: list[str], voice: Voice) -> None:
        """Go on from the newest whole checkpoint, from the beginning where there is none.

        Args:
            changes: How arithmetic and code differ from those the run began with.
            voice: Says where the run goes on, and of what could not be used.

        Raises:
            UsageError, DataMismatchError, CheckpointError: The checkpoints are of another run, or none is whole.
        """
        point = find_resume_point(self.checkpoints, output=self.output, run=self.run, voice=voice)
        require_one_view(point, output=self.output, world=self.world)
        if point is None:
            voice.say(f"{self.output}: no checkpoint was written yet; starting from the beginning")
        else:
            self.restore(point)
            position = self.training.position
            voice.say(
                f"resuming from {point.checkpoint.path.name}: epoch {position.finished_epoch + 1}, "
                f"{position.batch_id} steps done"
            )
        if changes:
            resumption = Resumption(batch_id=self.training.position.batch_id, differences=tuple(changes))
            self.resumptions.append(resumption)
            voice.say(f"warning: no longer the environment the run began in ({'; '.join(changes)}); bits may differ")

    def restore(self, point: ResumePoint) -> None:
        """Take up state and findings where a checkpoint was written."""
        self.training.restore(point.checkpoint)
        self.last_checkpoint = point.checkpoint.path
        self.journal = point.journal
        self.epochs = list(point.journal.epochs)
        self.selection.restore(point.journal.best)
        self.resumptions = list(point.journal.resumptions)

    def complete(self) -> tuple[ResultsRecord, Path]:
        """Train to the end and return the results and the checkpoint behind them.

        Raises:
            RunStopped: It was asked to; the run can be resumed.
        """
        self.world.wait()  # until all have read what the first one will go on with
        with self.open_logs() as logs:
            self.train(logs)
        self.world.wait()
        last = self.last_checkpoint
        assert last is not None  # the last epoch, and one at which patience ends, is always saved
        best = self.selection.best
        selected = self.output / best.checkpoint if best else last
        final = self.latest_test or self.evaluate_selected(selected)
        results = ResultsRecord(
            epochs=tuple(self.epochs),
            final=final.record,
            state_sha256=state_digest(read_checkpoint(last).content),
            resumptions=tuple(self.resumptions),
        )
        self.world.wait()  # until all have read the checkpoints
        if self.world.is_first:
            write_ranks(self.output / RANKS, final.ranks)
            write_atomically(self.output / METRICS, results.to_json())
            self.checkpoints.prune(keep={selected}, is_finished=True)
        return results, selected

    @contextmanager
    def open_logs(self) -> Iterator[RunLogs | None]:
        """Yield the logs, cut back to where the run goes on; None on a process that does not write them."""
        if not self.world.is_first:
            yield None
            return
        logs = (
            RunLogs.resume(self.output, name=self.name, journal=self.journal)
            if self.journal
            else RunLogs.create(self.output, name=self.name)
        )
        try:
            yield logs
        finally:
            logs.close()

    def train(self, logs: RunLogs | None) -> None:
        """Train until the recipe's end, saving on the way and before leaving."""
        if self.selection.is_stalled(self.training.position.finished_epoch):
            return
        try:
            for event in self.training.epochs():
                if isinstance(event, StepEvent):
                    if logs:
                        logs.log_step(event, interval=self.recipe.training.eval_interval)
                    self.show(event)
                    self.save_in_time(logs)
                else:
                    self.end_epoch(event, logs=logs)
                    if self.selection.is_stalled(event.epoch):
                        break
        except (RunStopped, LostProcessError):
            self.save(logs, self.training.position, is_epoch_end=False)
            raise

    def save_in_time(self, logs: RunLogs | None) -> None:
        """Write a checkpoint within an epoch where the last one is too long ago.

        Raises:
            RunStopped: Somebody asked the run to stop.
        """
        if self.world.agree(self.stop.is_made):
            raise RunStopped
        if time.monotonic() - self.saved_at >= 60 * self.durability.minutes:
            self.save(logs, self.training.position, is_epoch_end=False)

    def show(self, event: StepEvent) -> None:
        """Show the progress of one step."""
        figures = {"ndcg@10": self.epochs[-1].metrics["ndcg@10"]} if self.epochs else {}
        self.voice.show(
            Progress(
                activity=f"epoch {event.epoch} of {self.recipe.training.num_epochs}",
                completed=event.step + 1,
                total=event.steps_per_epoch * self.recipe.training.num_epochs,
                figures={"loss": event.loss, **figures},
            )
        )

    def show_unless_stopped(self, progress: Progress) -> None:
        """Show the progress of a batch of an evaluation.

        Raises:
            RunStopped: Somebody asked the run to stop: an evaluation can take as long as an epoch.
        """
        self.voice.show(progress)
        if self.stop.is_made:  # torchrun tells every process, and kills those that stay longer than it waits
            raise RunStopped

    def end_epoch(self, event: EpochEvent, *, logs: RunLogs | None) -> None:
        """Evaluate, log, and write a checkpoint where one is due."""
        settings = self.recipe.evaluation
        is_full = event.epoch % settings.full_eval_every_n == 0
        evaluated = evaluate_model(
            self.training.model,
            self.store,
            part=Part.VALIDATION if self.is_validated else Part.TEST,
            epoch=event.epoch,
            device=self.device,
            num_batches=None if is_full else settings.partial_eval_num_iters,
            world=self.world,
            voice=Voice(show=self.show_unless_stopped),
        )
        self.epochs.append(evaluated.record)
        # Under upstream's protocol the last epoch's full evaluation is the final one; no need to rank everybody twice.
        self.latest_test = evaluated if is_full and not self.is_validated else None
        prefixes = ["eval_epoch"]
        if is_full and settings.full_eval_every_n > 1:
            prefixes.append("eval_epoch_full")
        if logs:
            logs.log_evaluation(evaluated.record, prefixes=prefixes)
        position = self.training.position.after_epoch()
        is_best = self.is_validated and is_full and self.offer(evaluated, position)
        if is_best or self.is_due(event) or self.selection.is_stalled(event.epoch):
            self.save(logs, position, is_epoch_end=True)

    def offer(self, evaluated: Evaluated, position: Position) -> bool:
        """Return whether an epoch is the best so far."""
        path = self.checkpoints.path_at(position, is_epoch_end=True).relative_to(self.output).as_posix()
        return self.selection.offer(evaluated.record.metrics, epoch=position.finished_epoch, checkpoint=path)

    def is_due(self, event: EpochEvent) -> bool:
        """Whether the recipe asks for a checkpoint; the last but one lets a stranger resume and compare."""
        is_regular = event.epoch > 0 and event.epoch % self.recipe.training.save_ckpt_every_n == 0
        return is_regular or event.epoch >= self.recipe.training.num_epochs - 2

    def save(self, logs: RunLogs | None, position: Position, *, is_epoch_end: bool) -> None:
        """Write the state and where the logs stand, once these are on the disk; then remove what is not kept.

        Raises:
            UnavailableError: It cannot be written; the earlier checkpoints stay.
        """
        self.saved_at = time.monotonic()
        self.last_checkpoint = self.checkpoints.path_at(position, is_epoch_end=is_epoch_end)
        if logs is None:
            return
        event_bytes, step_bytes = logs.sync()
        journal = JournalRecord(
            event_bytes=event_bytes,
            step_bytes=step_bytes,
            epochs=tuple(self.epochs),
            best=self.selection.best,
            resumptions=tuple(self.resumptions),
        )
        state = capture_state(
            self.training.model,
            self.training.optimizer,
            position=position,
            recipe=self.recipe,
            data_fingerprint=self.store.fingerprint,
            world_size=self.world.size,
        )
        content = state | {JOURNAL: journal.to_json().decode()}
        self.checkpoints.write(content, position=position, is_epoch_end=is_epoch_end)
        self.checkpoints.prune(keep={self.output / name for name in self.selection.note_saved()})

    def evaluate_selected(self, checkpoint: Path) -> Evaluated:
        """Evaluate every user's test item with the checkpoint that will be reported."""
        loaded = read_checkpoint(checkpoint)
        load_state(self.training.model, loaded.weights, source=str(checkpoint))
        return evaluate_model(
            self.training.model,
            self.store,
            part=Part.TEST,
            epoch=loaded.epoch,
            device=self.device,
            num_batches=None,
            world=self.world,
            voice=Voice(show=self.show_unless_stopped),
        )
