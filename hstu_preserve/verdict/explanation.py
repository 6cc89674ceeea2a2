"""Say why ranks are not the recorded ones: the one change under which every user has the recorded rank."""

from collections.abc import Sequence
from dataclasses import dataclass

from hstu_preserve.records.verdict import Cause
from hstu_preserve.verdict.rank_moves import Effect

NUM_MOVERS = 3
"""Changes that are named beside a training that gave another number."""


@dataclass(frozen=True, kw_only=True)
class Trial:
    """Users that were ranked with one thing changed.

    Attributes:
        change: What was changed, in words.
        num_matching: Users with the recorded target and rank.
        num_users: Of whom.
        effect: On the metric, by the change alone; None if no user was ranked in both ways.
    """

    change: str
    num_matching: int
    num_users: int
    effect: Effect | None

    @property
    def is_whole(self) -> bool:
        """Whether every user has the recorded rank."""
        return 0 < self.num_users == self.num_matching

    @property
    def share(self) -> float:
        """Of the users, those with the recorded rank."""
        return self.num_matching / max(1, self.num_users)

    @property
    def percent(self) -> int:
        """The share in whole percent; 100 only of all users."""
        return 100 * self.num_matching // max(1, self.num_users)


def name_cause(trial: Trial, *, metric: str) -> Cause:
    """Return the change that gives every user the recorded rank."""
    users = f"{trial.num_matching} of {trial.num_users} users have the recorded rank"
    sentence = f"cause: {trial.change}; so ranked, {users}{describe_effect(trial.effect, metric=metric)}"
    return make_cause(trial, is_cause=True, metric=metric, sentence=sentence)


def name_nearest(trials: Sequence[Trial], *, as_it_is: Trial, metric: str, remarks: Sequence[str]) -> Cause:
    """Return that no single change gives the recorded ranks, and which one comes nearest to it.

    Means mislead here: another checkpoint and another order of ties can give the same mean. So users are counted.

    Args:
        trials: With one thing changed each.
        as_it_is: With nothing changed.
        metric: That effects are on.
        remarks: What could not be tried, in words.
    """
    nearest = max(trials, key=lambda trial: trial.share, default=as_it_is)
    if nearest.share > as_it_is.share:
        effect = describe_effect(nearest.effect, metric=metric)
        said = f"nearest: {nearest.change} ({nearest.percent} % of users){effect}"
    else:
        nearest = as_it_is
        said = f"none comes nearer than nothing changed ({as_it_is.percent} % of users)"
    sentence = "; ".join([f"no single change gives the recorded ranks; {said}", *remarks])
    return make_cause(nearest, is_cause=False, metric=metric, sentence=sentence)


def name_movers(trials: Sequence[Trial], *, metric: str) -> tuple[Cause, ...]:
    """Return the changes that move the metric of a retrained model most, the largest first: none is proved a cause."""
    moved = [(trial, trial.effect) for trial in trials if trial.effect is not None and trial.effect.difference]
    moved.sort(key=lambda pair: -abs(pair[1].difference))
    sizes = [f"{effect.difference:+.4f} ± {effect.standard_error:.4f} of {metric}" for _, effect in moved]
    return tuple(
        make_cause(trial, is_cause=False, metric=metric, sentence=f"could move it by {size}: {trial.change}")
        for (trial, _), size in list(zip(moved, sizes, strict=True))[:NUM_MOVERS]
    )


def make_cause(trial: Trial, *, is_cause: bool, metric: str, sentence: str) -> Cause:
    """Return a trial as a record."""
    return Cause(
        change=trial.change,
        is_cause=is_cause,
        users=trial.num_users,
        users_matching=trial.num_matching,
        metric=metric,
        difference=trial.effect.difference if trial.effect else None,
        standard_error=trial.effect.standard_error if trial.effect else None,
        sentence=sentence,
    )


def describe_effect(effect: Effect | None, *, metric: str) -> str:
    """Return how far a change moves the metric, in brackets, with its standard error over users."""
    if effect is None:
        return ""
    return f" ({effect.difference:+.4f} ± {effect.standard_error:.4f} of {metric})"
