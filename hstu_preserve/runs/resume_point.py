"""Find the newest checkpoint of a run that is whole, and whose logs are."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Never

import numpy as np

from hstu_preserve.bundle.layout import EVENTS_FOLDER, STEPS
from hstu_preserve.compute.world import World
from hstu_preserve.errors import (
    CheckpointError,
    ContentError,
    DataMismatchError,
    MissingPathError,
    UnavailableError,
    UsageError,
)
from hstu_preserve.event_files.reader import ScalarPoint, read_beginning
from hstu_preserve.primitives.digests import sha256_of_bytes
from hstu_preserve.primitives.files import read_bytes
from hstu_preserve.primitives.voice import Voice
from hstu_preserve.records.manifest import RunRecord
from hstu_preserve.runs.checkpoint_folder import CheckpointFolder, Entry
from hstu_preserve.runs.journal import JournalRecord
from hstu_preserve.runs.logs import EVENT_FILES, LOSS_TAG, find_event_file
from hstu_preserve.training.checkpoint import JOURNAL, Checkpoint, read_checkpoint, read_position


@dataclass(frozen=True, kw_only=True)
class ResumePoint:
    """A checkpoint that a run can go on from.

    Attributes:
        checkpoint: The state.
        journal: The lengths of the logs then, and the findings until then.
    """

    checkpoint: Checkpoint
    journal: JournalRecord


def find_resume_point(folder: CheckpointFolder, *, output: Path, run: RunRecord, voice: Voice) -> ResumePoint | None:
    """Return the newest checkpoint that is whole and whose logs are, None if none was written yet.

    Raises:
        UsageError, DataMismatchError: A checkpoint is of another run.
        CheckpointError: There are checkpoints and none of them can be used; the newest is named, all are announced.
        ContentError: There are checkpoints, and the logs that each of them goes on with are gone.
        UnavailableError: One cannot be read.
    """
    problems: list[str] = []
    entries = folder.list_entries()
    if entries:
        require_logs(output, name=folder.name)
    for entry in entries:
        if problems:
            voice.say(f"warning: {problems[-1]}; going back to {entry.path.name}")
        try:
            point = read_resume_point(entry, output=output, name=folder.name)
            folder.require_named(entry, read_position(point.checkpoint))
        except (CheckpointError, ContentError, MissingPathError) as error:
            problems.append(str(error))
            folder.unusable.add(entry.path)
            continue
        # Not among the problems: it is whole, so that going back to an older one would hide a mix-up of runs.
        require_own(point.checkpoint, run=run)
        return point
    if problems:
        refuse_all(problems, output=output, voice=voice)
    return None


def refuse_all(problems: list[str], *, output: Path, voice: Voice) -> Never:
    """Raise CheckpointError for the newest checkpoint's problem; those of older ones but the last were said before.

    Args:
        problems: One per checkpoint, the newest first.
        output: The run directory.
        voice: Says the last problem, if there are several.
    """
    more = f" and {len(problems) - 1} more, as said" if len(problems) > 1 else ""
    if more:
        voice.say(f"warning: {problems[-1]}")
    raise CheckpointError(
        f"{output}: cannot be resumed, no checkpoint is usable ({problems[0]}{more}); start again in a new directory"
    )


def require_logs(output: Path, *, name: str) -> None:
    """Require the logs that every checkpoint goes on with: a run without its losses is not the run that was begun.

    Raises:
        ContentError: Recorded steps or event file are gone, or there are several event files.
    """
    folder = output / EVENTS_FOLDER / name
    num_event_files = len(list(folder.glob(EVENT_FILES)))
    wrong = [] if (output / STEPS).is_file() else [f"{STEPS} is not there"]
    if num_event_files != 1:
        wrong.append(f"{EVENTS_FOLDER}/{name} holds {num_event_files} event files, expected the one of this run")
    if wrong:
        raise ContentError(
            f"{output}: cannot be resumed from any checkpoint ({'; '.join(wrong)}); "
            "put back what is missing, or train again into a new directory"
        )


def require_one_view(point: ResumePoint | None, *, output: Path, world: World) -> None:
    """Require that all processes go on from one checkpoint: each reads the directory for itself.

    Raises:
        UnavailableError: They do not see the same.
    """
    seen = world.gather("the beginning" if point is None else point.checkpoint.path.name)
    if len(set(seen)) > 1:
        names = ", ".join(f"process {rank}: {name}" for rank, name in enumerate(seen))
        raise UnavailableError(
            f"{output}: the processes do not see the same checkpoints ({names}); "
            "wait until the file system shows all of them the same files, or give them one that does"
        )


def read_resume_point(entry: Entry, *, output: Path, name: str) -> ResumePoint:
    """Return a checkpoint with its journal, once the logs reach as far as the journal says.

    Raises:
        CheckpointError: The checkpoint is damaged, or has no journal.
        ContentError: The event file or the recorded steps are damaged before that place.
        MissingPathError: They are not there.
    """
    path = entry.path
    checkpoint = read_checkpoint(path)
    text = checkpoint.content.get(JOURNAL)
    if not isinstance(text, str):
        raise CheckpointError(f"{path}: holds no journal, so it cannot be resumed from")
    try:
        journal = JournalRecord.from_json(text.encode(), source=f"{path}: {JOURNAL}")
    except ContentError as error:
        raise CheckpointError(str(error)) from None
    position = read_position(checkpoint)
    event_file = find_event_file(output, name=name)
    points = read_beginning(event_file, length=journal.event_bytes)
    lines = read_bytes(output / STEPS)[: journal.step_bytes]
    if len(lines) < journal.step_bytes or lines.count(b"\n") != position.batch_id:
        raise ContentError(f"{output / STEPS}: does not hold the {position.batch_id} steps before {path.name}")
    if journal.step_sha256 not in {None, sha256_of_bytes(lines)}:
        raise ContentError(f"{output / STEPS}: holds other steps than those before {path.name}, as of another run")
    require_same_losses(points, lines, event_file=event_file, steps=output / STEPS)
    if journal.best is not None and output / journal.best.checkpoint != path:
        require_best(output / journal.best.checkpoint, epoch=journal.best.epoch, path=path)
    return ResumePoint(checkpoint=checkpoint, journal=journal)


def require_same_losses(points: Iterable[ScalarPoint], lines: bytes, *, event_file: Path, steps: Path) -> None:
    """Require that the event file shows the losses that were recorded step by step: both are one run's then.

    Args:
        points: Of the event file.
        lines: The recorded steps.
        event_file: For the message.
        steps: For the message.

    Raises:
        ContentError: It shows others, or the recorded steps are none.
    """
    shown = [single_precision(point.value) for point in points if point.tag == LOSS_TAG]
    try:
        recorded = [single_precision(float.fromhex(json.loads(line)["loss"])) for line in lines.splitlines()]
    except (ValueError, KeyError, TypeError, OverflowError):
        raise ContentError(f"{steps}: holds lines that are no recorded steps") from None
    if shown != recorded:
        raise ContentError(f"{event_file}: shows other losses than {steps} holds, as of another run")


def single_precision(value: float) -> str:
    """Return a value, as event files keep it, as text: NaN equals itself there."""
    with np.errstate(over="ignore"):
        return float(np.float32(value)).hex()


def require_best(best: Path, *, epoch: int, path: Path) -> None:
    """Require the checkpoint that may be reported: without it, all further training would be for nothing.

    Raises:
        CheckpointError: The best checkpoint until `path` is gone, damaged or of another epoch.
    """
    try:
        found = read_checkpoint(best).epoch
    except (CheckpointError, MissingPathError) as error:
        raise CheckpointError(f"{path}: the best checkpoint until then cannot be used ({error})") from None
    if found != epoch:
        raise CheckpointError(f"{path}: the best checkpoint until then, {best.name}, is of epoch {found}, not {epoch}")


def require_own(checkpoint: Checkpoint, *, run: RunRecord) -> None:
    """Require a checkpoint of this run.

    Raises:
        UsageError: Of another recipe or number of processes.
        DataMismatchError: Of another dataset.
    """
    if checkpoint.recipe_sha256 != run.recipe_sha256:
        raise UsageError(
            f"{checkpoint.path}: of another recipe ({checkpoint.recipe_sha256}, this run's is {run.recipe_sha256})"
        )
    if checkpoint.data_fingerprint != run.data.fingerprint:
        raise DataMismatchError(
            f"{checkpoint.path}: of other data (fingerprint {checkpoint.data_fingerprint}, this run's is "
            f"{run.data.fingerprint})"
        )
    numerics = run.environment.numerics
    found = checkpoint.content.get("world_size")
    if numerics is not None and found != numerics.processes:
        raise UsageError(f"{checkpoint.path}: of a run with {found} processes, this one has {numerics.processes}")
