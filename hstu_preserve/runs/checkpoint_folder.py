"""Name, write, list and remove the checkpoints of a run."""

import re
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from pathlib import Path

from hstu_preserve.errors import CheckpointError, UnavailableError
from hstu_preserve.training.checkpoint import Content, write_checkpoint
from hstu_preserve.training.position import Position

NUM_FALLBACKS = 2
"""How many of the newest checkpoints always stay: the newest, and one to go back to if it turns out damaged."""


@dataclass(frozen=True, kw_only=True, order=True)
class Entry:
    """One checkpoint, as its name places it; later ones are larger.

    Attributes:
        batch_id: Steps done since the start of the run.
        is_epoch_end: Whether it stands at the end of an epoch, evaluated; else it only serves to continue.
        path: Of the file.
    """

    batch_id: int
    is_epoch_end: bool
    path: Path


class CheckpointFolder:
    """The checkpoints of one run.

    Args:
        root: The folder.
        name: The run's, before `_ep12` (after an epoch, upstream's form) or `_step345` (within one).
        steps_per_epoch: Of the run.
        num_kept: How many of the newest after an epoch are kept, beside the best; 0 keeps all.
    """

    def __init__(self, root: Path, *, name: str, steps_per_epoch: int, num_kept: int) -> None:
        self.root = root
        self.name = name
        self.steps_per_epoch = steps_per_epoch
        self.num_kept = num_kept
        self.unusable: set[Path] = set()
        """Found so when the run was resumed; written again, or removed once a newer whole one is."""

    def path_at(self, position: Position, *, is_epoch_end: bool) -> Path:
        """Return the name of the checkpoint at a position."""
        word = f"ep{position.finished_epoch}" if is_epoch_end else f"step{position.batch_id}"
        return self.root / f"{self.name}_{word}"

    def require_named(self, entry: Entry, position: Position) -> None:
        """Require that a checkpoint was written where its name says.

        Raises:
            CheckpointError: It was not.
        """
        named = self.path_at(position, is_epoch_end=entry.is_epoch_end)
        is_between_epochs = position.epoch_steps == 0
        if (named, position.batch_id) != (entry.path, entry.batch_id) or (entry.is_epoch_end and not is_between_epochs):
            raise CheckpointError(
                f"{entry.path}: written {position.batch_id} steps into the run, {position.epoch_steps} after epoch "
                f"{position.finished_epoch}, which is not what its name says"
            )

    def write(self, content: Content, *, position: Position, is_epoch_end: bool) -> Path:
        """Write a checkpoint, whole or not at all, and return where it is.

        Raises:
            UnavailableError: It cannot be written; the earlier ones stay.
        """
        path = self.path_at(position, is_epoch_end=is_epoch_end)
        write_checkpoint(path, content)
        self.unusable.discard(path)
        return path

    def prune(self, *, keep: AbstractSet[Path], is_finished: bool = False) -> None:
        """Remove checkpoints that are neither among the newest nor in `keep`, and those found unusable.

        Args:
            keep: Checkpoints that stay: the best.
            is_finished: Whether the run is done; no checkpoint is needed to go back to then.

        Raises:
            UnavailableError: A file cannot be removed.
        """
        entries = self.list_entries()
        whole = [entry.path for entry in entries if entry.path not in self.unusable]
        after_epochs = [entry.path for entry in entries if entry.is_epoch_end and entry.path in whole]
        kept = {*keep, *(after_epochs[: self.num_kept] if self.num_kept else after_epochs)}
        if not is_finished:
            kept.update(whole[:NUM_FALLBACKS])
        for entry in entries:
            if entry.path not in kept:
                self.remove(entry.path)

    def remove(self, path: Path) -> None:
        """Remove one checkpoint.

        Raises:
            UnavailableError: It cannot be removed.
        """
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise UnavailableError(f"{path}: cannot be removed ({error.strerror})") from None

    def list_entries(self) -> list[Entry]:
        """Return the run's checkpoints, the newest first."""
        entries = []
        for path in self.root.glob("*"):
            found = re.fullmatch(re.escape(self.name) + r"_(ep|step)([0-9]{1,18})", path.name)
            if found:
                is_epoch_end, number = found[1] == "ep", int(found[2])
                batch_id = (number + 1) * self.steps_per_epoch if is_epoch_end else number
                entries.append(Entry(batch_id=batch_id, is_epoch_end=is_epoch_end, path=path))
        return sorted(entries, reverse=True)
