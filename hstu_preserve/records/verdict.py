"""The verdict on each rung: what was asked, what came out, on which evidence."""

from enum import StrEnum

from pydantic import Field

from hstu_preserve.primitives.numbers import NaturalInt
from hstu_preserve.records.evaluation_kind import EvaluationKind
from hstu_preserve.records.record import Record
from hstu_preserve.records.retraining.agreement import Agreement


class Rung(StrEnum):
    """One kind of evidence; verdicts on different rungs are never merged into a single tick."""

    BYTES = "bytes"
    SIGNER = "signer"
    CONSISTENCY = "consistency"
    RECORDED = "recorded"
    """Whether a reported number is the one that its own run wrote down."""
    EVALUATION_BITWISE = "evaluation-bitwise"
    EVALUATION_NUMERIC = "evaluation-numeric"
    RESUME_BITWISE = "resume-bitwise"
    RESUME_NUMERIC = "resume-numeric"
    TRAINING_BITWISE = "training-bitwise"
    TRAINING_NUMERIC = "training-numeric"
    """The recorded seed once more: whether it is the same run, as far as other arithmetic lets it be."""
    TRAINING_STATISTICAL = "training-statistical"
    """Other seeds: whether the recipe gives the number."""
    TRAJECTORY = "trajectory"
    """Whether retrainings follow the recorded curves: a diagnosis, which nothing depends on."""


class Outcome(StrEnum):
    """What came out on a rung."""

    REPRODUCED_BITWISE = "REPRODUCED_BITWISE"
    REPRODUCED_NUMERIC = "REPRODUCED_NUMERIC"
    REPRODUCED_STATISTICAL = "REPRODUCED_STATISTICAL"
    NOT_REPRODUCED = "NOT_REPRODUCED"
    INCONCLUSIVE = "INCONCLUSIVE"
    NOT_RUN = "NOT_RUN"


class Fact(Record):
    """One figure that a verdict rests on."""

    name: str
    value: str | int | float | bool | None


class Verdict(Record):
    """The outcome on one rung."""

    rung: Rung
    outcome: Outcome
    claim: str | None
    """The claim that was judged, by name; None where the rung judges no number."""
    reason: str
    """One sentence that a reader can check."""
    evidence: tuple[Fact, ...]
    is_required: bool
    """Whether the command's exit code depends on it: a bitwise rung is not required in another environment."""
    agreement: Agreement | None = Field(default=None, exclude_if=lambda agreement: agreement is None)
    """The runs and the interval that were judged; absent on rungs that judge none."""
    kind: EvaluationKind | None = Field(default=None, exclude_if=lambda kind: kind is None)
    """Of the claim's evaluation; absent if it is Meta's, and on rungs that judge no number."""

    @property
    def claim_of_kind(self) -> str | None:
        """The claim, and its kind of evaluation unless that is Meta's: `ndcg@10 (full, unfiltered)`."""
        return self.claim if self.claim is None or self.kind is None else f"{self.claim} ({self.kind.words})"

    @property
    def name(self) -> str:
        """The rung, and the claim that it judges: `training-statistical ndcg@10`."""
        return self.rung.value if self.claim is None else f"{self.rung.value} {self.claim_of_kind}"


class Cause(Record):
    """One change of how users are ranked, tried because their ranks are not the recorded ones."""

    change: str
    is_cause: bool
    """Whether every user so has the recorded target and rank."""
    users: NaturalInt
    users_matching: NaturalInt
    metric: str
    difference: float | None
    """How far the change moves the metric; None if no user was ranked in both ways."""
    standard_error: float | None
    """Of the difference, over users."""
    sentence: str


def list_facts(**values: str | float | bool | None) -> tuple[Fact, ...]:
    """Return the figures as facts, in the given order."""
    return tuple(Fact(name=name, value=value) for name, value in values.items())
