"""Evaluate one checkpoint under other kinds than its recipe's: the same model, with numbers that do not compare."""

from collections.abc import Collection
from copy import copy

from hstu_preserve.data.split import Part
from hstu_preserve.data.store import Store
from hstu_preserve.errors import UnknownNameError
from hstu_preserve.evaluation.one_evaluation import evaluate_model
from hstu_preserve.model.recommender import Recommender
from hstu_preserve.primitives.voice import Voice
from hstu_preserve.records.evaluation import EvaluationRecord
from hstu_preserve.records.evaluation_kind import EvaluationKind

EVERY_KIND = "all"
Kinds = Collection[EvaluationKind]


def parse_kinds(names: Collection[str]) -> Kinds:
    """Return the kinds that are named, `all` being every one.

    Raises:
        UsageError: There is no such kind.
    """
    known = (*EvaluationKind, EVERY_KIND)
    for name in names:
        if name not in known:
            raise UnknownNameError(
                kind="kind of evaluation", name=name, known=known, hint=f"there are {', '.join(known)}"
            )
    return [kind for kind in EvaluationKind if kind in names or EVERY_KIND in names]


def evaluate_others(
    model: Recommender, store: Store, *, kinds: Kinds, epoch: int, voice: Voice
) -> tuple[EvaluationRecord, ...]:
    """Return the test evaluation under each kind but the recipe's own.

    Raises:
        ContentError: A sampled kind has fewer items than it draws.
    """
    others = [kind for kind in kinds if kind is not model.recipe.evaluation.effective_kind]
    return tuple(
        evaluate_model(as_kind(model, kind), store, part=Part.TEST, epoch=epoch, num_batches=None, voice=voice).record
        for kind in others
    )


def as_kind(model: Recommender, kind: EvaluationKind) -> Recommender:
    """Return the same weights under a recipe that evaluates otherwise."""
    other = copy(model)
    other.recipe = model.recipe.model_copy(update={"evaluation": model.recipe.evaluation.under(kind)})
    return other
