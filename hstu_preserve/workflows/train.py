"""Train a recipe into a run directory: policy first, then the steps, then the claims' values."""

import json
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import torch

from hstu_preserve.bundle.layout import (
    CHECKPOINT_FOLDER,
    CONFIG_FOLDER,
    DATA_FOLDER,
    ENVIRONMENT,
    EVENTS_FOLDER,
    METRICS,
    RANKS,
    RUN_RECORD,
    STEPS,
    StoredManifest,
    record_files,
    seal,
)
from hstu_preserve.data.split import Part
from hstu_preserve.data.store import Store, write_store
from hstu_preserve.errors import UnavailableError, UsageError
from hstu_preserve.evaluation.ranks import write_ranks
from hstu_preserve.event_files.writer import EventWriter
from hstu_preserve.gin_recipes.reader import GinChain, read_chain
from hstu_preserve.gin_recipes.resolve import Resolution, resolve
from hstu_preserve.model.upstream_weights import load_state
from hstu_preserve.primitives.files import write_atomically
from hstu_preserve.records.claim import Claim, Direction
from hstu_preserve.records.evaluation import EvaluationRecord, ResultsRecord
from hstu_preserve.records.manifest import DataReference, Manifest, RunRecord
from hstu_preserve.records.recipe import Protocol, Recipe
from hstu_preserve.records.results import TrainingResult
from hstu_preserve.training.checkpoint import (
    capture_state,
    model_string,
    read_checkpoint,
    state_digest,
    write_checkpoint,
)
from hstu_preserve.training.determinism import repeatable_arithmetic
from hstu_preserve.training.loop import EpochEvent, StepEvent, TrainingRun
from hstu_preserve.workflows.evaluation import Evaluated, evaluate_model
from hstu_preserve.workflows.machine import choose_device, describe_code, describe_environment, describe_numerics
from hstu_preserve.workflows.progress import Listener, Progress, ignore
from hstu_preserve.workflows.stores import find_store_for_recipe

EVENT_FILE_SUFFIX = "hstu-preserve"


def train(
    gin: Path,
    *,
    output: Path,
    data: Path | None = None,
    gin_root: Path | None = None,
    device: str = "auto",
    listener: Listener = ignore,
) -> TrainingResult:
    """Train what a gin chain says and write the run directory that `pack` takes.

    Args:
        gin: The chain's entry file.
        output: The run directory; must not exist, or be empty.
        data: The store; None searches the folder that HSTU_PRESERVE_DATA names.
        gin_root: The folder that includes may not leave.
        device: `auto`, `cpu` or `cuda`.
        listener: Hears of every step and evaluation.

    Raises:
        RecipeError: The chain does not resolve.
        DataMismatchError: The store is not the recipe's.
        UsageError: The output is in use, or data that may not be redistributed shall be included.
        UnavailableError: No torch, no such device, no data, or the output cannot be written.
    """
    chain = read_chain(gin, root=gin_root)
    resolution = resolve(chain)
    store = find_store_for_recipe(resolution.recipe.dataset, data)
    require_usable(output, resolution=resolution, store=store)
    chosen = choose_device(device)
    with repeatable_arithmetic(tf32=resolution.recipe.training.enable_tf32):
        run = fix_policy(chain, resolution, store=store, device=chosen)
        write_policy(output, run=run, chain=chain, store=store)
        conduct = Conduct(output, run=run, store=store, device=chosen, listener=listener)
        results, checkpoint = conduct.complete()
    stored = seal_run(output, run=run, results=results, checkpoint=checkpoint)
    return TrainingResult(
        path=output,
        identity=stored.identity,
        claims=stored.manifest.claims,
        results=results,
        environment=run.environment,
        warnings=tuple(str(warning) for warning in resolution.warnings),
    )


def require_usable(output: Path, *, resolution: Resolution, store: Store) -> None:
    """Raise UsageError where the output is in use or the bundle would hold data that may not travel."""
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise UsageError(f"{output}: exists and is not empty; name a new directory with --output")
    if resolution.bundle.include_data and not store.record.provenance.redistributable:
        raise UsageError(
            f"bundle.include_data: {store.name} may not be redistributed ({store.record.provenance.notice}); "
            "leave it out, the bundle names the data by its fingerprint"
        )


def fix_policy(chain: GinChain, resolution: Resolution, *, store: Store, device: torch.device) -> RunRecord:
    """Return everything that is decided before the first step."""
    recipe, record = resolution.recipe, store.record
    dtype = "bfloat16" if recipe.model.main_module_bf16 else "float32"
    source = record.provenance.source
    md5 = record.provenance.source_md5
    return RunRecord(
        bundle=resolution.bundle,
        recipe=recipe,
        recipe_sha256=recipe.digest(),
        gin_file=f"{CONFIG_FOLDER}/{chain.entry}",
        policies=resolution.policies,
        data=DataReference(
            name=record.name,
            fingerprint=record.fingerprint,
            tie_policy=record.provenance.tie_policy.value,
            redistributable=record.provenance.redistributable,
            included=resolution.bundle.include_data,
            num_users=record.counts.num_users,
            num_rated_items=record.counts.num_rated_items,
            num_candidates=record.counts.num_candidates,
            num_ratings=record.counts.num_ratings,
            source=f"{source} (md5 {md5})" if md5 else source,
        ),
        environment=describe_environment(describe_numerics(device, dtype=dtype)),
        code=describe_code(),
    )


def write_policy(output: Path, *, run: RunRecord, chain: GinChain, store: Store) -> None:
    """Write policy, environment, gin chain and, where it may travel, the data, before the first step."""
    for path, content in chain.files:
        write_atomically(output / CONFIG_FOLDER / path, content)
    if run.data.included:
        write_store(store, output / DATA_FOLDER)
    write_atomically(output / ENVIRONMENT, run.environment.to_json())
    write_atomically(output / RUN_RECORD, run.to_json())


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

    def __init__(self, output: Path, *, run: RunRecord, store: Store, device: torch.device, listener: Listener) -> None:
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
        self.is_validated = run.recipe.dataset.protocol is Protocol.VALIDATED

    def complete(self) -> tuple[ResultsRecord, Path]:
        """Train to the end and return the results and the checkpoint behind them."""
        (self.output / STEPS).parent.mkdir(parents=True, exist_ok=True)
        events = self.output / EVENTS_FOLDER / self.name
        last = Path()
        with (
            EventWriter(events, suffix=EVENT_FILE_SUFFIX) as writer,
            open_new(self.output / STEPS) as steps,
        ):
            for event in self.training.epochs():
                if isinstance(event, StepEvent):
                    self.log_step(event, writer=writer, steps=steps)
                else:
                    last = self.end_epoch(event, writer=writer) or last
        selected = self.best.checkpoint if self.best else last
        final = self.evaluate_selected(selected)
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
            writer.scalar(tag, event.loss, step=event.step, wall_time=now)
        if event.step % self.recipe.training.eval_interval == 0:
            writer.scalar("loss/train", event.loss, step=event.step, wall_time=now)
            writer.scalar("lr", event.learning_rate, step=event.step, wall_time=now)
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
        prefixes = ["eval_epoch"]
        if is_full and settings.full_eval_every_n > 1:
            prefixes.append("eval_epoch_full")
        for prefix in prefixes:
            for metric, value in evaluated.record.metrics.items():
                writer.scalar(f"{prefix}/{metric}", value, step=event.epoch, wall_time=time.time())
        is_best = self.is_validated and is_full and self.is_improvement(evaluated)
        is_due = event.epoch > 0 and event.epoch % self.recipe.training.save_ckpt_every_n == 0
        if not (is_best or is_due or event.is_last):
            return None
        path = self.write_checkpoint(event)
        if is_best:
            self.select(event.epoch, path, evaluated)
        return path

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


def seal_run(output: Path, *, run: RunRecord, results: ResultsRecord, checkpoint: Path) -> StoredManifest:
    """Fill in the claims' values and bind everything in the manifest."""
    claims = tuple(
        Claim(policy=policy, value=results.final.metrics[policy.metric], epoch=results.final.epoch)
        for policy in run.policies
    )
    manifest = Manifest(
        schema_version=0,
        run=run,
        checkpoint=checkpoint.relative_to(output).as_posix(),
        claims=claims,
        contents=record_files(output),
    )
    return seal(output, manifest=manifest)


def discard(output: Path) -> None:
    """Remove a run directory that is not wanted."""
    shutil.rmtree(output, ignore_errors=True)
