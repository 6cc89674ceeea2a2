"""Collect the findings of a run for every checkpoint's journal and for the results at the end."""

from pathlib import Path

from hstu_preserve.evaluation.evaluated import Evaluated
from hstu_preserve.records.evaluation import EvaluationRecord, ResultsRecord, Resumption
from hstu_preserve.records.manifest import RunRecord
from hstu_preserve.runs.epoch_selection import EpochSelection
from hstu_preserve.runs.journal import JournalRecord


class RunHistory:
    """The evaluations of a run's epochs, the best epoch, and where the run went on in another environment.

    Args:
        record: Fixed before the first step; its first claim selects the best epoch.
    """

    def __init__(self, record: RunRecord) -> None:
        self.epochs: list[EvaluationRecord] = []
        self.selection = EpochSelection(record.policies[0], patience=record.recipe.training.patience)
        self.resumptions: list[Resumption] = []

    @property
    def newest_ndcg(self) -> float | None:
        """ndcg@10 of the last epoch that was evaluated."""
        return self.epochs[-1].metrics["ndcg@10"] if self.epochs else None

    def restore(self, journal: JournalRecord) -> None:
        """Take up the findings of a run as they were when a checkpoint was written."""
        self.epochs = list(journal.epochs)
        self.selection.restore(journal.best)
        self.resumptions = list(journal.resumptions)

    def to_journal(self, *, event_bytes: int, step_bytes: int, step_sha256: str) -> JournalRecord:
        """Return the journal of a checkpoint that is written while the logs have these lengths and this digest."""
        return JournalRecord(
            event_bytes=event_bytes,
            step_bytes=step_bytes,
            step_sha256=step_sha256,
            epochs=tuple(self.epochs),
            best=self.selection.best,
            resumptions=tuple(self.resumptions),
        )

    def to_results(self, final: Evaluated, *, state_sha256: str) -> ResultsRecord:
        """Return the results of the finished run.

        Args:
            final: The evaluation that the claims rest on.
            state_sha256: Digest of the state in the last checkpoint.
        """
        return ResultsRecord(
            epochs=tuple(self.epochs),
            final=final.record,
            state_sha256=state_sha256,
            resumptions=tuple(self.resumptions),
        )

    def find_selected(self, output: Path) -> Path | None:
        """Return the best epoch's checkpoint in the run directory, None if no epoch was selected."""
        best = self.selection.best
        return output / best.checkpoint if best else None
