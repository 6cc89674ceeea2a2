"""The position of a run: its epochs and steps that are done."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Position:
    """How many epochs and steps of a run are done.

    Attributes:
        finished_epoch: The last epoch that is done and evaluated, from 0; -1 before the first.
        epoch_steps: Steps done of the epoch after it.
        batch_id: Steps done since the start of the run, as upstream counts them.
    """

    finished_epoch: int = -1
    epoch_steps: int = 0
    batch_id: int = 0

    def after_epoch(self) -> "Position":
        """Return the position once the epoch whose steps are done has been evaluated."""
        return Position(finished_epoch=self.finished_epoch + 1, epoch_steps=0, batch_id=self.batch_id)


START = Position()
