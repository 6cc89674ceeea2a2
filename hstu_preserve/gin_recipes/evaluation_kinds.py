"""Carry the kind of evaluation from its gin names into recipe and claims, each of which says one kind in one way."""

from collections.abc import Callable, Iterable
from dataclasses import replace

from hstu_preserve.gin_recipes.settings import Problems, Setting
from hstu_preserve.primitives.json_values import Json
from hstu_preserve.records.evaluation_kind import FILTERS, EvaluationKind, find_kind

KIND, FILTER = "eval.kind", "eval.filter_all_seen"


def settle_kind(settings: Iterable[Setting], problems: Problems) -> list[Setting]:
    """Return the settings of a recipe, with a kind that is a filter of seen items said by the filter alone.

    So a recipe from before there were kinds and the same one with its kind's name have one digest.
    """
    by_name = {setting.name: setting for setting in settings}
    named, filtered = by_name[KIND], by_name[FILTER]
    kind = as_kind(named.value)
    if kind not in FILTERS:
        return list(by_name.values())
    if filtered.location is not None and filtered.value is not FILTERS[kind]:
        problems.note(
            f"{named.location}, {filtered.location}: {KIND} {kind.value!r} contradicts {FILTER} = {filtered.value}; "
            f"leave {FILTER} out"
        )
    by_name[KIND], by_name[FILTER] = replace(named, value=None), replace(filtered, value=FILTERS[kind])
    return list(by_name.values())


def settle_claim(claimed: Setting, *, value_of: Callable[[str], Json], problems: Problems) -> Setting:
    """Return the setting of a claim's kind, which is that of the recipe's evaluation.

    Args:
        claimed: What the claim is bound to; None takes the recipe's.
        value_of: Gives the value of a setting of the recipe by its gin name.
        problems: Receives a claim of another kind: no number of one is judged by the other.
    """
    own = as_kind(value_of(KIND)) or find_kind(None, filter_all_seen=value_of(FILTER) is True)
    kind = as_kind(claimed.value)
    if kind is not None and kind is not own:
        problems.note(
            f"{claimed.location}: {claimed.name}: the claim is of {kind.value!r}, and the recipe evaluates "
            f"{own.value!r} ({KIND}); a number of one kind is not judged by another"
        )
    is_readable = claimed.value is None or kind is not None
    return replace(claimed, value=own.beyond_filter) if is_readable else claimed


def as_kind(value: Json) -> EvaluationKind | None:
    """Return the kind that a value names, None if it names none."""
    return next((kind for kind in EvaluationKind if kind == value), None)
