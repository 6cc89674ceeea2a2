"""Save a run while it trains: write checkpoints with their journals, and remove those that are not kept."""

import time
from pathlib import Path

from hstu_preserve.runs.checkpoint_folder import CheckpointFolder
from hstu_preserve.runs.history import RunHistory
from hstu_preserve.runs.logs import RunLogs
from hstu_preserve.runs.opened_run import OpenedRun
from hstu_preserve.training.checkpoint import JOURNAL, capture_state
from hstu_preserve.training.loop import TrainingRun
from hstu_preserve.training.position import Position


class Saver:
    """Writes a run's checkpoints and removes those that are not kept.

    Args:
        run: Where they belong.
        training: The loop whose state is saved.
        folder: The checkpoints on the disk.
        history: What the run has found so far, for the journal.
        logs: Whose lengths the journal records; None on a process that writes neither logs nor checkpoints.
        minutes: Time after which a checkpoint is due within an epoch.
        newest: The checkpoint that the run goes on from, if there is one.
    """

    def __init__(
        self,
        run: OpenedRun,
        *,
        training: TrainingRun,
        folder: CheckpointFolder,
        history: RunHistory,
        logs: RunLogs | None,
        minutes: float,
        newest: Path | None,
    ) -> None:
        self.run = run
        self.training = training
        self.folder = folder
        self.history = history
        self.logs = logs
        self.minutes = minutes
        self.newest = newest
        """The newest that was written or read, on every process, though only the first one writes."""
        self.saved_at = time.monotonic()

    @property
    def is_due(self) -> bool:
        """Whether the last checkpoint is too long ago."""
        return time.monotonic() - self.saved_at >= 60 * self.minutes

    def save(self, position: Position, *, is_epoch_end: bool) -> None:
        """Write the state and where the logs stand, once these are on the disk; then remove what is not kept.

        Raises:
            UnavailableError: It cannot be written; the earlier checkpoints stay.
        """
        self.saved_at = time.monotonic()
        self.newest = self.folder.path_at(position, is_epoch_end=is_epoch_end)
        if self.logs is None:
            return
        # The logs first: a journal must never promise more than a power failure would leave of them.
        event_bytes, step_bytes = self.logs.sync()
        journal = self.history.to_journal(
            event_bytes=event_bytes, step_bytes=step_bytes, step_sha256=self.logs.step_digest.hexdigest()
        )
        content = self.capture(position) | {JOURNAL: journal.to_json().decode()}
        self.folder.write(content, position=position, is_epoch_end=is_epoch_end)
        self.folder.prune(keep={self.run.output / name for name in self.history.selection.note_saved()})

    def capture(self, position: Position) -> dict[str, object]:
        """Return the state that the run is in, named as if it were at `position`."""
        return capture_state(
            self.training.model,
            self.training.optimizer,
            position=position,
            recipe=self.run.recipe,
            data_fingerprint=self.run.store.fingerprint,
            world_size=self.run.world.size,
        )
