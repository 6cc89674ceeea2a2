"""Popularity debiasing: adjusted logits, weighted targets, or a sampler that knows popularity.

A reconstruction: the archive named it and never published a definition. With p_i the item's share of the training
events, counted with one more event per candidate, and I candidates:

    logit_adjust  logit_i + α · log(p_i · I)                       Menon et al., ICLR 2021, arXiv:2007.07314
    ips           weight_i = clip((p_i · I)^-α), mean 1 per batch  inverse propensity, Schnabel et al., ICML 2016
    pop_sampler   q_i = (1 - m) / I + m · p_i^a / Σ p^a, logit_i - log(q_i · I)    Yi et al., RecSys 2019

The correction is for negatives drawn with probability q. Hard negatives are chosen from a uniform pool, and a recipe
may have them with an uncorrected sampler (`correct=False`) only.

All of it is for training: inference ranks by the plain logits. Everything is computed from the lift p · I, in float64 a
quotient of exact integers, so that uniform popularity adjusts by exactly 0 and weighs exactly 1.

Shape suffixes: J item ids from 0 (padding) to the largest, I candidates, T supervised positions, K negatives per
position.
"""

import torch
from torch import Tensor, nn

from hstu_preserve.kernels.counter_draws import Source
from hstu_preserve.model.items import Items
from hstu_preserve.model.negatives import draw_local, draw_weighted
from hstu_preserve.model.shares import WHOLE, Share
from hstu_preserve.records.components import (
    InversePropensity,
    LogitAdjustment,
    PopularityDebiasing,
    PopularitySampler,
)


class Popularity(nn.Module):
    """The adjusted logits, weights or draws that follow from the items' popularity, in training.

    Args:
        settings: Decide which of the three it is.
        items: Their counts are of training events alone.

    Attributes:
        adjustment_J: Joins the items' logits; None if none is adjusted.
        weight_J: Weight of each item as a target, before it is brought to mean 1; None if all count alike.
        probability_I: float64, of each candidate to be drawn as a negative; None if the draw is uniform. No buffer:
            draws are made on the CPU, and a model in bfloat16 must not round it.
    """

    adjustment_J: Tensor | None
    weight_J: Tensor | None

    def __init__(self, settings: PopularityDebiasing, items: Items) -> None:
        super().__init__()
        lift_I = measure_lift(items)
        adjustment_I = adjust_logits(lift_I, settings)
        weight_I = weigh_targets(lift_I, settings) if isinstance(settings, InversePropensity) else None
        self.probability_I: Tensor | None = None
        if isinstance(settings, PopularitySampler) and settings.mix > 0:
            self.probability_I = mix_lift(lift_I, settings) / len(lift_I)
        self.register_buffer("adjustment_J", spread(adjustment_I, items, elsewhere=0.0), persistent=False)
        self.register_buffer("weight_J", spread(weight_I, items, elsewhere=1.0), persistent=False)

    def weigh(self, positive_T: Tensor, *, share: Share = WHOLE) -> Tensor | None:
        """Return weight_T, with mean 1 over the whole batch, of positions by their targets (int64 ids).

        None if all count alike.
        """
        if self.weight_J is None:
            return None
        weight_T = self.weight_J.index_select(0, positive_T)
        return weight_T / share.mean(weight_T)

    def draw(self, candidate_I: Tensor, *, positions: int, num_negatives: int, generator: Source) -> Tensor:
        """Draw negative_TK (int64) from the candidates of the items: by popularity, or uniformly as without it."""
        if self.probability_I is None:
            return draw_local(candidate_I, positions=positions, num_negatives=num_negatives, generator=generator)
        return draw_weighted(
            candidate_I,
            probability_I=self.probability_I,
            positions=positions,
            num_negatives=num_negatives,
            generator=generator,
        )


def measure_lift(items: Items) -> Tensor:
    """Return lift_I (float64): how many times its uniform share 1 / I each candidate's share p_i of the events is."""
    count_I = items.count_J.index_select(0, items.candidate_I) + 1
    # An integer product, so that equal counts divide to exactly 1.
    return (count_I * len(count_I)).double() / count_I.sum()


def adjust_logits(lift_I: Tensor, settings: PopularityDebiasing) -> Tensor | None:
    """Return the summand of each candidate's logit: α · log(p · I), or -log(q · I) of a corrected sampler."""
    if isinstance(settings, LogitAdjustment):
        return settings.alpha * lift_I.log()
    if isinstance(settings, PopularitySampler) and settings.correct:
        return -log_of_mix(lift_I, settings)
    return None


def weigh_targets(lift_I: Tensor, settings: InversePropensity) -> Tensor:
    """Return ((1 / I) / p)^α, clipped."""
    return lift_I.pow(-settings.alpha).clamp(settings.clip_min, settings.clip_max)


def mix_lift(lift_I: Tensor, settings: PopularitySampler) -> Tensor:
    """Return q · I: 1 - m + m · p^a / mean(p^a), exactly 1 if all shares are equal."""
    powered_I = (lift_I / lift_I.max()).pow(settings.power)  # by the largest, so that no power overflows
    return (1 - settings.mix) + settings.mix * (powered_I / powered_I.mean())


def log_of_mix(lift_I: Tensor, settings: PopularitySampler) -> Tensor:
    """Return log(q · I), exactly 0 if all shares are equal and finite whatever the power.

    Without a uniform part, q may be less than any float: such an item is never drawn, but may be the target.
    """
    if settings.mix < 1:
        return mix_lift(lift_I, settings).log()
    log_powered_I = settings.power * (lift_I / lift_I.max()).log()
    return log_powered_I - log_powered_I.exp().mean().log()


def spread(value_I: Tensor | None, items: Items, *, elsewhere: float) -> Tensor | None:
    """Return the candidates' values at their ids in float32, another value elsewhere; None for None."""
    if value_I is None:
        return None
    value_J = torch.full((items.max_item_id + 1,), elsewhere)
    return value_J.index_copy(0, items.candidate_I, value_I.float())
