"""Tiny recommenders with random weights, and histories of chosen lengths for them to read."""

from collections.abc import Sequence

import pytest
import torch

from hstu_preserve.compute.determinism import initialization_generators
from hstu_preserve.model.histories import Histories
from hstu_preserve.model.initialization import initialize
from hstu_preserve.model.items import NUM_DECADES, Items
from hstu_preserve.model.jagged import PLAIN_OPERATORS, JaggedOperators, fbgemm_problem, load_operators
from hstu_preserve.model.objective import Draws, draw_negatives
from hstu_preserve.model.recommender import Recommender
from hstu_preserve.model.time_decay import project_rates
from hstu_preserve.primitives.json_values import Json
from hstu_preserve.records.recipe import Recipe
from hstu_preserve.records.settings.encoders import SasrecSettings
from tests.factories import make_recipe
from tests.model.tiny_losses import position_losses

KINDS = ("HSTU", "SASRec")
MAX_ITEM_ID = 40
NUM_GENRES = 4
NEXT_YEAR_SECONDS = 1_700_000_000

SASREC: dict[str, Json] = {
    "kind": "SASRec",
    "item_embedding_dim": 8,
    "dropout_rate": 0.2,
    "user_embedding_norm": "l2_norm",
    "gr_output_length": 2,
    "main_module_bf16": False,
    "num_blocks": 2,
    "num_heads": 2,
    "ffn_hidden_dim": 12,
    "ffn_activation_fn": "relu",
    "ffn_dropout_rate": 0.2,
}

needs_fbgemm = pytest.mark.skipif(fbgemm_problem() is not None, reason=str(fbgemm_problem()))
OPERATORS = [
    pytest.param(PLAIN_OPERATORS, id="plain"),
    pytest.param(load_operators(), id="fbgemm", marks=needs_fbgemm),
]


def make_model_recipe(kind: str, *, model: dict[str, Json] | None = None, **changes: dict[str, Json]) -> Recipe:
    """Return the tiny recipe of either encoder, with single settings changed as in `make_recipe`."""
    if kind == "HSTU":
        return make_recipe(model=model or {}, **changes)
    settings = SasrecSettings.model_validate(SASREC | (model or {}))
    return make_recipe(**changes).model_copy(update={"model": settings})


def make_items(max_item_id: int = MAX_ITEM_ID, *, seed: int = 0) -> Items:
    """Return random items: each with up to three of four genres, a decade and a count; the first has none of it."""
    generator = torch.Generator().manual_seed(seed)
    genre_JG = (torch.rand(max_item_id + 1, NUM_GENRES, generator=generator) < 0.4).float()
    decade_J = torch.randint(1, NUM_DECADES, (max_item_id + 1,), generator=generator)
    count_J = torch.randint(0, 50, (max_item_id + 1,), generator=generator)
    is_known_J = torch.arange(max_item_id + 1) > 1
    return Items(
        candidate_I=torch.arange(1, max_item_id + 1),
        genre_JG=genre_JG * is_known_J[:, None],
        decade_J=decade_J * is_known_J,
        count_J=count_J * is_known_J,
    )


def make_model(
    recipe: Recipe, *, operators: JaggedOperators = PLAIN_OPERATORS, max_item_id: int = MAX_ITEM_ID, seed: int = 1
) -> Recommender:
    """Return an initialised model in evaluation mode."""
    model = Recommender(recipe, make_items(max_item_id), operators=operators)
    initialize(model, initialization_generators(seed))
    return model.eval()


def make_lively_model(recipe: Recipe, *, operators: JaggedOperators = PLAIN_OPERATORS, seed: int = 1) -> Recommender:
    """Return a model with weights large enough that every one of them shows in the output."""
    model = make_model(recipe, operators=operators, seed=seed)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.5)
    project_rates(model)
    return model


def make_histories(
    lengths: Sequence[int], *, recipe: Recipe, with_target: bool = True, max_item_id: int = MAX_ITEM_ID, seed: int = 0
) -> Histories:
    """Return random histories of the given lengths: ascending times, the target after the last event."""
    generator = torch.Generator().manual_seed(seed)
    positions = recipe.dataset.max_sequence_length + recipe.model.gr_output_length + 1
    shape = (len(lengths), positions)
    length_B = torch.tensor(lengths)
    position_N = torch.arange(positions)
    item_BN = torch.randint(1, max_item_id + 1, shape, generator=generator)
    gap_BN = torch.randint(0, 10, shape, generator=generator) ** torch.randint(1, 7, shape, generator=generator)
    time_BN = NEXT_YEAR_SECONDS + gap_BN.cumsum(1)
    half_star_BN = torch.randint(1, 11, shape, generator=generator)
    is_item_BN = position_N < length_B[:, None] + int(with_target)
    return Histories(
        length_B=length_B,
        item_BN=item_BN * is_item_BN,
        time_BN=time_BN * (position_N <= length_B[:, None]),
        half_star_BN=half_star_BN * (position_N < length_B[:, None]),
        user_B=torch.arange(len(lengths)),
    )


def draw_for(model: Recommender, histories: Histories, *, seed: int = 0) -> Draws:
    """Return the histories with negatives for each position, none of them hard."""
    negative_TK = draw_negatives(model, histories, generator=torch.Generator().manual_seed(seed))
    return Draws(histories=histories, negative_TK=negative_TK, pool_P=None, own_BH=None)


def mean_loss(model: Recommender, histories: Histories, *, seed: int = 0) -> torch.Tensor:
    """Return the mean of the positions' losses."""
    return position_losses(model, draw_for(model, histories, seed=seed)).mean()
