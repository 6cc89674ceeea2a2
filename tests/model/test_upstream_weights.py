"""Weights go by our names or upstream's, and what does not fit is named."""

import re

import pytest
import torch
from torch import Tensor

from hstu_preserve.errors import CheckpointError
from hstu_preserve.model.recommender import Recommender
from hstu_preserve.model.upstream_weights import (
    DDP_PREFIX,
    build_for_weights,
    count_item_rows,
    from_upstream,
    load_state,
    to_upstream,
    unwrap,
    upstream_name,
)
from tests.model.tiny_models import KINDS, MAX_ITEM_ID, make_lively_model, make_model, make_model_recipe

ITEM_TABLES = (
    "item_embedding.weight",
    "_embedding_module._item_emb.weight",
)


def without_prefix(state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(DDP_PREFIX): value for name, value in state.items()}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("naming", ["ours", "upstream", "upstream in DDP"])
def test_weights_load_under_either_naming(kind: str, naming: str) -> None:
    recipe = make_model_recipe(kind)
    source, copy = make_lively_model(recipe), make_model(recipe)
    states = {
        "ours": source.state_dict(),
        "upstream": without_prefix(to_upstream(source)),
        "upstream in DDP": to_upstream(source),
    }
    load_state(copy, states[naming], source="test")
    assert copy.state_dict().keys() == source.state_dict().keys()
    for name, value in source.state_dict().items():
        assert torch.equal(copy.state_dict()[name], value), name


@pytest.mark.parametrize("kind", KINDS)
def test_every_parameter_has_a_name_of_its_own_in_upstream(kind: str) -> None:
    names = list(make_model(make_model_recipe(kind)).state_dict())
    assert len({upstream_name(name) for name in names}) == len(names)


def test_the_exported_mask_hides_what_comes_later() -> None:
    model = make_model(make_model_recipe("HSTU"))
    mask = to_upstream(model)["module._attn_mask"]
    assert [[bool(mask[n, m]) for m in range(3)] for n in range(3)] == [
        [False, True, True],
        [False, False, True],
        [False, False, False],
    ]
    assert mask.shape == (11, 11)


def test_upstreams_position_wise_layers_are_convolutions_of_width_one() -> None:
    exported = to_upstream(make_model(make_model_recipe("SASRec")))
    assert exported["module.forward_layers.1._conv1d.0.weight"].shape == (12, 8, 1)
    assert exported["module.forward_layers.1._conv1d.3.weight"].shape == (8, 12, 1)
    assert exported["module.forward_layers.1._conv1d.3.bias"].shape == (8,)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("is_upstream", [False, True])
def test_a_missing_tensor_is_named(kind: str, is_upstream: bool) -> None:
    model = make_model(make_model_recipe(kind))
    state, ours = model.state_dict(), "input_embedding.position.weight"
    if is_upstream:
        state = to_upstream(model)
    del state[f"{DDP_PREFIX}{upstream_name(ours)}" if is_upstream else ours]
    with pytest.raises(
        CheckpointError, match=r"^some/where: .*input_embedding.position.weight \(recipe 11×8, .*absent"
    ):
        load_state(model, state, source="some/where")


def test_an_unknown_tensor_is_named() -> None:
    model = make_model(make_model_recipe("HSTU"))
    state = model.state_dict() | {"prism.scale": torch.zeros(2, 3)}
    with pytest.raises(CheckpointError, match=r"^some/where: .*prism.scale \(recipe absent, checkpoint 2×3\)"):
        load_state(model, state, source="some/where")


def test_an_unknown_tensor_of_upstreams_is_named_together_with_the_file() -> None:
    model = make_model(make_model_recipe("HSTU"))
    state = to_upstream(model) | {"module._hstu.prism": torch.zeros(2, 3)}
    with pytest.raises(CheckpointError, match=r"^some/where: .*_hstu\.prism \(2, 3\)"):
        load_state(model, state, source="some/where")


@pytest.mark.parametrize("kind", KINDS)
def test_weights_of_another_encoder_are_refused(kind: str) -> None:
    other = next(name for name in KINDS if name != kind)
    state = to_upstream(make_model(make_model_recipe(other)))
    with pytest.raises(CheckpointError):
        load_state(make_model(make_model_recipe(kind)), state, source="test")


def test_a_tensor_of_another_shape_is_named_and_nothing_is_loaded() -> None:
    model = make_model(make_model_recipe("HSTU"))
    before = model.item_embedding.weight.detach().clone()
    state = make_lively_model(model.recipe).state_dict() | {"encoder.layers.1.output.bias": torch.zeros(9)}
    with pytest.raises(CheckpointError, match=re.escape("encoder.layers.1.output.bias (recipe 8, checkpoint 9)")):
        load_state(model, state, source="test")
    assert torch.equal(model.item_embedding.weight, before)


def test_a_convolution_wider_than_one_does_not_become_a_projection() -> None:
    model = make_model(make_model_recipe("SASRec"))
    state = to_upstream(model) | {"module.forward_layers.0._conv1d.0.weight": torch.zeros(12, 8, 3)}
    with pytest.raises(CheckpointError, match="12×8×3"):
        load_state(model, state, source="test")


def test_only_the_first_differing_tensors_are_listed_and_the_rest_counted() -> None:
    model = make_model(make_model_recipe("HSTU"))
    with pytest.raises(CheckpointError, match=f"and {len(model.state_dict()) - 4} more"):
        load_state(model, {}, source="test")


def test_from_upstream_leaves_out_the_mask() -> None:
    model = make_model(make_model_recipe("HSTU"))
    assert from_upstream(unwrap(to_upstream(model)), model, source="test").keys() == model.state_dict().keys()


@pytest.mark.parametrize("name", ITEM_TABLES)
def test_the_rows_of_the_item_table_are_counted_under_any_naming(name: str) -> None:
    assert count_item_rows({name: torch.zeros(MAX_ITEM_ID + 1, 8)}, source="test") == MAX_ITEM_ID + 1


@pytest.mark.parametrize("state", [{}, {"other": torch.zeros(3, 2)}, {"item_embedding.weight": torch.tensor(1.0)}])
def test_a_state_without_an_item_table_is_refused(state: dict[str, Tensor]) -> None:
    with pytest.raises(CheckpointError, match=r"^some/where: has no item table"):
        count_item_rows(state, source="some/where")


PREFIXES = (
    "module.",
    "_orig_mod.",
    "module._orig_mod.",
    "_orig_mod.module.",
    "module.module.",
    "_fsdp_wrapped_module.",
    "model.",
    "model._orig_mod.module._fsdp_wrapped_module.",
    "trainer.net.",
)


@pytest.mark.parametrize("prefix", PREFIXES)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("is_upstream", [False, True])
def test_any_common_prefix_is_taken_off(prefix: str, kind: str, is_upstream: bool) -> None:
    recipe = make_model_recipe(kind)
    source = make_lively_model(recipe)
    state = without_prefix(to_upstream(source)) if is_upstream else source.state_dict()
    assert build_and_compare(source, {f"{prefix}{name}": value for name, value in state.items()})


@pytest.mark.parametrize("wrapper", ["_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module"])
def test_wrappers_of_parts_of_the_model_are_taken_off(wrapper: str) -> None:
    source = make_lively_model(make_model_recipe("HSTU"))
    state = {
        re.sub(r"(_hstu|_attention_layers\.[0-9]+)\.", rf"\1.{wrapper}.", name): value
        for name, value in to_upstream(source).items()
    }
    assert any(f"_attention_layers.0.{wrapper}._uvqk" in name for name in state)
    assert build_and_compare(source, state)


def build_and_compare(source: Recommender, state: dict[str, Tensor]) -> bool:
    """Whether a model that is built for the weights, and one that loads them, hold the source's."""
    loaded = make_model(source.recipe)
    load_state(loaded, state, source="test")
    built = build_for_weights(source.recipe, state, source="test")
    expected = source.state_dict()
    return all(
        copy.state_dict().keys() == expected.keys()
        and all(torch.equal(value, expected[name]) for name, value in copy.state_dict().items())
        for copy in (loaded, built)
    )


@pytest.mark.parametrize("stray", ["scaler", "ema._embedding_module._item_emb.weight", "model.x"])
def test_a_tensor_without_the_prefix_is_the_one_that_is_named(stray: str) -> None:
    model = make_model(make_model_recipe("HSTU"))
    with pytest.raises(CheckpointError, match=rf"tensors that the recipe's model does not have: {stray} \(2,\)$"):
        load_state(model, {**to_upstream(model), stray: torch.zeros(2)}, source="test")


def test_names_that_only_a_wrapper_tells_apart_stay_apart() -> None:
    model = make_model(make_model_recipe("HSTU"))
    state = to_upstream(model)
    twice = {**state, **{f"_orig_mod.{name}": value for name, value in state.items()}}
    with pytest.raises(CheckpointError, match="does not have"):
        load_state(model, twice, source="test")
