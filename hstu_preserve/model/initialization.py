"""Initial weights with upstream's distributions, each parameter from a generator of its own.

Upstream's `reset_params` gives Xavier-normal to every weight outside the encoder and the item table, so that HSTU's
position embedding loses the truncated normal it was made with; SASRec keeps it. The published checkpoints have it so.
"""

from collections.abc import Callable
from fnmatch import fnmatchcase

import torch
from torch import Generator, Tensor, nn

from hstu_preserve.model.recommender import Recommender
from hstu_preserve.records.recipe import HstuSettings

NARROW_STD = 0.02
TRUNCATION = 2.0  # upstream's truncated_normal, in standard deviations

Initializer = Callable[[Tensor, Generator], object]


def truncated_normal(std: float) -> Initializer:
    """Normal with the given std, cut at two standard deviations."""
    bound = TRUNCATION * std
    return lambda x, generator: nn.init.trunc_normal_(x, std=std, a=-bound, b=bound, generator=generator)


def normal(x: Tensor, generator: Generator) -> None:
    """Normal with std 0.02."""
    nn.init.normal_(x, std=NARROW_STD, generator=generator)


def xavier_normal(x: Tensor, generator: Generator) -> None:
    """Normal with variance 2 / (rows + columns)."""
    nn.init.xavier_normal_(x, generator=generator)


def xavier_uniform(x: Tensor, generator: Generator) -> None:
    """Uniform with variance 2 / (rows + columns)."""
    nn.init.xavier_uniform_(x, generator=generator)


def zeros(x: Tensor, generator: Generator) -> None:
    """All zero."""
    nn.init.zeros_(x)


def uniform_by_fan_in(fan_in: int) -> Initializer:
    """Torch's default for the bias of a linear map with `fan_in` inputs."""
    bound = fan_in**-0.5
    return lambda x, generator: nn.init.uniform_(x, -bound, bound, generator=generator)


def list_initializers(model: Recommender) -> list[tuple[str, Initializer]]:
    """Return (name pattern, distribution) for the model's parameters; the first match counts."""
    settings = model.recipe.model
    shared: list[tuple[str, Initializer]] = [("item_embedding.weight", truncated_normal(NARROW_STD))]
    if isinstance(settings, HstuSettings):
        gated_width = settings.num_heads * settings.dv * (3 if settings.concat_ua else 1)
        return [
            *shared,
            ("input_embedding.position.weight", xavier_normal),
            ("*.uvqk", normal),
            ("*.bias.position_weight", normal),
            ("*.bias.time_weight", normal),
            ("*.output.weight", xavier_uniform),
            ("*.output.bias", uniform_by_fan_in(gated_width)),
        ]
    return [
        *shared,
        ("input_embedding.position.weight", truncated_normal(settings.item_embedding_dim**-0.5)),
        ("*.in_proj_weight", xavier_normal),
        ("*.in_proj_bias", zeros),
        ("*.out_proj.weight", xavier_normal),
        ("*.out_proj.bias", zeros),
        ("*.feed_forward.*.weight", xavier_normal),
        ("*.feed_forward.expand.bias", uniform_by_fan_in(settings.item_embedding_dim)),
        ("*.feed_forward.contract.bias", uniform_by_fan_in(settings.ffn_hidden_dim)),
    ]


@torch.no_grad()
def initialize(model: Recommender, generator_for: Callable[[str], Generator]) -> None:
    """Fill every parameter from `generator_for(its name)`, so that adding one shifts no other.

    The draw is float32 on the CPU whatever the model's dtype and device.
    """
    initializers = list_initializers(model)
    for name, parameter in model.named_parameters():
        fill = next(fill for pattern, fill in initializers if fnmatchcase(name, pattern))
        drawn = torch.empty(parameter.shape)
        fill(drawn, generator_for(name))
        parameter.copy_(drawn)
