"""What holds of the ranks of every evaluation, and what two records of one evaluation have in common: everything."""

import numpy as np

from hstu_preserve.bundle.deep_checks import require_equal
from hstu_preserve.bundle.layout import RANKS
from hstu_preserve.errors import ContentError
from hstu_preserve.evaluation.one_evaluation import evaluators_agree
from hstu_preserve.evaluation.ranking import MISS
from hstu_preserve.evaluation.ranks import UserRanks
from hstu_preserve.records.evaluation import EvaluationRecord


def require_possible(ranks: UserRanks, *, num_candidates: int) -> None:
    """Raise ContentError if no evaluation among so many candidates gives these ranks."""
    if not len(ranks.ranks):
        raise ContentError(f"{RANKS}: of no user at all")
    laws = {
        "users occur once": len(np.unique(ranks.user_ids)) == len(ranks.user_ids),
        "exact ranks are among the candidates": is_within(ranks.ranks, 0, num_candidates),
        f"clamped ranks are 1 to {MISS}": is_within(ranks.ranks_topk, 1, MISS),
        "ties are fewer than candidates": is_within(ranks.near_ties, 0, num_candidates - 1),
        "exact ties are near-ties": is_within(ranks.ties, 0, num_candidates - 1)
        and bool((ranks.ties <= ranks.near_ties).all()),
        "both evaluators agree": evaluators_agree(ranks),
    }
    if broken := [law for law, holds in laws.items() if not holds]:
        raise ContentError(f"{RANKS}: impossible ranks (does not hold: {'; '.join(broken)})")


def is_within(values: np.ndarray, lowest: int, highest: int) -> bool:
    """Whether all values are in a range, its ends included."""
    return bool(((values >= lowest) & (values <= highest)).all())


def require_same_evaluation(what: str, *, expected: EvaluationRecord, found: EvaluationRecord) -> None:
    """Raise ContentError naming the first field in which two evaluations differ."""
    for name in type(expected).model_fields:
        one, other = getattr(expected, name), getattr(found, name)
        if name == "metrics":
            for metric in sorted(one.keys() | other.keys()):
                require_equal(f"{what}: {metric}", expected=one.get(metric), found=other.get(metric))
        require_equal(f"{what}: {name}", expected=one, found=other)
