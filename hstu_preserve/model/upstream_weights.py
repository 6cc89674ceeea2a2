"""State dicts between our parameter names and upstream's (with or without DDP's `module.`)."""

import re
from collections.abc import Mapping

import torch
from torch import Tensor

from hstu_preserve.errors import CheckpointError
from hstu_preserve.model.recommender import Recommender

DDP_PREFIX = "module."
# Upstream stores the causal mask with the weights; it follows from the recipe.
MASK_NAME = "_attn_mask"

NAME_RULES = (
    (r"item_embedding\.weight", "_embedding_module._item_emb.weight"),
    (r"input_embedding\.position\.weight", "_input_features_preproc._pos_emb.weight"),
    (r"encoder\.layers\.(\d+)\.uvqk", r"_hstu._attention_layers.\1._uvqk"),
    (r"encoder\.layers\.(\d+)\.bias\.time_weight", r"_hstu._attention_layers.\1._rel_attn_bias._ts_w"),
    (r"encoder\.layers\.(\d+)\.bias\.position_weight", r"_hstu._attention_layers.\1._rel_attn_bias._pos_w"),
    (r"encoder\.layers\.(\d+)\.output\.(weight|bias)", r"_hstu._attention_layers.\1._o.\2"),
    (r"encoder\.layers\.(\d+)\.attention\.(in_proj_\w+|out_proj\.\w+)", r"attention_layers.\1.\2"),
    (r"encoder\.layers\.(\d+)\.feed_forward\.expand\.(weight|bias)", r"forward_layers.\1._conv1d.0.\2"),
    (r"encoder\.layers\.(\d+)\.feed_forward\.contract\.(weight|bias)", r"forward_layers.\1._conv1d.3.\2"),
)
CONVOLUTION = re.compile(r"forward_layers\.\d+\._conv1d\.\d+\.weight")


def upstream_name(name: str) -> str:
    """Return upstream's name (without `module.`) of one of our parameters."""
    for pattern, replacement in NAME_RULES:
        match = re.fullmatch(pattern, name)
        if match:
            return match.expand(replacement)
    raise ValueError(f"{name}: no upstream name")


def to_upstream_tensor(name: str, value: Tensor) -> Tensor:
    """Return the tensor in upstream's shape: its position-wise layers are convolutions of width 1."""
    return value.unsqueeze(-1) if CONVOLUTION.fullmatch(name) else value


def from_upstream_tensor(name: str, value: Tensor) -> Tensor:
    """Return the tensor in our shape."""
    return value.squeeze(-1) if CONVOLUTION.fullmatch(name) and value.ndim == 3 else value


def to_upstream(model: Recommender) -> dict[str, Tensor]:
    """Return the model's weights as upstream's DDP-wrapped model would save them, causal mask included."""
    length = model.recipe.padded_length
    mask = torch.ones(length, length, dtype=torch.bool).triu(diagonal=1)
    state = {DDP_PREFIX + MASK_NAME: mask}
    for name, value in model.state_dict().items():
        theirs = upstream_name(name)
        state[DDP_PREFIX + theirs] = to_upstream_tensor(theirs, value.detach().cpu())
    return state


def count_item_rows(state: Mapping[str, Tensor], *, source: str) -> int:
    """Return the rows of the item table in a state dict of either naming.

    Raises:
        CheckpointError: It has no item table.
    """
    ours = "item_embedding.weight"
    for name in (ours, upstream_name(ours), DDP_PREFIX + upstream_name(ours)):
        if name in state and state[name].ndim:
            return len(state[name])
    raise CheckpointError(f"{source}: has no item table ({ours})")


def is_upstream(state: Mapping[str, Tensor]) -> bool:
    """Whether the names are upstream's rather than ours."""
    return any("_embedding_module." in name for name in state)


def from_upstream(state: Mapping[str, Tensor], model: Recommender, *, source: str) -> dict[str, Tensor]:
    """Return upstream's weights under our names; `source` says where they come from, for the message.

    Raises:
        CheckpointError: A tensor has no place in the model; the first ones are named.
    """
    ours_by_theirs = {upstream_name(name): name for name in model.state_dict()}
    result, unknown = {}, []
    for full_name, value in state.items():
        name = full_name.removeprefix(DDP_PREFIX)
        if name == MASK_NAME:
            continue
        if name in ours_by_theirs:
            result[ours_by_theirs[name]] = from_upstream_tensor(name, value)
        else:
            unknown.append(f"{full_name} {tuple(value.shape)}")
    if unknown:
        raise CheckpointError(f"{source}: tensors that the recipe's model does not have: {', '.join(unknown[:4])}")
    return result


def load_state(model: Recommender, state: Mapping[str, Tensor], *, source: str) -> None:
    """Load weights in our names or upstream's; all of them must fit.

    Args:
        model: Receives the weights.
        state: Named tensors.
        source: Where they come from, for the message.

    Raises:
        CheckpointError: Names or shapes differ; the first differing tensors are named.
    """
    found = from_upstream(state, model, source=source) if is_upstream(state) else dict(state)
    expected = model.state_dict()
    differing = [
        f"{name} (recipe {describe_shape(expected.get(name))}, checkpoint {describe_shape(found.get(name))})"
        for name in [*expected, *(name for name in found if name not in expected)]
        if describe_shape(expected.get(name)) != describe_shape(found.get(name))
    ]
    if differing:
        more = f" and {len(differing) - 4} more" if len(differing) > 4 else ""
        raise CheckpointError(f"{source}: shapes differ from the recipe's model: {', '.join(differing[:4])}{more}")
    model.load_state_dict(found)


def describe_shape(value: Tensor | None) -> str:
    """Return the shape as text, or `absent`."""
    return "absent" if value is None else "×".join(str(size) for size in value.shape)
