"""Train a recipe into a run directory: policy first, then the steps, then the claims' values."""

import signal
from pathlib import Path

from hstu_preserve.compute.determinism import repeatable_arithmetic
from hstu_preserve.compute.machine import choose_device
from hstu_preserve.compute.world import join_world
from hstu_preserve.data.store import Store
from hstu_preserve.errors import LostProcessError
from hstu_preserve.gin_recipes.reader import GinChain
from hstu_preserve.gin_recipes.resolve import Resolution
from hstu_preserve.primitives.files import remove_leftovers
from hstu_preserve.primitives.progress import Announcer, Listener, ignore, say_nothing
from hstu_preserve.records.results import TrainingResult
from hstu_preserve.runs.beginning import open_run, require_unused
from hstu_preserve.runs.conductor import Conduct, Durability
from hstu_preserve.runs.same_run import list_changes
from hstu_preserve.runs.sealing import fix_policy, is_finished, read_result, require_redistributable, seal_run
from hstu_preserve.runs.signals import RunStopped, leave, listen_for_signals


def train_chain(
    chain: GinChain,
    resolution: Resolution,
    *,
    store: Store,
    output: Path,
    device: str = "auto",
    durability: Durability = Durability(),  # noqa: B008  frozen
    listener: Listener = ignore,
    announce: Announcer = say_nothing,
) -> TrainingResult:
    """Train what a gin chain resolved to on a store, and seal the run directory.

    Args:
        chain: Is copied into the run.
        resolution: What it resolved to.
        store: The data.
        output: The run directory; must not exist, or be empty, unless a run there is resumed.
        device: `auto`, `cpu` or `cuda`.
        durability: Whether to go on with the run in `output`, when checkpoints are written, and which stay.
        listener: Hears of every step and evaluation.
        announce: Is told where a resumed run goes on, and what was saved before leaving.

    Raises:
        DataMismatchError: The store is not the resumed run's.
        UsageError: The output is in use or holds another run, or data that may not be redistributed shall be included.
        CheckpointError: The run cannot be resumed, since none of its checkpoints is whole.
        UnavailableError: No torch, no such device, or the output cannot be written.
    """
    require_redistributable(resolution, store=store)
    if not durability.resume:
        require_unused(output)
    chosen = choose_device(device)
    with repeatable_arithmetic(tf32=resolution.recipe.training.enable_tf32), join_world(chosen) as world:
        if not world.is_first:
            announce, listener = say_nothing, ignore
        now = fix_policy(chain, resolution, store=store, device=chosen, num_processes=world.size)
        world.wait()  # until all have looked at the output
        warnings = tuple(str(warning) for warning in resolution.warnings)
        for warning in warnings:
            announce(f"warning: {warning}")
        with (
            open_run(
                output,
                now=now,
                chain=chain,
                store=store,
                is_resumed=durability.resume,
                world=world,
                announce=announce,
            ) as run,
            listen_for_signals(announce) as stop,
        ):
            if is_finished(output):
                announce(f"{output}: the run is finished; nothing is left to resume")
                return read_result(output, warnings=warnings)
            if world.is_first:
                remove_leftovers(output)
            conduct = Conduct(
                output,
                run=run,
                store=store,
                device=chosen,
                durability=durability,
                stop=stop,
                world=world,
                listener=listener,
            )
            if durability.resume:
                conduct.resume(changes=list_changes(run, now), announce=announce)
            try:
                results, checkpoint = conduct.complete()
            except (RunStopped, LostProcessError) as error:
                is_saved = stop.is_made and conduct.last_checkpoint is not None
                if isinstance(error, LostProcessError) and not is_saved:
                    advice = "the same command with --resume goes on from the newest checkpoint"
                    raise LostProcessError(f"{error}; {advice}") from None
                announce(f"{output}: saved; the same command with --resume goes on from here")
                leave(stop.signal_number or signal.SIGTERM)  # another process may have been the one to hear it
            if world.is_first:
                seal_run(output, run=run, results=results, checkpoint=checkpoint)
            world.wait()
    return read_result(output, warnings=warnings)
