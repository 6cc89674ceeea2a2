"""Record what a training costs: measured on a few steps and extrapolated, or estimated before any step."""

from pydantic import Field

from hstu_preserve.primitives.digests import Sha256
from hstu_preserve.primitives.numbers import NaturalInt, NonNegativeFloat, PositiveFloat, PositiveInt
from hstu_preserve.records.environment import EnvironmentRecord
from hstu_preserve.records.record import Record


class Rehearsal(Record):
    """What `train --dry-run` measured of a recipe on its data, and what the whole training follows to be."""

    target: str
    """The gin file or id."""
    data_name: str
    data_fingerprint: Sha256
    recipe_sha256: Sha256
    num_parameters: PositiveInt
    """Numbers that are trained, the item table's rows among them."""
    num_users: PositiveInt
    """That are trained on."""
    num_epochs: PositiveInt
    steps_per_epoch: PositiveInt
    num_steps: PositiveInt
    """Of one training."""
    num_seeds: PositiveInt = 1
    """How many trainings are asked for, one after the other."""
    step_seconds: tuple[NonNegativeFloat, ...] = Field(min_length=1)
    """Of each step that was taken."""
    evaluated_users: NaturalInt
    """That one training ranks, each as often as it is."""
    users_per_second: PositiveFloat
    """At which users were ranked."""
    peak_memory_bytes: PositiveInt
    """Of the GPU if there is one, else the largest of this process since its start."""
    checkpoint_bytes: PositiveInt
    """Of one checkpoint: weights and the optimizer's state."""
    training_seconds: NonNegativeFloat
    """Of the steps of all trainings, extrapolated."""
    evaluation_seconds: NonNegativeFloat
    """Of their evaluations, extrapolated."""
    may_end_early: bool
    """Whether the recipe ends once no epoch is better, so that the times are the most it takes."""
    basis: str
    """What the times are extrapolated from."""
    environment: EnvironmentRecord
    warnings: tuple[str, ...]

    @property
    def seconds(self) -> float:
        """Of all trainings with their evaluations."""
        return self.training_seconds + self.evaluation_seconds


class RecipeCost(Record):
    """What a recipe is estimated to cost, steps and evaluations of one training."""

    id: str
    dataset: str
    num_weights: PositiveInt
    """That are trained; small components are left out."""
    num_steps: PositiveInt
    evaluated_users: NaturalInt
    """That the training ranks, each as often as it is."""
    memory_bytes: PositiveInt
    """On a processor."""
    seconds: NonNegativeFloat | None
    """On this machine's processor, evaluations included; None if this machine cannot train."""
    gpu_memory_bytes: PositiveInt
    gpu_seconds_low: NonNegativeFloat
    """On the GPU, of the steps alone: between this and the next."""
    gpu_seconds_high: NonNegativeFloat
    command: str
    """What trains it, to be typed."""


class CostTable(Record):
    """Estimates of what the recipes cost that come with the program; nothing of it was measured on their data."""

    recipes: tuple[RecipeCost, ...]
    gpu: str
    """The GPU's name."""
    probe_seconds: PositiveFloat | None
    """Of the step that was measured here; None if this machine cannot train."""
    basis: tuple[str, ...]
    """What the figures are extrapolated from, and how far they may be off."""
