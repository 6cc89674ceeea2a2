"""A reported number and the policy it is judged by, fixed before the run."""

from enum import StrEnum
from typing import Annotated, Self

from pydantic import Field, model_validator

from hstu_preserve.primitives.digests import Sha256
from hstu_preserve.primitives.metric_names import METRIC_NAMES
from hstu_preserve.primitives.numbers import (
    AnyFloat,
    NaturalInt,
    NonNegativeFloat,
    PositiveFloat,
    PositiveInt,
    Probability,
    Share,
)
from hstu_preserve.records.environment import NumericsRecord
from hstu_preserve.records.evaluation_kind import EvaluationKind, NamedKind, find_kind
from hstu_preserve.records.recipe import EvaluationSettings, Protocol
from hstu_preserve.records.record import Record

MetricName = Annotated[str, Field(pattern="^(" + "|".join(METRIC_NAMES).replace(".", "\\.") + ")$")]


def is_absent(value: object) -> bool:
    """Whether a record leaves a field out of its text, so that a record from before the field keeps its digest."""
    return value is None


class Direction(StrEnum):
    """Which way the metric is better."""

    MAXIMIZE = "maximize"
    MINIMIZE = "minimize"


class SelectionRule(StrEnum):
    """How the reported epoch was chosen."""

    FINAL_EPOCH = "final-epoch"
    """A fixed last epoch, named before the run."""
    BEST_ON_VALIDATION = "best-on-validation"
    """The epoch with the best validation metric; exists only under protocol `validated`."""
    BEST_ON_TEST = "best-on-test"
    """The best epoch or run by the test metric: a selection on test, shown as such."""


class Spread(Record):
    """How a metric scatters from run to run of one recipe, declared with its origin; absent if nobody said."""

    spread: PositiveFloat | None = Field(default=None, exclude_if=is_absent)
    """Standard deviation of the metric over runs of the recipe with different seeds."""
    spread_degrees: PositiveInt | None = Field(default=None, exclude_if=is_absent)
    """How well the spread is known: runs behind it, less one for each recipe that they were of."""
    spread_derivation: str | None = Field(default=None, exclude_if=is_absent)
    """Where the spread comes from."""

    @model_validator(mode="after")
    def require_whole_spread(self) -> Self:
        """A spread says how well it is known, and where it comes from."""
        parts = (self.spread, self.spread_degrees, self.spread_derivation)
        if 0 < parts.count(None) < len(parts):
            raise ValueError("spread, spread_degrees and spread_derivation are given together or not at all")
        if self.spread_derivation is not None and not self.spread_derivation.strip():
            raise ValueError("spread_derivation is empty: say which runs the spread was taken from")
        return self


class ClaimPolicy(Spread):
    """What will be compared and how, written down before the first step."""

    name: str
    """Distinguishes the claims of one bundle; the metric's name unless the author gave another."""
    metric: MetricName
    direction: Direction
    protocol: Protocol
    evaluation: NamedKind | None = Field(default=None, exclude_if=is_absent)
    """The kind of evaluation; absent if the filter of the recipe's own evaluation says it."""
    selection_rule: SelectionRule
    margin: Probability | None
    """Largest absolute difference that still counts as the same number; every number is within 1. None: not fixed."""
    margin_derivation: str | None
    """Where the margin comes from."""
    loss_tolerance: NonNegativeFloat
    """Largest relative difference of a step's loss that still counts as the same, where arithmetic differs."""
    seeds: tuple[NaturalInt, ...]
    """The seeds of the runs behind the number."""

    @model_validator(mode="after")
    def require_derived_margin(self) -> Self:
        """A margin says where it comes from; best-on-validation needs a validation part."""
        if (self.margin is None) != (self.margin_derivation is None):
            raise ValueError("margin and margin_derivation are given together or not at all")
        if self.selection_rule is SelectionRule.BEST_ON_VALIDATION and self.protocol is not Protocol.VALIDATED:
            raise ValueError("selection_rule best-on-validation exists only under protocol validated")
        if self.selection_rule is SelectionRule.FINAL_EPOCH and self.protocol is Protocol.VALIDATED:
            raise ValueError("selection_rule final-epoch is not what protocol validated reports: best-on-validation is")
        return self

    def find_kind(self, settings: EvaluationSettings) -> EvaluationKind:
        """Return the kind of evaluation that the claim is of.

        Args:
            settings: Of the recipe that the claim is made with; a claim without a kind is of theirs.
        """
        return find_kind(self.evaluation, filter_all_seen=settings.filter_all_seen)


class ReferenceRun(Record):
    """Another recorded run, whose recipe differs in the seed alone; the bundle holds it in `references/SEED/`."""

    seed: NaturalInt
    value: Share
    """Of the claim's metric."""
    epoch: NaturalInt
    """Whose checkpoint gave the value."""
    ranks_sha256: Sha256
    state_sha256: Sha256
    environment: NumericsRecord
    """The arithmetic that it was trained with."""


class Claim(Record):
    """A policy together with the number that the run reported under it."""

    policy: ClaimPolicy
    value: AnyFloat
    epoch: NaturalInt
    """The epoch whose checkpoint gave the value, counted from 0."""
    references: tuple[ReferenceRun, ...] = Field(default=(), exclude_if=lambda references: not references)
    """The other runs behind the number that the bundle records, by seed; absent if it records its own alone."""

    @model_validator(mode="after")
    def require_references_of_the_seeds(self) -> Self:
        """Either every seed that the policy lists is recorded, or the bundle's own alone."""
        if self.references and tuple(run.seed for run in self.references) != self.policy.seeds[1:]:
            raise ValueError("references are not of policy.seeds after the first, in their order")
        return self
