"""Record how far runs are: one that is not finished, and those in a folder."""

from enum import StrEnum
from pathlib import Path

from pydantic import Field

from hstu_preserve.primitives.digests import Sha256
from hstu_preserve.primitives.numbers import NaturalInt, Share
from hstu_preserve.records.claim import MetricName
from hstu_preserve.records.evaluation_kind import EvaluationKind
from hstu_preserve.records.manifest import RunRecord
from hstu_preserve.records.record import Record


class RunState(StrEnum):
    """How far a run is."""

    FINISHED = "finished"
    UNFINISHED = "unfinished"
    """It can go on."""
    TRAINING = "training"
    """A process trains into it now."""
    DIVERGED = "diverged"
    """A loss became NaN or infinite; it cannot go on."""
    PACKED = "packed"
    """A bundle."""
    UNREADABLE = "unreadable"
    """Damaged, or of another program."""


class CurvePoint(Record):
    """A metric after one epoch."""

    epoch: NaturalInt
    value: Share


class ShownRun(Record):
    """A run directory that has no manifest yet, as its logs describe it; nothing vouches for them."""

    target: str
    path: Path
    state: RunState
    run: RunRecord
    num_steps: NaturalInt
    """Recorded so far."""
    metric: MetricName
    curve: tuple[CurvePoint, ...]
    """As its event file has it."""
    resume: str | None
    """What goes on with it, to be typed; None if it cannot or need not go on."""


class ListedRun(Record):
    """One run or bundle of a folder."""

    path: Path
    state: RunState
    title: str
    seed: NaturalInt | None
    """None of a bundle that was migrated from a legacy archive, and of one that cannot be read."""
    identity: Sha256 | None
    """Of its manifest; None if it has none yet."""
    epochs_done: NaturalInt | None
    num_epochs: NaturalInt | None
    ndcg10: Share | None
    """Of the final evaluation, or of the last epoch so far; None if it is not known without unpacking."""
    kind: EvaluationKind | None = Field(default=None, exclude_if=lambda kind: kind is None)
    """The kind of evaluation of `ndcg10`; absent if it is Meta's, or if there is no number."""
    resume: str | None
    """What goes on with it, to be typed; None if it cannot or need not go on."""
    problem: str | None
    """Why it cannot be read."""


class RunListing(Record):
    """The runs and bundles in a folder, and in the folders of studies within it."""

    path: Path
    runs: tuple[ListedRun, ...]
    left_out: NaturalInt
    """How many more there are than are listed."""
