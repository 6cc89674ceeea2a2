"""The settings of the components that the archive's recipes add to the base model.

The archive's own definitions of PRISM, input compression, time decay, hard negatives and popularity debiasing were
never published. These are reconstructions, founded on published work; the modules in `model/` give formulas and
sources. A recipe without a component holds None in its place.
"""

from enum import StrEnum
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from hstu_preserve.primitives.numbers import (
    LARGEST_FLOAT,
    SMALLEST_FLOOR,
    SMALLEST_SCALE,
    NaturalInt,
    NonNegativeFloat,
    PositiveFloat,
    PositiveInt,
    PositiveShare,
    Share,
    require_at_least,
)
from hstu_preserve.records.record import AlwaysTrue, Record


class SideFeature(StrEnum):
    """What is known of an item, or of a past event, beside its id."""

    GENRES = "genres"
    YEAR = "year"
    """The decade of release."""
    POPULARITY = "popularity"
    """⌊log2(1 + events)⌋ in the training part."""
    RATING = "rating"
    """Of the past event: half stars. Known for inputs only, never for a target."""


EVENT_FEATURES = frozenset({SideFeature.RATING})


class PrismSettings(Record):
    """Side information conditions the item embedding: by a sum, by scale and shift (FiLM), or by gated experts."""

    variant: Literal["additive", "film", "moe"]
    features: Annotated[tuple[SideFeature, ...], Field(min_length=1)]
    side_dim: PositiveInt
    """Width of each feature's embedding."""
    hidden_dim: PositiveInt
    """Width of the side encoder's output."""
    num_experts: PositiveInt
    expert_dim: PositiveInt
    top_k: NaturalInt
    """Experts that a router keeps; 0 keeps all."""
    router_temperature: PositiveFloat
    film_scale: PositiveFloat | None
    """Bound of the scale's deviation from 1; None leaves it free."""
    load_balance_weight: NonNegativeFloat
    """Weight of the auxiliary loss that evens the experts' load out."""
    apply_to: Literal["input", "shared"]
    """`input` conditions what the encoder reads; `shared` also targets, negatives and the index."""

    @model_validator(mode="after")
    def require_usable_features(self) -> Self:
        """Each feature once; a feature of past events is unknown for a target."""
        if len(set(self.features)) != len(self.features):
            raise ValueError("prism.features names a feature twice")
        if self.apply_to == "shared" and EVENT_FEATURES & set(self.features):
            raise ValueError(
                "prism.features holds 'rating', which no target and no negative has, so that prism.apply_to cannot be "
                "'shared'"
            )
        if self.top_k > self.num_experts:
            raise ValueError(f"prism.top_k {self.top_k} is more than prism.num_experts {self.num_experts}")
        return self

    @model_validator(mode="after")
    def require_finite_gates(self) -> Self:
        """Gates and scales are quotients."""
        require_at_least(SMALLEST_SCALE, self.router_temperature, path="prism.router_temperature")
        require_at_least(SMALLEST_SCALE, self.film_scale, path="prism.film_scale")
        return self


class InputCompressionSettings(Record):
    """Old history becomes a few tokens; the most recent events stay as they are."""

    pooling: Literal["chunk", "category", "learned"]
    ratio: PositiveInt
    """Events per token; 1 compresses nothing."""
    recent_len: PositiveInt
    """Most recent events that stay."""
    num_tokens: PositiveInt
    """Tokens that stand for older events, at the most."""
    decay: PositiveShare
    """Weight of an event in its token, per rank: 1 is the mean."""
    loss_on: Literal["recent"]
    """Only events that stay are supervised."""
    random_boundary: bool
    """Whether training ends a long history at a random earlier event, so that older ones are supervised, too."""


class ActionFusionSettings(Record):
    """The rating of a past event joins its item in one token."""

    enabled: AlwaysTrue


class TimeDecaySettings(Record):
    """What is long ago counts less."""

    mode: Literal["power", "exp", "exp_power"]
    rate: NonNegativeFloat
    """ρ, or where it starts."""
    learnable: bool
    tau_seconds: Annotated[float, Field(ge=1.0, lt=LARGEST_FLOAT, allow_inf_nan=False)]
    """Unit of age; at least the data's own, so that no age overflows."""
    beta: Annotated[float, Field(gt=0.0, le=2.0, allow_inf_nan=False)]
    """Exponent of `exp_power`."""
    where: Literal["attention", "pool", "loss"]
    """What it weighs: attention, the events of a compressed token, or the supervised positions."""
    per_layer: bool
    """Whether each layer learns its own rates."""

    @model_validator(mode="after")
    def require_rates_where_they_are(self) -> Self:
        """A learned weight of the loss would learn to be small; only attention has layers, to learn a rate each."""
        if self.where == "loss" and self.learnable:
            raise ValueError("time_decay.learnable must be False with time_decay.where 'loss'")
        if self.per_layer and self.where != "attention":
            raise ValueError("time_decay.per_layer needs time_decay.where 'attention'")
        if self.per_layer and not self.learnable:
            raise ValueError("time_decay.per_layer needs time_decay.learnable True")
        return self


class HardNegativeSettings(Record):
    """Some uniform negatives give way to the highest-scoring items of a pool drawn for the batch."""

    fraction: PositiveShare
    """Share of a position's negatives that are hard."""
    pool_size: PositiveInt
    warmup_epochs: NaturalInt
    """First epochs, in which none is hard."""
    exclude_history: bool
    """Whether items of the user's own training sequence are no negatives."""


class LogitAdjustment(Record):
    """α·log(p·I) joins the training logits (Menon et al., ICLR 2021, arXiv:2007.07314)."""

    mode: Literal["logit_adjust"]
    alpha: NonNegativeFloat


class InversePropensity(Record):
    """Targets are weighted by ((1/I)/p)^α, clipped, with mean 1 over the batch."""

    mode: Literal["ips"]
    alpha: NonNegativeFloat
    clip_min: PositiveFloat
    clip_max: PositiveFloat

    @model_validator(mode="after")
    def require_range(self) -> Self:
        """The clip is a range, of weights that are divided by their mean."""
        require_at_least(SMALLEST_FLOOR, self.clip_min, path="pop_debias.clip_min")
        if self.clip_min > self.clip_max:
            raise ValueError(f"pop_debias.clip_min {self.clip_min} is above pop_debias.clip_max {self.clip_max}")
        return self


class PopularitySampler(Record):
    """Negatives are drawn from (1 - mix)/I + mix·p^power/Σp^power, corrected by logQ (Yi et al., RecSys 2019)."""

    mode: Literal["pop_sampler"]
    mix: Share
    power: NonNegativeFloat
    correct: bool
    """Whether log q leaves the logits again."""


PopularityDebiasing = Annotated[LogitAdjustment | InversePropensity | PopularitySampler, Field(discriminator="mode")]
