"""Record how long a run's files were when a checkpoint was written; a resumed run cuts them back to that length."""

from hstu_preserve.primitives.digests import Sha256
from hstu_preserve.primitives.numbers import AnyFloat, NaturalInt
from hstu_preserve.primitives.paths import BundlePath
from hstu_preserve.records.evaluation import EvaluationRecord, Resumption
from hstu_preserve.records.record import Record


class SelectedEpoch(Record):
    """The best epoch so far, by the recipe's selection rule."""

    epoch: NaturalInt
    checkpoint: BundlePath
    value: AnyFloat
    """Higher is better, whatever the metric's direction."""


class JournalRecord(Record):
    """What a run had written and found when a checkpoint was written."""

    event_bytes: NaturalInt
    """Length of the event file."""
    step_bytes: NaturalInt
    """Length of the recorded steps."""
    step_sha256: Sha256 | None = None
    """Of those bytes: other steps of the same length are another run's. None in journals of before."""
    epochs: tuple[EvaluationRecord, ...]
    best: SelectedEpoch | None
    resumptions: tuple[Resumption, ...]
