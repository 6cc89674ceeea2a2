"""How far ranks and metrics moved from the recorded ones, beside what other arithmetic explains."""

from dataclasses import asdict

import numpy as np

from hstu_preserve.evaluation.metrics import Values, list_contributions
from hstu_preserve.evaluation.ranks import Int64Array, UserRanks, compare_ranks
from hstu_preserve.verdict.rank_moves import Effect, RankMoves


def measure_moves(found: UserRanks, recorded: UserRanks, *, within: Int64Array) -> RankMoves:
    """Hold each user's rank against the recorded one.

    Rounding moves a rank past the candidates that score almost as the target does, and past no others: by both
    evaluators' ranks, so that no metric can be of other ranks than those that are compared.

    Args:
        found: The ranks of the re-run.
        recorded: Those of the bundle.
        within: Per user of the re-run, other candidates within the tolerance of the target's score.
    """
    comparison = compare_ranks(found, recorded)
    if not comparison.same_users:
        return RankMoves(**asdict(comparison), num_beyond=0, effects={})
    exact, clamped = np.abs(found.ranks - recorded.ranks), np.abs(found.ranks_topk - recorded.ranks_topk)
    return RankMoves(
        **asdict(comparison),
        num_beyond=int((np.maximum(exact, clamped) > within).sum()),
        effects=measure_effects(found, recorded),
    )


def measure_effects(found: UserRanks, recorded: UserRanks) -> dict[str, Effect]:
    """Return by metric how far its mean over the same users moved."""
    one, other = list_contributions(found), list_contributions(recorded)
    return {name: measure_effect(values, other[name]) for name, values in one.items()}


def measure_effect(found: Values, recorded: Values) -> Effect:
    """Return the mean of the users' differences; of nobody, 0."""
    change = found.astype(np.float64) - recorded.astype(np.float64)
    if not change.size:
        return Effect(difference=0.0, standard_error=0.0, num_users=0)
    error = float(change.std() / np.sqrt(change.size))
    return Effect(difference=float(change.mean()), standard_error=error, num_users=change.size)
