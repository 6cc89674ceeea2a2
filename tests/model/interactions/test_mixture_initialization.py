"""Initial weights of Mixture of Logits: what rails' `reset_params` leaves, the bias of its gated layer included."""

import json
import math

import pytest
import torch

from hstu_preserve.model.recommender import Recommender
from hstu_preserve.model.upstream_weights import to_upstream
from hstu_preserve.primitives.json_values import Json
from tests.model.foundations_golden import FOLDER
from tests.model.interactions.tiny_mixtures import load_rails, make_mol_recipe
from tests.model.tiny_models import make_model, make_model_recipe

WIDE: dict[str, Json] = {
    "query_dot_product_groups": 8,
    "item_dot_product_groups": 8,
    "dot_product_dimension": 32,
    "uid_embedding_hash_sizes": [400, 300],
    "gating_query_hidden_dim": 64,
    "gating_item_hidden_dim": 64,
    "gating_qi_hidden_dim": 64,
}
GATED: dict[str, Json] = {"query_hidden_dim": 256, "item_hidden_dim": 256}
LINEAR: dict[str, Json] = {"query_hidden_dim": -1, "item_hidden_dim": -1, "gating_qi_hidden_dim": 0}


def make_wide(layers: dict[str, Json], *, kind: str = "HSTU") -> Recommender:
    return make_model(make_mol_recipe(WIDE | layers, kind=kind, model={"item_embedding_dim": 48}))


@pytest.mark.parametrize("kind", ["HSTU", "SASRec"])
@pytest.mark.parametrize("layers", [GATED, LINEAR], ids=["gated", "linear"])
def test_every_weight_is_xavier_normal_and_every_bias_zero_but_for_two(layers: dict[str, Json], kind: str) -> None:
    mixture = make_wide(layers, kind=kind).mixture
    assert mixture is not None
    exceptions = []
    for name, value in mixture.named_parameters():
        if value.ndim == 2:  # the bias of a gated layer, too: a matrix of one row
            std = math.sqrt(2 / sum(value.shape))
            assert value.std().item() == pytest.approx(std, rel=0.15), name
            assert value.mean().abs() < 0.2 * std, name
            assert value.abs().max() > 2.2 * std, name
        elif bool(value.any()):
            exceptions.append(name)
    assert exceptions == (["query.contract.bias"] if layers is GATED else [])
    if layers is GATED:
        bias, bound = mixture.get_parameter("query.contract.bias"), 256**-0.5
        assert 0.9 * bound < bias.abs().max().item() <= bound
        assert bias.std().item() == pytest.approx(bound / math.sqrt(3), rel=0.15)
        assert bool(mixture.get_parameter("query.expand.bias").any())
        assert mixture.get_parameter("uid.0.weight")[0].std() > 0  # padding, which nobody reads, is drawn as well


def test_what_rails_draws_is_drawn_and_as_wide_as_there() -> None:
    there = json.loads((FOLDER / "mol_tiny.json").read_text())["mol_at_initialisation"]
    model = make_model(load_rails().recipe())
    ours = {name.removeprefix("module."): value for name, value in to_upstream(model).items() if "_ndp" in name}
    assert ours.keys() == there.keys()
    for name, (shape, std, _) in there.items():
        assert list(ours[name].shape) == shape
        assert bool(ours[name].any()) is (std > 0), name
        if std:  # of 20 to 256 values
            assert ours[name].std().item() == pytest.approx(std, rel=0.6), name


def test_a_mixture_shifts_no_other_weight() -> None:
    with_mixture = dict(make_model(make_mol_recipe()).named_parameters())
    for name, value in make_model(make_model_recipe("HSTU")).named_parameters():
        assert torch.equal(with_mixture[name], value), name
