"""How the ranks of a re-run differ from the recorded ones: the evidence of the rungs of evaluation."""

import math
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class RankComparison:
    """How two evaluations of the same users differ.

    Attributes:
        num_users: Users compared.
        same_users: Whether both rank the same users against the same targets.
        num_moved: Users whose exact rank differs.
        num_moved_without_near_tie: Those of them that have no near-tie in either evaluation.
        largest_move: Largest difference of an exact rank.
    """

    num_users: int
    same_users: bool
    num_moved: int
    num_moved_without_near_tie: int
    largest_move: int


@dataclass(frozen=True, kw_only=True)
class Effect:
    """How far a metric is from the recorded one.

    Attributes:
        difference: Found less recorded, a mean over users.
        standard_error: Of that mean, as the users' own differences scatter.
        num_users: Over whom it is a mean.
    """

    difference: float
    standard_error: float
    num_users: int

    @property
    def error_by_chance(self) -> float:
        """The standard error of a mean of the same moves, if each were as likely to go up as down."""
        return math.sqrt(self.standard_error**2 + self.difference**2 / max(1, self.num_users))


@dataclass(frozen=True, kw_only=True)
class RankMoves(RankComparison):
    """How two evaluations of the same users differ, held against the candidates that score as the targets do.

    Attributes:
        num_beyond: Users whose rank moved by more places than there are candidates within the tolerance.
        effects: By metric; empty if other users were ranked.
    """

    num_beyond: int
    effects: Mapping[str, Effect]
