"""Initial weights, each parameter from a generator of its own.

Upstream's parameters have upstream's distributions. The last map of a component is zero, so that a model starts as the
model without the component does.

Upstream's `reset_params` gives Xavier-normal to every weight outside the encoder and the item table, so that HSTU's
position embedding loses the truncated normal it was made with; SASRec keeps it. The published checkpoints have it so.
Mixture of Logits is such a part of rails' model: the bias of a gated layer, a matrix of one row there, is drawn, too.
"""

from collections.abc import Callable
from fnmatch import fnmatchcase

import torch
from torch import Generator

from hstu_preserve.model.recommender import Recommender
from hstu_preserve.model.weights.distributions import (
    NARROW_STD,
    Initializer,
    constant,
    for_each,
    normal,
    normal_product,
    truncated_normal,
    uniform_by_fan_in,
    without_padding,
    xavier_normal,
    xavier_uniform,
    zeros,
)
from hstu_preserve.records.recipe import Recipe
from hstu_preserve.records.settings.encoders import FOUNDATIONS, HstuSettings, HstuTfSettings, SasrecSettings

TF_BIAS_STD = 0.01  # HSTU-Tensorflow's, of its two attention biases
FPAREC_SCORE_STD = 0.01  # of attention to positions, as a parameter or as a product of two factors

Table = list[tuple[str, Initializer]]
"""(name pattern, distribution); the first match counts."""


def list_initializers(recipe: Recipe) -> Table:
    """Return the distributions of a recipe's parameters."""
    settings = recipe.model
    if isinstance(settings, HstuSettings):
        encoder = list_hstu(settings)
    elif isinstance(settings, HstuTfSettings):
        encoder = list_hstu_tf()
    elif isinstance(settings, FOUNDATIONS):
        encoder = list_tensorflow_defaults()
    else:
        encoder = list_sasrec(settings)
    return [*list_components(recipe), *list_mixture(recipe), *encoder]


def list_components(recipe: Recipe) -> Table:
    """Return the distributions of the parameters that components add."""
    side_dim = recipe.prism.side_dim if recipe.prism else 1
    rate = recipe.time_decay.rate if recipe.time_decay else 0.0
    return [
        ("prism.features.*.weight", truncated_normal(side_dim**-0.5)),
        ("prism.encoder.weight", xavier_normal),
        ("prism.encoder.bias", zeros),
        ("prism.fusion.router.weight", xavier_normal),
        ("prism.fusion.expand", for_each(xavier_normal)),
        ("prism.fusion.*", zeros),  # every other map of the fusions is the last one of its variant
        ("action_fusion.rating", zeros),
        ("compression.*.rate", constant(rate)),
        ("compression.pooling.genre_embedding", zeros),
        ("compression.pooling.token", truncated_normal(NARROW_STD)),
        ("encoder.decay.rate", constant(rate)),
    ]


def list_mixture(recipe: Recipe) -> Table:
    """Return rails' distributions for Mixture of Logits, of which one bias alone keeps torch's default."""
    if recipe.mol is None:
        return []
    return [
        ("mixture.query.contract.bias", uniform_by_fan_in(max(1, recipe.mol.query_hidden_dim))),
        ("mixture.*.contract.bias", zeros),
        ("mixture.*.linear.bias", zeros),
        ("mixture.*_gate.expand.bias", zeros),
        ("mixture.*", xavier_normal),
    ]


def list_hstu(settings: HstuSettings) -> Table:
    """Return upstream's distributions for HSTU."""
    gated_width = settings.num_heads * settings.dv * (3 if settings.concat_ua else 1)
    return [
        ("item_embedding.weight", truncated_normal(NARROW_STD)),
        # Upstream makes it with a truncated normal, which its reset_params overwrites.
        ("input_embedding.position.weight", xavier_normal),
        ("*.uvqk", normal),
        ("*.bias.position_weight", normal),
        ("*.bias.time_weight", normal),
        ("*.output.weight", xavier_uniform),
        ("*.output.bias", uniform_by_fan_in(gated_width)),
    ]


def list_sasrec(settings: SasrecSettings) -> Table:
    """Return upstream's distributions for SASRec."""
    return [
        ("item_embedding.weight", truncated_normal(NARROW_STD)),
        ("input_embedding.position.weight", truncated_normal(settings.item_embedding_dim**-0.5)),
        ("*.in_proj_weight", xavier_normal),
        ("*.in_proj_bias", zeros),
        ("*.out_proj.weight", xavier_normal),
        ("*.out_proj.bias", zeros),
        ("*.feed_forward.*.weight", xavier_normal),
        ("*.feed_forward.expand.bias", uniform_by_fan_in(settings.item_embedding_dim)),
        ("*.feed_forward.contract.bias", uniform_by_fan_in(settings.ffn_hidden_dim)),
    ]


def list_hstu_tf() -> Table:
    """Return HSTU-Tensorflow's distributions."""
    return [
        ("item_embedding.weight", without_padding(truncated_normal(NARROW_STD))),
        ("encoder.position_weight", truncated_normal(NARROW_STD)),
        ("*.bias.position_weight", truncated_normal(TF_BIAS_STD)),
        ("*.bias.time_weight", truncated_normal(TF_BIAS_STD)),
        ("*_norm.weight", constant(1.0)),
        ("*_norm.bias", zeros),
        ("*.qkvu", normal),
        ("*.output.weight", normal),
        ("*.output.bias", zeros),
    ]


def list_tensorflow_defaults() -> Table:
    """Return TensorFlow 1's defaults, as in SASRec, TiSASRec and FPARec as published, whose scores have their own.

    Ids that no item has count in the table's fans.
    """
    return [
        ("*.scores.*_factor", normal_product(FPAREC_SCORE_STD)),
        ("*.scores.score", truncated_normal(FPAREC_SCORE_STD)),
        ("*norm.weight", constant(1.0)),
        ("*norm.bias", zeros),
        ("*.bias", zeros),
        ("*", xavier_uniform),
    ]


@torch.no_grad()
def initialize(model: Recommender, generator_for: Callable[[str], Generator]) -> None:
    """Fill every parameter from `generator_for(its name)`, so that adding one shifts no other.

    The draw is float32 on the CPU whatever the model's dtype and device.
    """
    initializers = list_initializers(model.recipe)
    for name, parameter in model.named_parameters():
        fill = next(fill for pattern, fill in initializers if fnmatchcase(name, pattern))
        drawn = torch.empty(parameter.shape)
        fill(drawn, generator_for(name))
        parameter.copy_(drawn)
