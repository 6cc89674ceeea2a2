"""Conduct a training run: log, evaluate and checkpoint what the loop yields."""

import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING

from hstu_preserve.bundle.layout import CHECKPOINT_FOLDER, EVENTS_FOLDER, METRICS, RANKS, STEPS
from hstu_preserve.data.split import Part
from hstu_preserve.data.store import Store
from hstu_preserve.errors import UnavailableError
from hstu_preserve.evaluation.ranks import write_ranks
from hstu_preserve.event_files.writer import EventWriter
from hstu_preserve.model.upstream_weights import load_state
from hstu_preserve.primitives.files import write_atomically
from hstu_preserve.records.claim import Direction
from hstu_preserve.records.evaluation import EvaluationRecord, ResultsRecord
from hstu_preserve.records.manifest import RunRecord
from hstu_preserve.records.recipe import Protocol, Recipe
from hstu_preserve.training.checkpoint import (
    capture_state,
    model_string,
    read_checkpoint,
    state_digest,
    write_checkpoint,
)
from hstu_preserve.training.loop import EpochEvent, StepEvent, TrainingRun
from hstu_preserve.workflows.evaluation import Evaluated, evaluate_model
from hstu_preserve.workflows.progress import Listener, Progress

if TYPE_CHECKING:
    import torch

EVENT_FILE_SUFFIX = "hstu-preserve"


@dataclass(frozen=True, kw_only=True)
class Selected:
    """The best epoch so far."""

    epoch: int
    checkpoint: Path
    value: float


class Conduct:
    """Conducts a training run: logs, evaluates and checkpoints what the loop yields.

    Args:
        output: The run directory.
        run: What was decided before.
        store: The data.
        device: Where the model lives.
        listener: Hears of progress.
    """

    def __init__(
        self, output: Path, *, run: RunRecord, store: Store, device: "torch.device", listener: Listener
    ) -> None:
        self.output = output
        self.run = run
        self.recipe: Recipe = run.recipe
        self.store = store
        self.device = device
        self.listener = listener
        self.name = model_string(run.recipe)
        self.training = TrainingRun(run.recipe, store, device=device)
        self.epochs: list[EvaluationRecord] = []
        self.best: Selected | None = None
        self.latest_test: Evaluated | None = None
        self.is_validated = run.recipe.dataset.protocol is Protocol.VALIDATED

    def complete(self) -> tuple[ResultsRecord, Path]:
        """Train to the end and return the results and the checkpoint behind them."""
        (self.output / STEPS).parent.mkdir(parents=True, exist_ok=True)
        events = self.output / EVENTS_FOLDER / self.name
        last = Path()
        with (
            EventWriter(events, wall_time=time.time(), suffix=EVENT_FILE_SUFFIX) as writer,
            open_new(self.output / STEPS) as steps,
        ):
            for event in self.training.epochs():
                if isinstance(event, StepEvent):
                    self.log_step(event, writer=writer, steps=steps)
                else:
                    last = self.end_epoch(event, writer=writer) or last
                    if self.is_stalled(event.epoch):
                        break
        selected = self.best.checkpoint if self.best else last
        final = self.latest_test or self.evaluate_selected(selected)
        results = ResultsRecord(
            epochs=tuple(self.epochs),
            final=final.record,
            state_sha256=state_digest(read_checkpoint(last).content),
        )
        write_ranks(self.output / RANKS, final.ranks)
        write_atomically(self.output / METRICS, results.to_json())
        return results, selected

    def log_step(self, event: StepEvent, *, writer: EventWriter, steps: IO[str]) -> None:
        """Record one step's loss under upstream's tags, and its exact value beside."""
        now = time.time()
        for tag in ("losses/ar_loss", "losses/main_loss"):
            writer.scalar(tag, value=event.loss, step=event.step, wall_time=now)
        if event.step % self.recipe.training.eval_interval == 0:
            writer.scalar("loss/train", value=event.loss, step=event.step, wall_time=now)
            writer.scalar("lr", value=event.learning_rate, step=event.step, wall_time=now)
        line = {"epoch": event.epoch, "loss": event.loss.hex(), "step": event.step}
        steps.write(json.dumps(line, separators=(",", ":")) + "\n")
        figures = {"loss": event.loss, **self.latest_figures()}
        self.listener(
            Progress(
                activity=f"epoch {event.epoch} of {self.recipe.training.num_epochs}",
                completed=event.step + 1,
                total=event.steps_per_epoch * self.recipe.training.num_epochs,
                figures=figures,
            )
        )

    def latest_figures(self) -> dict[str, float]:
        """Return the last evaluation's headline."""
        return {"ndcg@10": self.epochs[-1].metrics["ndcg@10"]} if self.epochs else {}

    def end_epoch(self, event: EpochEvent, *, writer: EventWriter) -> Path | None:
        """Evaluate, log, and write a checkpoint where one is due; return its path."""
        settings = self.recipe.evaluation
        is_full = event.epoch % settings.full_eval_every_n == 0
        evaluated = evaluate_model(
            self.training.model,
            self.store,
            part=Part.VALIDATION if self.is_validated else Part.TEST,
            epoch=event.epoch,
            device=self.device,
            num_batches=None if is_full else settings.partial_eval_num_iters,
            listener=self.listener,
        )
        self.epochs.append(evaluated.record)
        # Under upstream's protocol the last epoch's full evaluation is the final one; no need to rank everybody twice.
        self.latest_test = evaluated if is_full and not self.is_validated else None
        prefixes = ["eval_epoch"]
        if is_full and settings.full_eval_every_n > 1:
            prefixes.append("eval_epoch_full")
        for prefix in prefixes:
            figures = evaluated.record.metrics | {"coverage@10": evaluated.record.coverage_at_10}
            for metric, value in figures.items():
                writer.scalar(f"{prefix}/{metric}", value=value, step=event.epoch, wall_time=time.time())
        is_best = self.is_validated and is_full and self.is_improvement(evaluated)
        is_due = event.epoch > 0 and event.epoch % self.recipe.training.save_ckpt_every_n == 0
        is_last = event.is_last or (not is_best and self.is_stalled(event.epoch))
        if not (is_best or is_due or is_last):
            return None
        path = self.write_checkpoint(event)
        if is_best:
            self.select(event.epoch, path, evaluated)
        return path

    def is_stalled(self, epoch: int) -> bool:
        """Whether the recipe's patience is at its end."""
        patience = self.recipe.training.patience
        return patience is not None and self.best is not None and epoch - self.best.epoch >= patience

    def is_improvement(self, evaluated: Evaluated) -> bool:
        """Whether the first claim's metric is better than in any epoch before."""
        value = self.selection_value(evaluated)
        return self.best is None or value > self.best.value

    def selection_value(self, evaluated: Evaluated) -> float:
        """Return the first claim's metric with its sign such that more is better."""
        policy = self.run.policies[0]
        value = evaluated.record.metrics[policy.metric]
        return value if policy.direction is Direction.MAXIMIZE else -value

    def select(self, epoch: int, path: Path, evaluated: Evaluated) -> None:
        """Keep this epoch as the best, and drop the checkpoint of the one before unless it was due anyway."""
        before = self.best
        self.best = Selected(epoch=epoch, checkpoint=path, value=self.selection_value(evaluated))
        if before and (before.epoch == 0 or before.epoch % self.recipe.training.save_ckpt_every_n != 0):
            before.checkpoint.unlink()

    def write_checkpoint(self, event: EpochEvent) -> Path:
        """Write the state after an epoch under upstream's name."""
        path = self.output / CHECKPOINT_FOLDER / f"{self.name}_ep{event.epoch}"
        content = capture_state(
            self.training.model,
            self.training.optimizer,
            epoch=event.epoch,
            batch_id=event.batch_id,
            recipe=self.recipe,
            data_fingerprint=self.store.fingerprint,
        )
        write_checkpoint(path, content)
        return path

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
            listener=self.listener,
        )


def open_new(path: Path) -> IO[str]:
    """Open a new text file.

    Raises:
        UnavailableError: It cannot be written.
    """
    try:
        return path.open("x", encoding="utf-8", newline="\n")
    except OSError as error:
        raise UnavailableError(f"{path}: cannot be written ({error.strerror})") from None
