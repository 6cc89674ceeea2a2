"""One evaluation in memory: every user's rank, and the record that follows from them."""

from dataclasses import dataclass

from hstu_preserve.evaluation.ranks import BoolArray, Int64Array, UserRanks
from hstu_preserve.records.evaluation import EvaluationRecord


@dataclass(frozen=True, kw_only=True)
class Evaluated:
    """Every user's rank, and the record of the metrics.

    Attributes:
        ranks: Of all users that were evaluated.
        record: What follows from them.
        also: The same model under other kinds of evaluation.
        within: Per user, other candidates whose score is near the target's; None if nobody asked how many.
        is_checked: Per user, whether both evaluators ranked the target; else upstream's rank follows from the count.
    """

    ranks: UserRanks
    record: EvaluationRecord
    within: Int64Array | None
    is_checked: BoolArray
    also: tuple[EvaluationRecord, ...] = ()
