"""Count the work of a training step, by the settings that decide it: products, pairs of positions, weights.

Counts, not times: what a machine takes for each of them is in `costs.machines`. Small pieces are left out: norms,
dropout, the side information of items and the assembly of a batch.

Letters: T events of a batch, E of them that the encoder reads, D width, K negatives, I items.
"""

from dataclasses import dataclass

from hstu_preserve.costs.data_shapes import DataShape
from hstu_preserve.records.recipe import FullSoftmaxSettings, Recipe, SampledSoftmaxSettings
from hstu_preserve.records.settings.encoders import FparecSettings, HstuSettings, SasrecSettings, TisasrecSettings

FORWARD_AND_BACKWARD = 3
"""Products of a step for each one of the forward pass: two gradients each."""
NUMBERS_OF_A_WEIGHT = 4
"""Itself, its gradient and Adam's two moments."""


@dataclass(frozen=True, kw_only=True)
class StepWork:
    """What one step does.

    Attributes:
        products: Multiplications of dense layers, forward and backward; of the softmax over all items, too.
        pairs: Pairs of positions that attention compares, over heads and layers.
        drawn: Numbers of the drawn items' embeddings: T · K · D.
        weights: Trained numbers, each of which the optimizer moves.
        activations: Numbers that are kept for the backward pass but for attention's.
        is_padded: Whether padded positions are encoded, too, and attention keeps a number for each of its pairs.
    """

    products: float
    pairs: float
    drawn: float
    weights: float
    activations: float
    is_padded: bool


@dataclass(frozen=True, kw_only=True)
class LayerShape:
    """One layer of an encoder.

    Attributes:
        weights: Of its dense layers.
        channels: Numbers that it keeps of each position.
        heads: Of its attention.
        is_padded: Whether it encodes padded positions, too.
    """

    weights: float
    channels: float
    heads: int
    is_padded: bool


def is_counted(recipe: Recipe) -> bool:
    """Whether the counts are of all that a step does: a mixture's, TiSASRec's and FPARec's own work has none."""
    return recipe.mol is None and not isinstance(recipe.model, TisasrecSettings | FparecSettings)


def count_work(recipe: Recipe, data: DataShape) -> StepWork:
    """Return the work of one step of a recipe on data of that shape."""
    batch, width = recipe.training.local_batch_size, recipe.model.item_embedding_dim
    layer, num_layers = describe_layer(recipe), recipe.model.num_blocks
    events = batch * data.mean(1, most=recipe.dataset.max_sequence_length)
    encoded = batch * data.mean(1, most=recipe.encoded_length)
    supervised = encoded if recipe.is_compressed else events
    pairs: float
    if layer.is_padded:
        encoded = batch * recipe.padded_length
        pairs = batch * recipe.padded_length**2
    else:
        pairs = batch * data.mean(2, most=recipe.encoded_length) / 2  # later positions are hidden
    loss = recipe.loss
    drawn = supervised * loss.num_negatives * width if isinstance(loss, SampledSoftmaxSettings) else supervised * width
    scored = supervised * width * data.num_items if isinstance(loss, FullSoftmaxSettings) else 0.0
    if recipe.hard_negatives is not None:
        scored += supervised * width * recipe.hard_negatives.pool_size / FORWARD_AND_BACKWARD  # without gradients
    return StepWork(
        products=FORWARD_AND_BACKWARD * (encoded * num_layers * layer.weights + scored),
        pairs=pairs * layer.heads * num_layers,
        drawn=drawn,
        weights=data.num_rows * width + num_layers * layer.weights,
        activations=encoded * num_layers * layer.channels + scored / width,
        is_padded=layer.is_padded,
    )


def describe_layer(recipe: Recipe) -> LayerShape:
    """Return the shape of a layer of the recipe's encoder."""
    model, width = recipe.model, recipe.model.item_embedding_dim
    if isinstance(model, HstuSettings):
        values = model.num_heads * model.dv
        channels = model.num_heads * 2 * (model.dqk + model.dv)
        out = values * (3 if model.concat_ua else 1)
        return LayerShape(
            weights=width * (channels + out), channels=2 * channels + out, heads=model.num_heads, is_padded=False
        )
    hidden = model.ffn_hidden_dim if isinstance(model, SasrecSettings) else width
    return LayerShape(
        weights=4 * width * width + 2 * width * hidden,
        channels=8 * width + 2 * hidden,
        heads=model.num_heads,
        is_padded=True,
    )
