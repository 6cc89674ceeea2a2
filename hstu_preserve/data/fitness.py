"""Refuse a store that lacks what a recipe reads of it: times, or ratings."""

from hstu_preserve.data.store import Store
from hstu_preserve.errors import DataMismatchError
from hstu_preserve.records.recipe import Recipe

TIMED_MODELS = {
    "HSTU": "its attention bias is by time",
    "HSTU-TF": "its attention bias is by time",
    "TiSASRec": "its attention is by time",
}
"""The encoders that read when an event happened, and what for."""
TIMELESS_MODELS = "train_fn.main_module = 'SASRec', 'SASRec-TF' and 'FPARec' read none"


def require_what_is_read(recipe: Recipe, store: Store) -> None:
    """Raise DataMismatchError if a recipe reads times, or ratings, and a store has none."""
    reader = find_time_reader(recipe)
    if reader is not None and store.record.provenance.times == "order":
        raise DataMismatchError(
            f"{reader}, and {store.name} has no times: {store.record.provenance.source} tells the order only; take "
            f"data with times, or a recipe that reads none ({TIMELESS_MODELS})"
        )
    if recipe.action_fusion is not None and not store.half_stars.any():
        raise DataMismatchError(
            f"action_fusion.enabled True reads ratings, and {store.name} has none; turn it off, or take data with "
            "ratings"
        )


def find_time_reader(recipe: Recipe) -> str | None:
    """Return the gin name and value of a setting that reads times, and what for; None if the recipe reads none."""
    if recipe.time_decay is not None:
        return f"time_decay.mode '{recipe.time_decay.mode}' reads times"
    kind = recipe.model.kind
    return f"train_fn.main_module '{kind}' reads times ({TIMED_MODELS[kind]})" if kind in TIMED_MODELS else None
