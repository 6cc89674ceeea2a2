"""Train a recipe into a run directory: policy first, then the steps, then the claims' values."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hstu_preserve.bundle.destinations import require_writable
from hstu_preserve.bundle.layout import CHECKPOINT_FOLDER
from hstu_preserve.compute.determinism import repeatable_arithmetic
from hstu_preserve.compute.machine import choose_device
from hstu_preserve.compute.processes import find_processes
from hstu_preserve.compute.world import join_world
from hstu_preserve.errors import LostProcessError
from hstu_preserve.evaluation.paths import choose_ranking_path
from hstu_preserve.primitives.files import refuse_unwritable
from hstu_preserve.primitives.leaving import leave
from hstu_preserve.primitives.temporaries import remove_abandoned_below
from hstu_preserve.primitives.voice import SILENT, Voice
from hstu_preserve.records.evaluation import ResultsRecord
from hstu_preserve.records.manifest import RunRecord
from hstu_preserve.records.results import TrainingResult
from hstu_preserve.runs.beginning import open_run, require_unused
from hstu_preserve.runs.checkpoint_folder import CheckpointFolder
from hstu_preserve.runs.completion import complete
from hstu_preserve.runs.durability import Durability
from hstu_preserve.runs.history import RunHistory
from hstu_preserve.runs.opened_run import OpenedRun
from hstu_preserve.runs.plan import Plan
from hstu_preserve.runs.resuming import resume
from hstu_preserve.runs.same_run import list_changes
from hstu_preserve.runs.sealing import (
    fix_policy,
    is_finished,
    read_result,
    require_claimable,
    require_includable,
    seal_run,
)
from hstu_preserve.runs.signals import RunStopped, StopRequest, listen_for_signals
from hstu_preserve.training.loop import (
    TrainingRun,
    describe_need,
    find_training_users,
    select_training_events,
)
from hstu_preserve.training.run_names import model_string


def train_chain(
    plan: Plan,
    *,
    output: Path,
    durability: Durability = Durability(),  # noqa: B008  frozen
    voice: Voice = SILENT,
) -> TrainingResult:
    """Train the recipe of a plan into a run directory, and seal it.

    Args:
        plan: The gin chain, the data and the device.
        output: The run directory; must not exist, or be empty, unless a run there is resumed.
        durability: Whether to go on with the run in `output`, when checkpoints are written, and which stay.
        voice: Shows every step and evaluation; says where a resumed run goes on, and what was saved before leaving.

    Raises:
        DataMismatchError: The store is not the resumed run's.
        UsageError: The output is in use or holds another run, or data that may not be redistributed shall be included.
        CheckpointError: The run cannot be resumed, since none of its checkpoints is whole.
        ContentError: No user has enough events to be trained on, or the loss became NaN or infinite.
        UnavailableError: No torch, no such device, or the output cannot be written.
    """
    require_includable(plan.resolution, store=plan.store)
    require_claimable(plan.resolution, store=plan.store)
    with refuse_unwritable(output):  # a name that is too long, say
        if not durability.resume:
            require_unused(output)
        is_new = not output.exists()
    if is_new:
        require_writable(output, option="--output")
    heard = voice if find_processes().rank == 0 else SILENT
    device = choose_device(plan.device)
    ranking_path = plan.ranking_path or choose_ranking_path(device.type)
    require_trainable(plan, voice=heard)
    stop = StopRequest(heard)
    with (
        repeatable_arithmetic(tf32=plan.recipe.training.enable_tf32),
        join_world(device, say=voice.say, heed=stop.heed) as world,
    ):
        now = fix_policy(plan, device=device, num_processes=world.size)
        world.wait()  # until all have looked at the output
        for warning in plan.warnings:
            heard.say(f"warning: {warning}")
        with (
            open_run(output, now=now, plan=plan, is_resumed=durability.resume, world=world, voice=heard) as record,
            listen_for_signals(stop),
        ):
            run = OpenedRun(
                output=output,
                record=record,
                store=plan.store,
                device=device,
                ranking_path=ranking_path,
                world=world,
                stop=stop,
                voice=heard,
            )
            if is_finished(output):
                heard.say(f"{output}: the run is finished; nothing is left to resume")
            else:
                train_and_seal(run, now=now, durability=durability)
    return read_result(output, warnings=plan.warnings)


def require_trainable(plan: Plan, *, voice: Voice) -> None:
    """Require that somebody can be trained on, before anything is written; say how many cannot.

    Raises:
        ContentError: No user has enough events.
    """
    users = find_training_users(select_training_events(plan.store, plan.recipe), store=plan.store, recipe=plan.recipe)
    num_left_out = plan.store.num_users - len(users)
    if num_left_out:
        voice.say(
            f"{num_left_out} of {plan.store.num_users} users are left out of training, which needs "
            f"{describe_need(plan.recipe)}"
        )


def train_and_seal(run: OpenedRun, *, now: RunRecord, durability: Durability) -> None:
    """Train an opened run from its beginning or its newest checkpoint to its end, and seal it.

    Args:
        run: The run directory.
        now: The record that would be fixed before the first step if the run began now.
        durability: Whether to go on with the run, when checkpoints are written, and which stay.
    """
    if run.world.is_first:
        remove_abandoned_below(run.output)
    training = TrainingRun(
        run.recipe, run.store, device=run.device, world=run.world, path=run.record.environment.training_path
    )
    folder = CheckpointFolder(
        run.output / CHECKPOINT_FOLDER,
        name=model_string(run.recipe),
        steps_per_epoch=training.steps_per_epoch,
        num_kept=durability.num_kept,
    )
    with leaving_when_stopped(run, folder=folder, again=durability.again):
        results, checkpoint = go_on(run, now=now, durability=durability, training=training, folder=folder)
        if run.world.is_first:
            seal_run(run.output, run=run.record, results=results, checkpoint=checkpoint)
        run.world.wait()  # until the first one has sealed what all read next


def go_on(
    run: OpenedRun, *, now: RunRecord, durability: Durability, training: TrainingRun, folder: CheckpointFolder
) -> tuple[ResultsRecord, Path]:
    """Train from the beginning or, if a run is resumed, its newest checkpoint; return the results and what is reported.

    Raises:
        RunStopped, LostProcessError: The run can be resumed.
    """
    history = RunHistory(run.record)
    point = None
    if durability.resume:
        changes = list_changes(run.record, now)
        point = resume(run, training=training, folder=folder, history=history, changes=changes)
    return complete(run, training=training, folder=folder, history=history, point=point, minutes=durability.minutes)


@contextmanager
def leaving_when_stopped(run: OpenedRun, *, folder: CheckpointFolder, again: str) -> Iterator[None]:
    """Say how to go on with a run that was left before its end, and leave as the signal asks for.

    Raises:
        LostProcessError: Another process is gone, and nobody asked for it.
        KeyboardInterrupt, SystemExit: Somebody asked the run to stop.
    """
    try:
        yield
    except (RunStopped, LostProcessError) as error:
        if isinstance(error, LostProcessError) and not run.stop.is_made:
            advice = f"{again} goes on from the newest checkpoint"
            raise LostProcessError(f"{error}; {advice}") from None
        if folder.list_entries():
            run.voice.say(f"{run.output}: saved; {again} goes on from here")
        else:
            run.voice.say(f"{run.output}: left before its first checkpoint; {again} begins it anew")
        leave(run.stop.signal_number or signal.SIGTERM)  # another process may have been the one to hear it
