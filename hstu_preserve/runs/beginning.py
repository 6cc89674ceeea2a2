"""Fix a run before its first step: one command writes the beginning once, and `--resume` finds it again."""

import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from hstu_preserve.bundle.layout import CONFIG_FOLDER, DATA_FOLDER, ENVIRONMENT, RUN_RECORD
from hstu_preserve.compute.world import World
from hstu_preserve.data.store import Store, open_store, verify_store, write_store
from hstu_preserve.errors import ContentError, MissingPathError, UnavailableError, UsageError
from hstu_preserve.primitives.files import read_bytes, write_atomically
from hstu_preserve.primitives.temporaries import list_leftovers
from hstu_preserve.primitives.voice import Voice
from hstu_preserve.records.manifest import RunRecord
from hstu_preserve.runs.lock import hold
from hstu_preserve.runs.plan import Plan
from hstu_preserve.runs.same_run import require_same_run


@contextmanager
def open_run(
    output: Path,
    *,
    now: RunRecord,
    plan: Plan,
    is_resumed: bool,
    world: World,
    voice: Voice,
) -> Iterator[RunRecord]:
    """Yield the record that was fixed before the first step; no other command trains into the output meanwhile.

    The first process of this one locks and writes for all.

    Raises:
        UsageError: Another command trains into it, it holds another run or something that is no run.
        DataMismatchError: It holds a run of other data.
        UnavailableError: It cannot be written.
    """
    with ExitStack() as stack:
        if world.is_first:
            stack.enter_context(hold(output, voice=voice))
            if not is_resumed:
                require_unused(output)  # again: another command may have begun since the first look
            if not (output / RUN_RECORD).exists():
                clear_beginning(output, run=now, store=plan.store)
                write_policy(output, run=now, plan=plan)
        world.wait()
        yield read_policy(output, now=now)


def read_policy(output: Path, *, now: RunRecord) -> RunRecord:
    """Return the record that was fixed before the first step.

    Raises:
        UsageError: It is another run than would begin now.
        DataMismatchError: It is of other data.
    """
    path = output / RUN_RECORD
    stored = RunRecord.from_json(read_bytes(path), source=str(path))
    require_same_run(stored, now, output=output)
    return stored


def require_unused(output: Path) -> None:
    """Raise UsageError if the output is in use."""
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        hint = " or go on with the run in it with --resume" if (output / RUN_RECORD).exists() else ""
        raise UsageError(f"{output}: exists and is not empty; name a new directory with --output{hint}")


def clear_beginning(output: Path, *, run: RunRecord, store: Store) -> None:
    """Remove files that a run was interrupted in writing before its first step.

    Raises:
        UsageError: The output holds more than such a run leaves; nothing is removed then.
        UnavailableError: Something cannot be removed.
    """
    halves = [half for name in (ENVIRONMENT, RUN_RECORD, DATA_FOLDER) for half in list_leftovers(output / name)]
    foreign = sorted(
        path.name
        for path in output.iterdir()
        if path not in halves
        and path.name not in {CONFIG_FOLDER, ENVIRONMENT}
        and not (path.name == DATA_FOLDER and run.data.included and is_copy(path, store=store))
    )
    if foreign:
        raise UsageError(
            f"{output}: holds {foreign[0]} and no {RUN_RECORD}, so it is no run that could be resumed; "
            "name a new directory with --output"
        )
    for half in halves:
        try:
            shutil.rmtree(half) if half.is_dir() else half.unlink()
        except OSError as error:
            raise UnavailableError(f"{half}: cannot be removed ({error.strerror})") from None


def is_copy(path: Path, *, store: Store) -> bool:
    """Whether a whole copy of the store is there."""
    try:
        copy = open_store(path)
        verify_store(copy)
    except (MissingPathError, ContentError):
        return False
    return copy.record == store.record


def write_policy(output: Path, *, run: RunRecord, plan: Plan) -> None:
    """Write policy, environment, gin chain and, if the bundle includes it, the data, before the first step."""
    for path, content in plan.chain.files:
        write_atomically(output / CONFIG_FOLDER / path, content)
    if run.data.included and not (output / DATA_FOLDER).exists():
        write_store(plan.store, output / DATA_FOLDER)
    write_atomically(output / ENVIRONMENT, run.environment.to_json())
    # Last: a directory that holds it holds everything else that was fixed before the first step.
    write_atomically(output / RUN_RECORD, run.to_json())
