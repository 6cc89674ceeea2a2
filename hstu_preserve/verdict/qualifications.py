"""What keeps a training of ours from deciding a published claim, whatever number comes out."""

from hstu_preserve.records.catalog import CatalogEntry
from hstu_preserve.records.verdict import Outcome, Rung, Verdict

TRAINING_RUNGS = frozenset({Rung.TRAINING_NUMERIC, Rung.TRAINING_STATISTICAL})
"""Those that judge a claim's number."""
RECONSTRUCTION = "the recipe is our reconstruction, so that this says nothing of the archive's number"
NO_FINGERPRINT = (
    "the claim names no data fingerprint; the order among equal timestamps alone moves this metric by several margins"
)


def qualify(verdict: Verdict, entry: CatalogEntry | None) -> Verdict:
    """Return the verdict on a claim of a published experiment, INCONCLUSIVE if training cannot decide it.

    Another outcome than the claim's refutes nothing either: recipe or data may be others than the published ones.

    Args:
        verdict: Of a training, on one claim.
        entry: The published experiment that the bundle is of; None if it is of none.
    """
    if entry is None or verdict.rung not in TRAINING_RUNGS or verdict.outcome is Outcome.NOT_RUN:
        return verdict
    reasons = [verdict.reason]
    if not entry.recipe_is_published:
        reasons.append(RECONSTRUCTION)
    if entry.data_fingerprint is None:
        reasons.append(NO_FINGERPRINT)
    is_open = len(reasons) > 1
    if entry.best_of is not None:
        reasons.append(f"the published number is the best of {entry.best_of} by the test metric: a selection on test")
    outcome = Outcome.INCONCLUSIVE if is_open else verdict.outcome
    return verdict.model_copy(update={"outcome": outcome, "reason": "; ".join(reasons)})
