"""Initial weights: upstream's distributions, and a draw of its own for each parameter."""

import math
from fnmatch import fnmatchcase

import pytest
import torch

from hstu_preserve.compute.determinism import initialization_generators
from hstu_preserve.model.initialization import initialize
from hstu_preserve.model.recommender import Recommender
from hstu_preserve.primitives.json_values import Json
from hstu_preserve.records.recipe import Recipe
from tests.model.tiny_models import KINDS, make_model, make_model_recipe

WIDTH, FEED_FORWARD_WIDTH, BLOCKS = 48, 96, 8
GATED_WIDTH = 2 * 16
WIDE: dict[str, dict[str, Json]] = {
    "HSTU": {"num_heads": 2, "dqk": 12, "dv": 16},
    "SASRec": {"num_heads": 2, "ffn_hidden_dim": FEED_FORWARD_WIDTH},
}
PADDED_LENGTH = 400 + 2 + 1
CUT = 2.0
STD_OF_CUT_NORMAL = 0.8796  # of a standard normal cut at two standard deviations
STD_OF_UNIFORM = 1 / math.sqrt(3)  # of a uniform on -1 to 1


def fan_out_bound(rows: int, columns: int) -> float:
    """The bound of Xavier's uniform."""
    return math.sqrt(6 / (rows + columns))


def xavier_std(rows: int, columns: int) -> float:
    return math.sqrt(2 / (rows + columns))


# (encoder, parameters, scale, standard deviation and bound of the distribution with scale 1)
BOUNDED = [
    ("HSTU", "item_embedding.weight", 0.02, STD_OF_CUT_NORMAL, CUT),
    ("HSTU", "*.output.weight", fan_out_bound(WIDTH, GATED_WIDTH), STD_OF_UNIFORM, 1.0),
    ("HSTU", "*.output.bias", GATED_WIDTH**-0.5, STD_OF_UNIFORM, 1.0),
    ("SASRec", "item_embedding.weight", 0.02, STD_OF_CUT_NORMAL, CUT),
    ("SASRec", "input_embedding.position.weight", WIDTH**-0.5, STD_OF_CUT_NORMAL, CUT),
    ("SASRec", "*.feed_forward.expand.bias", WIDTH**-0.5, STD_OF_UNIFORM, 1.0),
    ("SASRec", "*.feed_forward.contract.bias", FEED_FORWARD_WIDTH**-0.5, STD_OF_UNIFORM, 1.0),
]
UNBOUNDED = [
    # The trap: made as a truncated normal with std D^-0.5, then overwritten by upstream's reset_params.
    ("HSTU", "input_embedding.position.weight", xavier_std(PADDED_LENGTH, WIDTH)),
    ("HSTU", "*.uvqk", 0.02),
    ("HSTU", "*.bias.position_weight", 0.02),
    ("HSTU", "*.bias.time_weight", 0.02),
    ("SASRec", "*.in_proj_weight", xavier_std(3 * WIDTH, WIDTH)),
    ("SASRec", "*.out_proj.weight", xavier_std(WIDTH, WIDTH)),
    ("SASRec", "*.feed_forward.expand.weight", xavier_std(WIDTH, FEED_FORWARD_WIDTH)),
    ("SASRec", "*.feed_forward.contract.weight", xavier_std(WIDTH, FEED_FORWARD_WIDTH)),
]
ZERO = [("SASRec", "*.in_proj_bias"), ("SASRec", "*.out_proj.bias")]


def make_wide_recipe(kind: str) -> Recipe:
    return make_model_recipe(
        kind,
        model=WIDE[kind] | {"num_blocks": BLOCKS, "item_embedding_dim": WIDTH},
        dataset={"max_sequence_length": 400},
    )


@pytest.fixture(scope="module")
def wide_models() -> dict[str, Recommender]:
    return {kind: make_model(make_wide_recipe(kind), max_item_id=1000) for kind in KINDS}


def gather(model: Recommender, pattern: str) -> torch.Tensor:
    """Return all values of the parameters that match, of all blocks together."""
    matching = [value.detach().flatten() for name, value in model.named_parameters() if fnmatchcase(name, pattern)]
    return torch.cat(matching)


@pytest.mark.parametrize(("kind", "pattern", "scale", "unit_std", "unit_bound"), BOUNDED)
def test_bounded_weights_have_upstreams_spread_and_end_at_its_bound(
    wide_models: dict[str, Recommender], kind: str, pattern: str, scale: float, unit_std: float, unit_bound: float
) -> None:
    values = gather(wide_models[kind], pattern)
    assert values.std().item() == pytest.approx(scale * unit_std, rel=0.1)
    assert values.mean().abs() < scale / 10
    assert 0.95 < values.abs().max().item() / (scale * unit_bound) <= 1.0 + 1e-6


@pytest.mark.parametrize(("kind", "pattern", "std"), UNBOUNDED)
def test_normal_weights_have_upstreams_spread_and_tails(
    wide_models: dict[str, Recommender], kind: str, pattern: str, std: float
) -> None:
    values = gather(wide_models[kind], pattern)
    assert values.std().item() == pytest.approx(std, rel=0.1)
    assert values.mean().abs() < std / 10
    assert values.abs().max() > 2.5 * std


@pytest.mark.parametrize(("kind", "pattern"), ZERO)
def test_attention_biases_start_at_zero(wide_models: dict[str, Recommender], kind: str, pattern: str) -> None:
    assert not gather(wide_models[kind], pattern).any()


@pytest.mark.parametrize("kind", KINDS)
def test_the_distributions_above_are_those_of_every_parameter(wide_models: dict[str, Recommender], kind: str) -> None:
    rows = [*((row[0], row[1]) for row in BOUNDED), *((row[0], row[1]) for row in UNBOUNDED), *ZERO]
    patterns = [pattern for encoder, pattern in rows if encoder == kind]
    for name, _ in wide_models[kind].named_parameters():
        assert sum(fnmatchcase(name, pattern) for pattern in patterns) == 1, name


@pytest.mark.parametrize("kind", KINDS)
def test_more_blocks_leave_every_other_parameter_as_it_was(kind: str) -> None:
    few, many = (make_model(make_model_recipe(kind, model={"num_blocks": blocks})) for blocks in (2, 5))
    more = dict(many.named_parameters())
    for name, value in few.named_parameters():
        assert torch.equal(more[name], value), name
    assert len(more) > len(list(few.parameters()))


@pytest.mark.parametrize("kind", KINDS)
def test_each_parameter_is_drawn_from_the_generator_of_its_own_name(kind: str) -> None:
    model = make_model(make_model_recipe(kind))
    asked = []

    def make_named_generator(name: str) -> torch.Generator:
        asked.append(name)
        return initialization_generators(1)(name)

    initialize(model, make_named_generator)
    assert asked == [name for name, _ in model.named_parameters()]


@pytest.mark.parametrize("kind", KINDS)
def test_blocks_and_seeds_differ_from_each_other(kind: str) -> None:
    one, other = (make_model(make_model_recipe(kind), seed=seed).state_dict() for seed in (1, 2))
    drawn = [name for name in one if not name.endswith(("in_proj_bias", "out_proj.bias"))]
    for name in drawn:
        assert not torch.equal(one[name], other[name]), name
        if "layers.0." in name:
            assert not torch.equal(one[name], one[name.replace("layers.0.", "layers.1.")]), name


@pytest.mark.parametrize("kind", KINDS)
def test_a_bfloat16_model_starts_with_the_rounded_weights(kind: str) -> None:
    exact, rounded = (
        make_model(make_model_recipe(kind, model={"main_module_bf16": is_bf16})) for is_bf16 in (False, True)
    )
    for name, value in exact.state_dict().items():
        assert torch.equal(rounded.state_dict()[name], value.bfloat16()), name


def test_initializing_twice_gives_the_same_weights() -> None:
    model = make_model(make_model_recipe("HSTU"), seed=3)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    torch.manual_seed(99)
    initialize(model, initialization_generators(3))
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
