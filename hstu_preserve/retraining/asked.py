"""What a user asks for when a recipe is retrained with other seeds, and whether it makes sense."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hstu_preserve.errors import UsageError
from hstu_preserve.records.retraining.plan import MAX_RETRAININGS


@dataclass(frozen=True, kw_only=True)
class Retraining:
    """Other seeds that are asked for.

    Attributes:
        num_seeds: How many are to be trained; None trains none.
        reruns: Runs or bundles that exist already.
        margin: By which the interval is judged; None takes the claim's own.
        is_dry: Whether nothing is trained, and only seeds, power and cost are told.
    """

    num_seeds: int | None = None
    reruns: Sequence[str] = ()
    margin: float | None = None
    is_dry: bool = False

    @property
    def is_asked(self) -> bool:
        """Whether any other seed is asked for."""
        return self.num_seeds is not None or bool(self.reruns)

    def require_sensible(self, rungs: Sequence[str]) -> None:
        """Raise UsageError for a wish that makes no sense."""
        if self.num_seeds is not None and not 1 <= self.num_seeds <= MAX_RETRAININGS:
            raise UsageError(f"--seeds {self.num_seeds}: out of range; name a number from 1 to {MAX_RETRAININGS}")
        if (self.num_seeds or 0) + len(self.reruns) > MAX_RETRAININGS:
            raise UsageError(f"--seeds and --rerun: more than {MAX_RETRAININGS} retrainings together")
        if self.is_asked and "training" not in rungs:
            option = "--seeds" if self.num_seeds is not None else "--rerun"
            raise UsageError(f"{option}: retrains, which the rung 'training' judges; add --rung training")
        if self.margin is not None and not (math.isfinite(self.margin) and 0 < self.margin < 1):
            raise UsageError(f"--margin {self.margin}: out of range; every metric is a share, so name 0 < X < 1")
        for option, is_given in (("--margin", self.margin is not None), ("--dry-run", self.is_dry)):
            if is_given and not self.is_asked:
                raise UsageError(f"{option}: belongs to retrainings with other seeds; add --seeds N or --rerun RUN")


@dataclass(frozen=True, kw_only=True)
class PlannedSeed:
    """A seed of a plan.

    Attributes:
        path: The plan.
        seed: One of its seeds.
    """

    path: Path
    seed: int


def choose_planned(
    gin: str | None, *, plan: Path | None, seed: int | None, others: Sequence[str]
) -> PlannedSeed | None:
    """Return the seed of a plan that is trained; None if a gin file or id is.

    Args:
        gin: The gin file or id; None if none is named.
        plan: The plan's file; None if none is named.
        seed: Of the plan.
        others: Options that were given and that change a recipe.

    Raises:
        UsageError: Neither, both, or a plan without a seed.
    """
    if plan is None:
        if seed is not None:
            raise UsageError("--seed: names a seed of a plan; add --plan FILE (a recipe's own is train_fn.random_seed)")
        if gin is None:
            raise UsageError("nothing to train: name a gin file or an id, or a plan with --plan and --seed")
        return None
    if gin is not None:
        raise UsageError(f"{gin}: --plan has a recipe of its own; leave the gin file out")
    if others:
        raise UsageError(f"{others[0]}: changes the recipe, which --plan has fixed; leave it out")
    if seed is None:
        raise UsageError("--plan: trains one seed at a time; name it with --seed")
    return PlannedSeed(path=plan, seed=seed)
