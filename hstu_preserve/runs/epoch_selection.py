"""Select the epoch that is reported, by the validation part, and say when to stop waiting for a better one."""

from collections.abc import Mapping

from hstu_preserve.records.claim import ClaimPolicy, Direction
from hstu_preserve.runs.journal import SelectedEpoch


class EpochSelection:
    """The best epoch so far by the first claim's metric.

    Args:
        policy: The claim's.
        patience: Epochs without a better one after which the run ends; None never ends it.
    """

    def __init__(self, policy: ClaimPolicy, *, patience: int | None) -> None:
        self.policy = policy
        self.patience = patience
        self.best: SelectedEpoch | None = None
        self.best_when_saved: SelectedEpoch | None = None
        """The best when the last checkpoint was written; a run that goes back to that checkpoint needs it."""

    def offer(self, metrics: Mapping[str, float | None], *, epoch: int, checkpoint: str) -> bool:
        """Take an epoch as the best if it is better than any before; return whether it is.

        Args:
            metrics: Of the validation part.
            epoch: From 0.
            checkpoint: Where its checkpoint will be, in the run directory.
        """
        value = metrics[self.policy.metric]
        if value is None:
            return False
        value = value if self.policy.direction is Direction.MAXIMIZE else -value
        if self.best is not None and value <= self.best.value:
            return False
        self.best = SelectedEpoch(epoch=epoch, checkpoint=checkpoint, value=value)
        return True

    def is_stalled(self, epoch: int) -> bool:
        """Whether the patience is at its end."""
        return self.patience is not None and self.best is not None and epoch - self.best.epoch >= self.patience

    def restore(self, best: SelectedEpoch | None) -> None:
        """Go on with the best of a resumed run."""
        self.best = self.best_when_saved = best

    def note_saved(self) -> list[str]:
        """Say that a checkpoint was written, and return which checkpoints must stay: this best and the one before."""
        bests = dict.fromkeys(one.checkpoint for one in (self.best, self.best_when_saved) if one is not None)
        self.best_when_saved = self.best
        return list(bests)
