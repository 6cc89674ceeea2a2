"""Say what no verdict on a bundle speaks of: rungs that were not asked for, and what is its author's word alone."""

from collections.abc import Sequence

AUTHORS_CHOICE = (
    "who made the bundle chose its data, its recipe and its claim, and the verdicts say what follows from them; "
    "docs/explanation/threats.md says what it can lie about unseen"
)
AUTHORS_WORD = (
    "the author's word alone: title, citation, environment, commit, other seeds, figures of earlier epochs, where the "
    "data came from, and that the claim's policy was fixed before the run"
)
TRAINING_NOT_ASKED = (
    "training was not asked for: a checkpoint that was trained on the test items passes evaluation and resume, too; "
    "--rung training trains the recipe anew"
)
FOREIGN_LIMIT = (
    "how the weights were trained was not asked: weights that were trained on the test items give their numbers, too; "
    "epoch and recipe are the author's word"
)


def list_limits(*, rungs: Sequence[str]) -> tuple[str, ...]:
    """Return what verdicts on a run's bundle leave open when these rungs were asked for."""
    asked = () if "training" in rungs else (TRAINING_NOT_ASKED,)
    return (*asked, AUTHORS_WORD, AUTHORS_CHOICE)
