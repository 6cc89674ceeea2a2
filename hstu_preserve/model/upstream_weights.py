"""State dicts between our parameter names and upstream's, whatever wrappers put before them."""

import re
from collections.abc import Mapping

import torch
from torch import Tensor

from hstu_preserve.errors import CheckpointError, UsageError
from hstu_preserve.model.interactions.upstream_names import NAME_RULES as MIXTURE_RULES
from hstu_preserve.model.items import Items, items_of_shape
from hstu_preserve.model.recommender import Recommender, sketch
from hstu_preserve.primitives.wording import list_some
from hstu_preserve.records.recipe import Recipe

DDP_PREFIX = "module."
WRAPPERS = frozenset({"_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module"})
"""What torch.compile, FSDP and activation checkpointing put before the names inside a module that they wrap."""
# Upstream stores the causal mask with the weights; it follows from the recipe.
MASK_NAME = "_attn_mask"

ITEM_TABLE = "item_embedding.weight"
UPSTREAM_ITEM_TABLE = "_embedding_module._item_emb.weight"
GENRE_TABLES = ("prism.features.genres.weight", "compression.pooling.genre_embedding")
"""Tensors with a row for each genre of the store."""

NAME_RULES = (
    (r"item_embedding\.weight", UPSTREAM_ITEM_TABLE),
    (r"input_embedding\.position\.weight", "_input_features_preproc._pos_emb.weight"),
    (r"encoder\.layers\.(\d+)\.uvqk", r"_hstu._attention_layers.\1._uvqk"),
    (r"encoder\.layers\.(\d+)\.bias\.time_weight", r"_hstu._attention_layers.\1._rel_attn_bias._ts_w"),
    (r"encoder\.layers\.(\d+)\.bias\.position_weight", r"_hstu._attention_layers.\1._rel_attn_bias._pos_w"),
    (r"encoder\.layers\.(\d+)\.output\.(weight|bias)", r"_hstu._attention_layers.\1._o.\2"),
    (r"encoder\.layers\.(\d+)\.attention\.(in_proj_\w+|out_proj\.\w+)", r"attention_layers.\1.\2"),
    (r"encoder\.layers\.(\d+)\.feed_forward\.expand\.(weight|bias)", r"forward_layers.\1._conv1d.0.\2"),
    (r"encoder\.layers\.(\d+)\.feed_forward\.contract\.(weight|bias)", r"forward_layers.\1._conv1d.3.\2"),
    *MIXTURE_RULES,
)
CONVOLUTION = re.compile(r"forward_layers\.\d+\._conv1d\.\d+\.weight")


def upstream_name(name: str) -> str | None:
    """Return upstream's name (without `module.`) of one of our parameters, None if upstream has no such thing."""
    for pattern, replacement in NAME_RULES:
        match = re.fullmatch(pattern, name)
        if match:
            return match.expand(replacement)
    return None


def to_upstream_tensor(name: str, value: Tensor) -> Tensor:
    """Return the tensor in upstream's shape: its position-wise layers are convolutions of width 1."""
    return value.unsqueeze(-1) if CONVOLUTION.fullmatch(name) else value


def from_upstream_tensor(name: str, value: Tensor) -> Tensor:
    """Return the tensor in our shape."""
    return value.squeeze(-1) if CONVOLUTION.fullmatch(name) and value.ndim == 3 else value


def to_upstream(model: Recommender) -> dict[str, Tensor]:
    """Return the model's weights as upstream's DDP-wrapped model would save them, causal mask included.

    Raises:
        UsageError: The model has components that upstream's has not.
    """
    length = model.recipe.padded_length
    mask = torch.ones(length, length, dtype=torch.bool).triu(diagonal=1)
    state, foreign = {DDP_PREFIX + MASK_NAME: mask}, []
    for name, value in model.state_dict().items():
        theirs = upstream_name(name)
        if theirs is None:
            foreign.append(name)
        else:
            state[DDP_PREFIX + theirs] = to_upstream_tensor(theirs, value.detach().cpu())
    if foreign:
        raise UsageError(f"upstream's model has no place for {', '.join(foreign[:4])}; only a model without it exports")
    return state


def build_for_weights(recipe: Recipe, state: Mapping[str, Tensor], *, source: str) -> Recommender:
    """Return a model that holds these weights, without knowing the items behind them.

    Raises:
        CheckpointError: There is no item table, or the weights do not fit the recipe.
    """
    state = unwrap(state)
    return build_with_weights(recipe, guess_items(state, source=source), state, source=source)


def guess_items(state: Mapping[str, Tensor], *, source: str) -> Items:
    """Return as many items, and genres, as unwrapped weights have rows for.

    Raises:
        CheckpointError: There is no item table.
    """
    return items_of_shape(
        max_item_id=count_item_rows(state, source=source) - 1,
        num_genres=max((len(state[name]) for name in GENRE_TABLES if name in state and state[name].ndim), default=0),
    )


def build_with_weights(recipe: Recipe, items: Items, state: Mapping[str, Tensor], *, source: str) -> Recommender:
    """Return a model of these items that holds these weights.

    Shapes are compared on a model without memory first: a recipe may name sizes that fit nowhere.

    Raises:
        CheckpointError: The weights do not fit the recipe.
    """
    try:
        find_fitting(sketch(recipe, items), state, source=source)
    except MemoryError as error:
        raise CheckpointError(
            f"{source}: shapes differ from the recipe's model, which fits nowhere ({error})"
        ) from None
    model = Recommender(recipe, items)
    load_state(model, state, source=source)
    return model


def unwrap(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the state dict without what wrappers of the model (DDP, torch.compile, FSDP, a trainer) put before names.

    What stands before the first item table's name is the prefix. If two names would then be the same, all stay as they
    are, and are refused as unknown.
    """
    names = {name: ".".join(part for part in name.split(".") if part not in WRAPPERS) for name in state}
    tables = (ITEM_TABLE, UPSTREAM_ITEM_TABLE)
    prefixes = (name.removesuffix(table) for name in names.values() for table in tables if name.endswith(f".{table}"))
    prefix = next(prefixes, "")
    bare = {names[name].removeprefix(prefix): value for name, value in state.items()}
    return bare if len(bare) == len(state) else dict(state)


def count_item_rows(state: Mapping[str, Tensor], *, source: str) -> int:
    """Return the rows of the item table in an unwrapped state dict of either naming.

    Raises:
        CheckpointError: It has no item table.
    """
    for name in (ITEM_TABLE, UPSTREAM_ITEM_TABLE):
        if name in state and len(state[name].shape) and len(state[name]):
            return len(state[name])
    raise CheckpointError(f"{source}: has no item table ({ITEM_TABLE})")


def is_upstream(state: Mapping[str, Tensor]) -> bool:
    """Whether the names are upstream's rather than ours."""
    return any("_embedding_module." in name for name in state)


def from_upstream(state: Mapping[str, Tensor], model: Recommender, *, source: str) -> dict[str, Tensor]:
    """Return upstream's weights, unwrapped, under our names; `source` says where they come from, for the message.

    Raises:
        CheckpointError: A tensor has no place in the model; the first ones are named.
    """
    ours_by_theirs = {theirs: name for name in model.state_dict() if (theirs := upstream_name(name))}
    result, unknown = {}, []
    for name, value in state.items():
        if name == MASK_NAME:
            continue
        if name in ours_by_theirs:
            result[ours_by_theirs[name]] = from_upstream_tensor(name, value)
        else:
            unknown.append(f"{name} {tuple(value.shape)}")
    if unknown:
        raise CheckpointError(f"{source}: tensors that the recipe's model does not have: {', '.join(unknown[:4])}")
    return result


def load_state(model: Recommender, state: Mapping[str, Tensor], *, source: str) -> None:
    """Load weights in our names or upstream's; all of them must fit.

    Raises:
        CheckpointError: They do not, see `find_fitting`.
    """
    model.load_state_dict(find_fitting(model, state, source=source))


def find_fitting(model: Recommender, state: Mapping[str, Tensor], *, source: str) -> dict[str, Tensor]:
    """Return weights in our names or upstream's, bare or wrapped, under the names of a model that all of them fit.

    Args:
        model: Whose names and shapes are expected.
        state: Named tensors; see `unwrap`.
        source: Where they come from, for the message.

    Raises:
        CheckpointError: Names or shapes differ; the first differing tensors are named.
    """
    state = unwrap(state)
    found = from_upstream(state, model, source=source) if is_upstream(state) else dict(state)
    expected = model.state_dict()
    differing = [
        f"{name} (recipe {describe_shape(expected.get(name))}, checkpoint {describe_shape(found.get(name))})"
        for name in [*expected, *(name for name in found if name not in expected)]
        if describe_shape(expected.get(name)) != describe_shape(found.get(name))
    ]
    if differing:
        raise CheckpointError(f"{source}: shapes differ from the recipe's model: {list_some(differing, at_most=4)}")
    return found


def find_other_dtypes(model: Recommender, state: Mapping[str, Tensor]) -> tuple[set[str], set[str]]:
    """Return the number formats of weights that `load_state` converts: those of the weights, and those of the model."""
    state = unwrap(state)
    found = from_upstream(state, model, source="") if is_upstream(state) else state
    pairs = [
        (found[name].dtype, own.dtype) for name, own in model.state_dict().items() if found[name].dtype != own.dtype
    ]
    theirs, ours = ({str(pair[side]).removeprefix("torch.") for pair in pairs} for side in (0, 1))
    return theirs, ours


def describe_shape(value: Tensor | None) -> str:
    """Return the shape as text, or `absent`."""
    return "absent" if value is None else "×".join(str(size) for size in value.shape)
