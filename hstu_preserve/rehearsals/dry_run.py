"""Take the first steps of a training and rank a few of its users, and extrapolate to the whole; nothing is written."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean

import torch

from hstu_preserve.compute.determinism import repeatable_arithmetic
from hstu_preserve.compute.machine import choose_device, describe_environment, describe_numerics
from hstu_preserve.compute.processes import find_processes
from hstu_preserve.compute.training_path import choose_training_path
from hstu_preserve.costs.evaluations import count_evaluated_users
from hstu_preserve.data.split import Part, find_evaluated_users
from hstu_preserve.errors import UsageError
from hstu_preserve.evaluation.one_evaluation import evaluate_model
from hstu_preserve.evaluation.paths import choose_ranking_path
from hstu_preserve.primitives.given_paths import as_path
from hstu_preserve.primitives.peak_memory import read_peak_bytes
from hstu_preserve.primitives.voice import SILENT, Progress, Voice
from hstu_preserve.primitives.wording import count
from hstu_preserve.records.environment import EnvironmentRecord
from hstu_preserve.records.estimates.costs import Rehearsal
from hstu_preserve.rehearsals.busyness import CoreShare, describe_other_work
from hstu_preserve.runs.beginning import require_unused
from hstu_preserve.runs.plan import Plan
from hstu_preserve.runs.planning import make_plan
from hstu_preserve.runs.sealing import require_claimable, require_includable
from hstu_preserve.runs.training import require_trainable
from hstu_preserve.training.loop import TrainingRun

NUM_STEPS = 3
NUM_BATCHES = 3
"""Of users that are ranked; the first one's time is left out, since it is ranked in two ways on a CPU."""
COPIES_OF_A_WEIGHT = 3
"""In a checkpoint: itself and Adam's two moments."""


@dataclass(frozen=True, kw_only=True)
class Measured:
    """What a few steps took.

    Attributes:
        step_seconds: Of each.
        core_share: Of one core's time that this process had meanwhile, above 1 with several threads.
        users_per_second: At which users were ranked.
        peak_bytes: Of memory.
        environment: Which machine, and how it computed.
    """

    step_seconds: tuple[float, ...]
    core_share: float
    users_per_second: float
    peak_bytes: int
    environment: EnvironmentRecord


def preview_training(
    gin: str | Path,
    *,
    output: str | Path | None = None,
    num_seeds: int = 1,
    data: str | Path | None = None,
    gin_root: str | Path | None = None,
    settings: Sequence[str] = (),
    device: str = "auto",
    voice: Voice = SILENT,
) -> Rehearsal:
    """Return what `train` or `train_seeds` would cost, from three steps that are taken now; nothing is written.

    The other arguments are those of `train`, which raises the same before its first step. An `output` that is named
    must not be in use; `num_seeds` trainings would follow each other.
    """
    plan = make_plan(gin, data=data, gin_root=gin_root, settings=settings, device=device)
    return rehearse(plan, target=str(gin), output=as_path(output), num_seeds=num_seeds, voice=voice)


def rehearse(plan: Plan, *, target: str, output: Path | None, num_seeds: int, voice: Voice) -> Rehearsal:
    """Return what a training costs, from its first steps on this machine.

    Args:
        plan: The gin chain, the data and the device.
        target: What the user called the recipe.
        output: Where the training would write: looked at, and left as it is. None if nobody said.
        num_seeds: How many trainings would follow each other.
        voice: Says how many users are left out.

    Raises:
        UsageError: The training would be refused (its output is in use, say), or several processes are asked for.
        ContentError: No user has enough events.
        UnavailableError: No torch, no such device, or not enough memory.
    """
    if find_processes().size > 1:
        raise UsageError("--dry-run: measures one process; start it without torchrun")
    if output is not None and num_seeds == 1:
        require_unused(output)
    require_includable(plan.resolution, store=plan.store)
    require_claimable(plan.resolution, store=plan.store)
    device = choose_device(plan.device)
    require_trainable(plan, voice=voice)
    with repeatable_arithmetic(tf32=plan.recipe.training.enable_tf32):
        path = choose_training_path(plan.recipe, device=device)
        training = TrainingRun(plan.recipe, plan.store, device=device, path=path)
        numerics = describe_numerics(device, dtype=plan.recipe.model.dtype)
        share = CoreShare()
        step_seconds = tuple(time_steps(training))
        measured = Measured(
            step_seconds=step_seconds,
            core_share=share.measure(),
            users_per_second=measure_ranking(training, plan),
            peak_bytes=measure_peak_bytes(device),
            environment=describe_environment(numerics, training_path=path),
        )
    return extrapolate(measured, training=training, plan=plan, target=target, num_seeds=num_seeds)


def time_steps(training: TrainingRun) -> list[float]:
    """Return the seconds of each of the first steps of the training.

    Hard negatives begin after some epochs; the steps are taken as those of the first epoch that has them.
    """
    hard = training.recipe.hard_negatives
    epoch = hard.warmup_epochs if hard else 0
    batches = training.split_users(epoch)
    num_steps = min(NUM_STEPS, training.steps_per_epoch * training.recipe.training.num_epochs)
    seconds = []
    for step in range(num_steps):
        start = time.perf_counter()
        losses, _ = training.take_step(batches[step % len(batches)], epoch=epoch, step=step)
        float(losses.total)  # a GPU is waited for
        seconds.append(time.perf_counter() - start)
    return seconds


def measure_ranking(training: TrainingRun, plan: Plan) -> float:
    """Return how many users a second are ranked, as the training's evaluations rank them."""
    marks = [(0, time.perf_counter())]

    def mark(progress: Progress) -> None:
        marks.append((progress.completed, time.perf_counter()))

    evaluate_model(
        training.model,
        plan.store,
        part=Part.TEST,
        epoch=0,
        num_batches=NUM_BATCHES,
        ranking_path=plan.ranking_path or choose_ranking_path(training.device.type),
        voice=Voice(show=mark),
    )
    (users, start), (all_users, end) = marks[1] if len(marks) > 2 else marks[0], marks[-1]
    return (all_users - users) / max(end - start, 1e-9)


def measure_peak_bytes(device: torch.device) -> int:
    """Return the most memory that was in use: of the GPU by tensors, else of this process since its start."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    return read_peak_bytes()


def extrapolate(measured: Measured, *, training: TrainingRun, plan: Plan, target: str, num_seeds: int) -> Rehearsal:
    """Return the record of a dry run.

    The first step allocates what the later ones use again, so that it is left out if there are others.
    """
    recipe, weights = plan.recipe, list(training.model.parameters())
    num_steps = training.steps_per_epoch * recipe.training.num_epochs
    users = len(find_evaluated_users(plan.store, recipe.dataset, part=Part.TEST))
    evaluated = count_evaluated_users(recipe, num_users=users)
    busy = describe_other_work(measured.core_share) if training.device.type == "cpu" else None
    return Rehearsal(
        target=target,
        data_name=plan.store.name,
        data_fingerprint=plan.store.fingerprint,
        recipe_sha256=recipe.digest(),
        num_parameters=sum(weight.numel() for weight in weights),
        num_users=len(training.users),
        num_epochs=recipe.training.num_epochs,
        steps_per_epoch=training.steps_per_epoch,
        num_steps=num_steps,
        num_seeds=num_seeds,
        step_seconds=measured.step_seconds,
        evaluated_users=evaluated,
        users_per_second=measured.users_per_second,
        peak_memory_bytes=measured.peak_bytes,
        checkpoint_bytes=COPIES_OF_A_WEIGHT * sum(weight.nbytes for weight in weights),
        training_seconds=num_seeds * num_steps * mean(measured.step_seconds[1:] or measured.step_seconds),
        evaluation_seconds=num_seeds * evaluated / measured.users_per_second,
        may_end_early=recipe.training.patience is not None,
        basis=describe_basis(measured, plan=plan),
        environment=measured.environment,
        warnings=(*plan.warnings, *([] if busy is None else [busy])),
    )


def describe_basis(measured: Measured, *, plan: Plan) -> str:
    """Return in words what the times are extrapolated from."""
    num_steps = len(measured.step_seconds)
    steps = "the only step" if num_steps == 1 else f"the mean of {count(num_steps - 1, 'step')} after the first"
    num_users = NUM_BATCHES * plan.recipe.evaluation.eval_batch_size
    return (
        f"{steps}, and the ranking of at most {num_users} users, on this machine as busy as it was; "
        "checkpoints are not counted"
    )
