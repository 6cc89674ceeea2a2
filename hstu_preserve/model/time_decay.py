"""Time decay: old events count less, in attention, in a compressed token, or in the loss.

A reconstruction: the archive names the component and never defined it. HSTU's attention is SiLU, not softmax: a
negative bias would first turn a weight negative before it fades. The decay is therefore a factor after SiLU:

    d = exp(-ρ · g(age)),   g(age) = log(1 + age/τ)   `power`, d = (1 + age/τ)^-ρ as in FuXi-β
                                     age/τ            `exp`
                                     (age/τ)^β        `exp_power`, the shape of FuXi-γ

Ages are int64 seconds, differences of int64 times: Unix seconds do not fit float32. A rate of 0 weighs everything 1.0.

Shape suffixes: B batch, N query position, M key position, H heads (1 if all share a rate), T supervised positions,
R rows of rates: layers, or 1 where layers share them.
"""

import torch
from torch import Tensor, nn

from hstu_preserve.model.shares import WHOLE, Share
from hstu_preserve.records.settings.components import TimeDecaySettings

# Added to every weight: lost in the rounding of any that matters, it keeps those of epochs ago positive and out of the
# subnormal numbers, so that weights may be divided by their sum.
SMALLEST_WEIGHT = 1e-30


def measure_age(age: Tensor, settings: TimeDecaySettings) -> Tensor:
    """Return g(age), float32, ≥ 0 and non-decreasing, for ages (int64 seconds ≥ 0)."""
    # Only now float32: differences of int64 seconds fit it, the times themselves do not.
    scaled = age.float() / settings.tau_seconds
    if settings.mode == "power":
        return scaled.log1p()
    return scaled if settings.mode == "exp" else scaled.pow(settings.beta)


def fade(measured_age: Tensor, rate: Tensor | float) -> Tensor:
    """Return exp(-rate · measured_age), in (0, 1]; exactly 1 if either is 0."""
    return (-(measured_age * rate)).exp() + SMALLEST_WEIGHT


class AgeWeight(nn.Module):
    """The weight of one event by its age, with one rate for all."""

    def __init__(self, settings: TimeDecaySettings) -> None:
        super().__init__()
        self.settings = settings
        self.rate = nn.Parameter(torch.empty(())) if settings.learnable else None

    def forward(self, age: Tensor) -> Tensor:
        """Return weights (float32, in (0, 1]) for ages (int64 seconds ≥ 0) of any shape."""
        rate = self.settings.rate if self.rate is None else self.rate.float()
        return fade(measure_age(age, self.settings), rate)


class TimeDecay(nn.Module):
    """The decay of attention: a rate for each head if it is learned, one for all if it is not.

    Args:
        settings: Of the decay; its `rate` is where learned rates start.
        heads: Of the encoder.
        layers: Of the encoder; each has rates of its own where `settings.per_layer`.
    """

    def __init__(self, settings: TimeDecaySettings, *, heads: int, layers: int) -> None:
        super().__init__()
        self.settings = settings
        rows = layers if settings.per_layer else 1
        self.rate = nn.Parameter(torch.empty(rows, heads)) if settings.learnable else None

    def forward(self, age_BNM: Tensor) -> list[Tensor]:
        """Return decay_BHNM (float32, in (0, 1]) for each layer, or a single one that all layers share.

        Args:
            age_BNM: int64 seconds; a negative age, of an event in the future, counts as 0.
        """
        measured_B1NM = measure_age(age_BNM.clamp(min=0), self.settings)[:, None]
        if self.rate is None:
            return [fade(measured_B1NM, self.settings.rate)]
        return [fade(measured_B1NM, rate_H[:, None, None]) for rate_H in self.rate.float().unbind()]


def weigh_positions(age_T: Tensor, settings: TimeDecaySettings, *, share: Share = WHOLE) -> Tensor:
    """Return weight_T (float32) of supervised positions, with mean 1 over the whole batch.

    Args:
        age_T: int64 seconds ≥ 0, from each position's event to the last one of the same user.
        settings: Of the decay; its rate is not learned.
        share: The part of the batch that the positions are.
    """
    weight_T = fade(measure_age(age_T, settings), settings.rate)
    return weight_T / share.mean(weight_T)


@torch.no_grad()
def project_rates(module: nn.Module) -> None:
    """Set every negative learned rate inside `module` to 0, which the next step may leave again."""
    for part in module.modules():
        if isinstance(part, AgeWeight | TimeDecay) and part.rate is not None:
            part.rate.clamp_(min=0)
