"""One evaluation in memory: every user's rank, and the record that follows from them."""

from dataclasses import dataclass

from hstu_preserve.evaluation.ranks import UserRanks
from hstu_preserve.records.evaluation import EvaluationRecord


@dataclass(frozen=True, kw_only=True)
class Evaluated:
    """Every user's rank, and the record of the metrics."""

    ranks: UserRanks
    record: EvaluationRecord
