"""The kinds of evaluation: among which items a target is ranked. Numbers of different kinds are never compared."""

from enum import StrEnum
from typing import Annotated

from pydantic import AfterValidator

NUM_SAMPLED = 100
"""Items that are drawn for each user, beside the target, as SASRec and TiSASRec draw them."""


class EvaluationKind(StrEnum):
    """Which items a user's target is ranked among; the same model has another `ndcg@10` under each kind."""

    WINDOW = "full-window-filtered"
    """All candidates but the items that the model reads (Meta)."""
    ALL_SEEN = "full-all-seen-filtered"
    """All candidates but the user's whole history (HSTU-Tensorflow)."""
    UNFILTERED = "full-unfiltered"
    """All candidates, those of the history too (FPARec)."""
    SAMPLED_UNSEEN = "sampled-100-training-excluded"
    """The target and 100 items drawn outside the user's training items; the target may be drawn again (SASRec)."""
    SAMPLED_UNKNOWN = "sampled-100-held-out-excluded"
    """The target and 100 items drawn outside everything up to the target, itself included (TiSASRec)."""

    @property
    def words(self) -> str:
        """The kind, as tables and sentences name it."""
        return WORDS[self]

    @property
    def is_sampled(self) -> bool:
        """Whether the target is ranked among few items that were drawn, not among all."""
        return self in {EvaluationKind.SAMPLED_UNSEEN, EvaluationKind.SAMPLED_UNKNOWN}

    @property
    def beyond_filter(self) -> "EvaluationKind | None":
        """The kind if a record must name it; None if the record's `filter_all_seen` says it."""
        return None if self in FILTERS else self


WORDS = {
    EvaluationKind.WINDOW: "full, window filtered",
    EvaluationKind.ALL_SEEN: "full, all seen filtered",
    EvaluationKind.UNFILTERED: "full, unfiltered",
    EvaluationKind.SAMPLED_UNSEEN: f"sampled {NUM_SAMPLED}, training items excluded",
    EvaluationKind.SAMPLED_UNKNOWN: f"sampled {NUM_SAMPLED}, training and held-out items excluded",
}
FILTERS = {EvaluationKind.WINDOW: False, EvaluationKind.ALL_SEEN: True}
"""The kinds that a record without a kind has, by its `filter_all_seen`."""
NOT_COMPARABLE = "numbers of different kinds of evaluation are not comparable"


def require_beyond_filter(kind: EvaluationKind) -> EvaluationKind:
    """Return a kind that `filter_all_seen` cannot say: one evaluation has one text, so that its digest names it."""
    if kind in FILTERS:
        raise ValueError(f"is {kind.value}, which filter_all_seen says")
    return kind


NamedKind = Annotated[EvaluationKind, AfterValidator(require_beyond_filter)]


def find_kind(named: EvaluationKind | None, *, filter_all_seen: bool) -> EvaluationKind:
    """Return the kind of a record from the two fields that say it."""
    return named or (EvaluationKind.ALL_SEEN if filter_all_seen else EvaluationKind.WINDOW)


def require_one_filter(named: EvaluationKind | None, *, filter_all_seen: bool, section: str) -> None:
    """Raise ValueError if a record names a kind and a filter, of which that kind has none."""
    if named is not None and filter_all_seen:
        raise ValueError(f"{section}filter_all_seen True contradicts {section}kind {named.value}")
