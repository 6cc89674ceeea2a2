"""Train one recipe with several seeds into one folder, run after run; the same call goes on where it was cut."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from hstu_preserve.bundle.layout import RUN_RECORD
from hstu_preserve.compute.processes import find_processes
from hstu_preserve.errors import DivergedError, UsageError
from hstu_preserve.gin_recipes.differences import list_differences, list_policies, list_settings
from hstu_preserve.library.diverged import has_diverged, mark_as_diverged
from hstu_preserve.primitives.files import read_bytes, refuse_unwritable
from hstu_preserve.primitives.voice import SILENT, Voice
from hstu_preserve.primitives.wording import list_some
from hstu_preserve.records.manifest import RunRecord
from hstu_preserve.records.results import TrainingResult
from hstu_preserve.runs.durability import Durability
from hstu_preserve.runs.plan import Plan
from hstu_preserve.runs.sealing import is_finished, read_result
from hstu_preserve.runs.training import train_chain
from hstu_preserve.studies.results import TrainedSeed, TrainedSeeds

MAX_SEEDS = 99
MAX_SHOWN = 5
RUN_NAME = "seed-"
"""Before the seed, the name of a run's folder."""


@dataclass(frozen=True, kw_only=True)
class SeedRun:
    """One run of a study.

    Attributes:
        seed: Of the run.
        plan: With this seed.
        output: The run directory.
    """

    seed: int
    plan: Plan
    output: Path


def plan_runs(first: int, *, num_seeds: int, output: Path, make_plan: Callable[[int], Plan]) -> list[SeedRun]:
    """Return the runs of a study: as many seeds as asked for, from the recipe's own on.

    Args:
        first: The recipe's own seed.
        num_seeds: How many.
        output: The folder of the runs.
        make_plan: Gives the plan of a seed.

    Raises:
        UsageError: No sensible number of seeds, or torchrun started several processes.
    """
    if not 1 <= num_seeds <= MAX_SEEDS:
        raise UsageError(f"--seeds {num_seeds}: train 1 to {MAX_SEEDS} seeds")
    if find_processes().size > 1:
        raise UsageError(
            "--seeds: trains one run after the other in one process; with torchrun, start each run with "
            "--set 'train_fn.random_seed = N' and an --output of its own"
        )
    return [
        SeedRun(seed=seed, plan=make_plan(seed), output=output / f"{RUN_NAME}{seed}")
        for seed in range(first, first + num_seeds)
    ]


def train_runs(runs: Sequence[SeedRun], *, output: Path, durability: Durability, voice: Voice = SILENT) -> TrainedSeeds:
    """Train every run that is not finished, one after the other.

    Args:
        runs: From `plan_runs`.
        output: The folder of the runs.
        durability: When checkpoints are written, and which stay; whether a run is resumed is seen from its folder.
        voice: Says which seed is trained, and what was finished before; shows every step.

    Raises:
        UsageError: The folder holds something else than runs of this recipe and data.
        UnavailableError: No torch, no such device, or the folder cannot be written.
        KeyboardInterrupt, SystemExit: Somebody asked the training to stop; the same call goes on.
    """
    with refuse_unwritable(output):  # a name that is too long, say
        require_study(output)
    for run in runs:
        require_same(run)
    trained = []
    for number, run in enumerate(runs, start=1):
        voice.say(f"seed {run.seed}, {number} of {len(runs)}: {run.output}")
        trained.append(train_seed(run, durability=durability, voice=voice))
    return TrainedSeeds(
        path=output,
        metric=runs[0].plan.resolution.policies[0].metric,
        runs=tuple(trained),
        warnings=runs[0].plan.warnings,
    )


def require_study(output: Path) -> None:
    """Raise UsageError if the folder holds anything but runs of a study; nothing of it was looked at yet."""
    if not output.exists():
        return
    if not output.is_dir():
        raise UsageError(f"{output}: not a directory; name a new one with --output")
    if (output / RUN_RECORD).exists():
        raise UsageError(f"{output}: a single run; --seeds makes a folder of runs, name a new one with --output")
    foreign = [path.name for path in sorted(output.iterdir()) if not is_part(path)]
    if foreign:
        raise UsageError(
            f"{output}: holds {list_some(foreign, at_most=MAX_SHOWN)}, which is no run of a study; name a new folder "
            "with --output"
        )


def is_part(path: Path) -> bool:
    """Whether an entry of a study's folder may be there: a run, or a hidden file such as a lock."""
    return path.name.startswith((RUN_NAME, "."))


def require_same(run: SeedRun) -> None:
    """Raise UsageError, naming what differs, if a run's folder holds a run of another recipe, policy or data."""
    path = run.output / RUN_RECORD
    if not path.exists():
        return
    stored, plan = RunRecord.from_json(read_bytes(path), source=str(path)), run.plan
    differences = [
        *list_differences("recipe", list_settings(stored.recipe), list_settings(plan.recipe)),
        *list_differences("claims", list_policies(stored.policies), list_policies(plan.resolution.policies)),
    ]
    told = [f"{one.name}: {one.left} there, {one.right} now" for one in differences]
    if stored.data.fingerprint != plan.store.fingerprint:
        then, now = (f"{one.name} ({one.fingerprint})" for one in (stored.data, plan.store))
        told.append(f"data: {then} there, {now} now")
    if told:
        shown = list_some(told, at_most=MAX_SHOWN, separator="; ")
        raise UsageError(f"{run.output}: holds another study's run ({shown}); name a new folder with --output")


def train_seed(run: SeedRun, *, durability: Durability, voice: Voice) -> TrainedSeed:
    """Train one run to its end, or take it as it is if it is there."""
    if is_finished(run.output):
        voice.say(f"{run.output}: finished before")
        return describe(run, read_result(run.output, warnings=()), was_there=True)
    if has_diverged(run.output):
        voice.say(f"{run.output}: diverged before; the same seed would diverge again")
        return describe(run, None, was_there=True)
    is_begun = run.output.is_dir() and any(run.output.iterdir())
    own = replace(durability, resume=is_begun, again="the same command")
    try:
        return describe(run, train_chain(run.plan, output=run.output, durability=own, voice=voice), was_there=False)
    except DivergedError as error:
        voice.say(f"warning: {error}")
        mark_as_diverged(run.output, reason=str(error))
        return describe(run, None, was_there=False)


def describe(run: SeedRun, result: TrainingResult | None, *, was_there: bool) -> TrainedSeed:
    """Return a run's record; None is the result of one that diverged."""
    return TrainedSeed(
        seed=run.seed,
        path=run.output,
        identity=result.identity if result else None,
        value=result.claims[0].value if result else None,
        is_diverged=result is None,
        was_there=was_there,
    )
