"""Describe the values of a pickle for a walk that builds none of them: kinds, shapes, sizes, allowed places."""

from dataclasses import dataclass, field
from math import prod
from typing import NoReturn

from hstu_preserve.errors import CheckpointError

MAX_DIMENSIONS = 8
MAX_EXTENT = 2**40
CHARACTERS_PER_VALUE = 64  # a text that is repeated by reference counts by its length


@dataclass(frozen=True)
class GlobalName:
    """A global by its name, never looked up."""

    name: str


@dataclass(frozen=True)
class Storage:
    """A tensor's memory: which member holds it, of which type and length."""

    key: str
    type_name: str
    num_elements: int


@dataclass(frozen=True)
class TensorShape:
    """A tensor, known by its shape only."""

    shape: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class TupleOf:
    """A tuple; `is_plain` without globals and storages.

    What is asked of it often is found once: repeated by reference, a long one must not be read each time.
    """

    items: "tuple[Value, ...]"
    weight: int
    depth: int
    is_plain: bool
    holds_extents: bool
    """Whether every item can be a size, a stride or an offset."""


@dataclass(kw_only=True)
class Container:
    """A dict, list or OrderedDict."""

    kind: str
    weight: int = 1
    depth: int = 1
    keys: set[str | int] = field(default_factory=set)
    has_attributes: bool = False
    is_complete: bool = False
    """Whether it lies in another value or was referred to. It then grows no more, and so never holds itself."""


Value = None | bool | int | float | str | GlobalName | Storage | TensorShape | TupleOf | Container


def weigh(value: Value) -> int:
    """Return how many values reading the whole of `value` touches."""
    if isinstance(value, TupleOf | Container):
        return value.weight
    return 1 + len(value) // CHARACTERS_PER_VALUE if isinstance(value, str) else 1


def measure_depth(value: Value) -> int:
    """Return how many containers lie inside each other."""
    return value.depth if isinstance(value, TupleOf | Container) else 0


def is_plain(value: Value) -> bool:
    """Whether a value may stand in a checkpoint by itself."""
    return value.is_plain if isinstance(value, TupleOf) else not isinstance(value, GlobalName | Storage)


def is_extent(value: object) -> bool:
    """Whether a value can be a size, a stride or an offset."""
    return type(value) is int and 0 <= value < MAX_EXTENT


def make_tuple(items: list[Value]) -> TupleOf:
    """Return the tuple of some values, which are complete from now on."""
    complete(items)
    return TupleOf(
        items=tuple(items),
        weight=1 + sum(map(weigh, items)),
        depth=1 + max(map(measure_depth, items), default=0),
        is_plain=all(map(is_plain, items)),
        holds_extents=all(map(is_extent, items)),
    )


def complete(items: list[Value]) -> None:
    """Mark the containers among some values as complete: whatever weighed them will have weighed all of them."""
    for item in items:
        if isinstance(item, Container):
            item.is_complete = True


def refuse(reason: str) -> NoReturn:
    """Refuse the opcode at hand; the loop adds its name and place.

    Raises:
        CheckpointError: Always.
    """
    raise CheckpointError(reason)


def describe_tensor(arguments: TupleOf) -> TensorShape:
    """Return the tensor that `_rebuild_tensor_v2` would make, which must lie inside its storage.

    Raises:
        CheckpointError: It does not, or the arguments are of other types.
    """
    match arguments.items:
        case (
            Storage(num_elements=num_elements),
            int(offset),
            TupleOf(items=shape, holds_extents=True),
            TupleOf(items=strides, holds_extents=True),
            bool(),
            Container(kind="OrderedDict", weight=1),
        ) if is_extent(offset):
            pass
        case _:
            refuse("_rebuild_tensor_v2 with arguments that torch does not write")
    if len(shape) != len(strides) or len(shape) > MAX_DIMENSIONS:
        refuse(f"a tensor of {len(shape)} dimensions and {len(strides)} strides")
    sizes = [size for size in shape if type(size) is int]
    steps = [step for step in strides if type(step) is int]
    last = offset + sum((size - 1) * step for size, step in zip(sizes, steps, strict=True))
    size = prod(sizes)
    if max(offset, size) > num_elements or (size and last >= num_elements):
        refuse(f"a tensor of shape {'×'.join(map(str, sizes))} reaches beyond its storage of {num_elements}")
    return TensorShape(tuple(sizes))


def describe_parameter(arguments: TupleOf) -> TensorShape:
    """Return the tensor that `_rebuild_parameter` would wrap.

    Raises:
        CheckpointError: The arguments are not a tensor, a truth value and no hooks.
    """
    match arguments.items:
        case (TensorShape() as tensor, bool(), Container(kind="OrderedDict", weight=1)):
            return tensor
        case _:
            refuse("_rebuild_parameter with arguments that torch does not write")


def describe_size(arguments: TupleOf) -> TupleOf:
    """Return the tuple of integers that `torch.Size` would make.

    Raises:
        CheckpointError: The argument is not a tuple of sizes.
    """
    match arguments.items:
        case (TupleOf(holds_extents=True) as sizes,):
            return sizes
        case _:
            refuse("torch.Size with arguments that torch does not write")
