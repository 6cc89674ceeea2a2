"""Describe whatever somebody else's pickle would build: tensors by their places, everything else by its name."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from math import prod

from hstu_preserve.checkpoint_files.values import CHARACTERS_PER_VALUE, GlobalName, Storage, is_extent, refuse

MAX_VALUES = 1_000_000
MAX_NESTING = 10_000
"""Of values in each other. Python's pickler gives up at 1,000 calls, unless it is told otherwise."""
MAX_DIMENSIONS = 64
MAX_ARGUMENTS = 9
"""Of a function that rebuilds a tensor: the arguments may be repeated by reference, and must not be read each time."""
MAX_TENSOR_BYTES = 2**32
"""Of a tensor that repeats its elements (`expand`), which may be larger than its storage."""

STORAGES = {
    "torch BFloat16Storage": "bfloat16", "torch BoolStorage": "bool", "torch ByteStorage": "uint8",
    "torch CharStorage": "int8", "torch ComplexDoubleStorage": "complex128", "torch ComplexFloatStorage": "complex64",
    "torch DoubleStorage": "float64", "torch FloatStorage": "float32", "torch HalfStorage": "float16",
    "torch IntStorage": "int32", "torch LongStorage": "int64", "torch ShortStorage": "int16",
    "torch.storage UntypedStorage": "bytes",
}  # fmt: skip
ITEM_BYTES = {
    "bool": 1, "bytes": 1, "float8_e4m3fn": 1, "float8_e4m3fnuz": 1, "float8_e5m2": 1, "float8_e5m2fnuz": 1, "int8": 1,
    "uint8": 1, "bfloat16": 2, "float16": 2, "int16": 2, "uint16": 2, "float32": 4, "int32": 4, "uint32": 4,
    "complex64": 8, "float64": 8, "int64": 8, "uint64": 8, "complex128": 16,
}  # fmt: skip
"""Element sizes of torch's dtypes; storages without a type are counted in bytes."""


@dataclass(frozen=True, kw_only=True)
class TensorView:
    """A tensor, known by the place of its elements, all of which lie inside the storage.

    Attributes:
        storage: Where they are.
        dtype: Its type by torch's name, without `torch.`.
        offset: Where the first one is, counted in elements.
        shape: Its sizes.
        strides: How many elements lie between neighbours, for each dimension.
    """

    storage: Storage
    dtype: str
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


@dataclass(eq=False, slots=True, kw_only=True)
class Thing:
    """A value with parts, which nobody builds; two are equal only if they are the same one.

    Attributes:
        name: `dict`, `list` and so on, or the global that it would be made of.
        is_plain: Whether Python itself has such values, so that it need not be named.
        parts: Elements, arguments of the call, attributes: all that it refers to but its entries.
        entries: Keys with values, of a mapping.
        weight: How many values reading the whole of it touches; 1 if it is not plain.
        depth: How many plain things lie inside each other; 0 if it is not plain.
    """

    name: str
    is_plain: bool
    parts: "list[Described]" = field(default_factory=list)
    entries: "list[tuple[Described, Described]]" = field(default_factory=list)
    weight: int = 1
    depth: int = 1

    def include(self, *values: "Described") -> None:
        """Count values that are put into it, by reference.

        Raises:
            CheckpointError: Repetition or nesting makes it larger than any checkpoint's.
        """
        if not self.is_plain:
            return
        for value in values:
            self.weight += weigh(value)
            self.depth = max(self.depth, 1 + measure_depth(value))
        if self.weight > MAX_VALUES:
            refuse(f"more than {MAX_VALUES} values")
        if self.depth > MAX_NESTING:
            refuse(f"nested deeper than {MAX_NESTING}")


Described = None | bool | int | float | str | GlobalName | Storage | TensorView | Thing


def weigh(value: Described) -> int:
    """Return how many values reading the whole of `value` touches."""
    if isinstance(value, Thing):
        return value.weight
    return 1 + len(value) // CHARACTERS_PER_VALUE if isinstance(value, str) else 1


def measure_depth(value: Described) -> int:
    """Return how many plain things lie inside each other."""
    return value.depth if isinstance(value, Thing) and value.is_plain else 0


def plain(name: str, parts: "Sequence[Described]" = ()) -> Thing:
    """Return the description of a value that Python itself has."""
    thing = Thing(name=name, is_plain=True, parts=list(parts))
    thing.include(*parts)
    return thing


def opaque(name: str, parts: "Sequence[Described]" = ()) -> Thing:
    """Return the description of something that only other code could build."""
    return Thing(name=name, is_plain=False, parts=list(parts))


def made_of(function: GlobalName, parts: "Sequence[Described]") -> Thing:
    """Return the description of what only the code of a global could build."""
    return opaque(dotted(function.name), parts)


def dotted(name: str) -> str:
    """Return a global's name as Python writes it."""
    return name.replace(" ", ".", 1)


def is_tuple(value: Described) -> bool:
    """Whether a value is a tuple."""
    return isinstance(value, Thing) and value.name == "tuple"


def list_extents(value: Described) -> tuple[int, ...] | None:
    """Return the sizes or strides that a tuple holds, None for anything else."""
    if not isinstance(value, Thing) or not is_tuple(value) or len(value.parts) > MAX_DIMENSIONS:
        return None
    if not all(map(is_extent, value.parts)):
        return None
    return tuple(part for part in value.parts if type(part) is int)


def describe_view(
    storage: Described, offset: Described, shape: Described, strides: Described, *, dtype: str | None = None
) -> TensorView | None:
    """Return a tensor by the arguments it is rebuilt from, None if they are not what torch writes.

    Args:
        storage: Its memory.
        offset: Of its first element.
        shape: Its sizes.
        strides: Its strides, in elements.
        dtype: Of its elements, if the storage does not say it.

    Raises:
        CheckpointError: It reaches beyond its storage, or is larger than any checkpoint.
    """
    sizes, steps = list_extents(shape), list_extents(strides)
    if not isinstance(storage, Storage) or type(offset) is not int or not is_extent(offset):
        return None
    if sizes is None or steps is None or len(sizes) != len(steps):
        return None
    dtype = dtype or STORAGES[storage.type_name]
    if dtype == "bytes":
        return None
    view = TensorView(storage=storage, dtype=dtype, offset=offset, shape=sizes, strides=steps)
    require_inside(view)
    return view


def require_inside(view: TensorView) -> None:
    """Refuse a tensor that reaches beyond its storage, or that is larger than any checkpoint.

    Raises:
        CheckpointError: It does, or is.
    """
    item_bytes = ITEM_BYTES[view.dtype]
    available = view.storage.num_elements * ITEM_BYTES[STORAGES[view.storage.type_name]] // item_bytes
    last = view.offset + sum((size - 1) * step for size, step in zip(view.shape, view.strides, strict=True))
    size = prod(view.shape)
    if view.offset > available or (size and last >= available):
        refuse(f"a tensor of shape {'×'.join(map(str, view.shape))} reaches beyond its storage of {available}")
    if size > available and size * item_bytes > MAX_TENSOR_BYTES:
        refuse(f"a tensor of shape {'×'.join(map(str, view.shape))} in a storage of {available}")


Arguments = Sequence[Described]


def rebuild_tensor(arguments: Arguments) -> TensorView | None:
    """Describe what `_rebuild_tensor` and `_rebuild_tensor_v2` return.

    What follows the strides decides nothing, but for a last argument that says that values are negated or conjugated.
    """
    storage, offset, shape, strides, *rest = arguments
    if rest[2:] and not is_empty(rest[2]):
        return None
    return describe_view(storage, offset, shape, strides)


def rebuild_tensor_v3(arguments: Arguments) -> TensorView | None:
    """Describe what `_rebuild_tensor_v3` returns: its storage has no type."""
    storage, offset, shape, strides, _, _, dtype, *metadata = arguments
    name = dtype.name.removeprefix("torch ") if isinstance(dtype, GlobalName) else ""
    if name == "bytes" or name not in ITEM_BYTES or not all(map(is_empty, metadata)):
        return None
    return describe_view(storage, offset, shape, strides, dtype=name)


def rebuild_wrapped(arguments: Arguments) -> TensorView | None:
    """Describe what `_rebuild_parameter` and `_rebuild_parameter_with_state` return: the tensor they wrap."""
    return arguments[0] if isinstance(arguments[0], TensorView) else None


def rebuild_on_device(arguments: Arguments) -> TensorView | None:
    """Describe what `_rebuild_device_tensor_from_cpu_tensor` returns: the same tensor, if its type stays."""
    tensor, dtype, *_ = arguments
    is_same = isinstance(tensor, TensorView) and dtype == GlobalName(f"torch {tensor.dtype}")
    return tensor if isinstance(tensor, TensorView) and is_same else None


def rebuild_with_attributes(arguments: Arguments) -> TensorView | None:
    """Describe what `_rebuild_from_type_v2` returns: the tensor, if it is of one of torch's own plain types."""
    match arguments:
        case (GlobalName(name=function), GlobalName(name=type_name), Thing(name="tuple", parts=inner), _) if (
            function != REBUILD_WITH_ATTRIBUTES and type_name in PLAIN_TENSOR_TYPES
        ):
            return rebuild(function, inner)
        case _:
            return None


def is_empty(value: Described) -> bool:
    """Whether an optional mapping says nothing."""
    return value is None or (isinstance(value, Thing) and value.is_plain and not value.entries)


REBUILD_WITH_ATTRIBUTES = "torch._tensor _rebuild_from_type_v2"
PLAIN_TENSOR_TYPES = frozenset({"torch Tensor", "torch.nn.parameter Buffer", "torch.nn.parameter Parameter"})
TENSORS: Mapping[str, Callable[[Arguments], TensorView | None]] = {
    "torch._utils _rebuild_tensor": rebuild_tensor,
    "torch._utils _rebuild_tensor_v2": rebuild_tensor,
    "torch._utils _rebuild_tensor_v3": rebuild_tensor_v3,
    "torch._utils _rebuild_parameter": rebuild_wrapped,
    "torch._utils _rebuild_parameter_with_state": rebuild_wrapped,
    "torch._utils _rebuild_device_tensor_from_cpu_tensor": rebuild_on_device,
    REBUILD_WITH_ATTRIBUTES: rebuild_with_attributes,
}
"""The functions by which torch rebuilds a tensor that lies in a storage, and what each would return."""
PLAIN_TYPES = {
    f"{module} {name}": name
    for module in ("builtins", "__builtin__")  # protocol 2 names them as Python 2 did
    for name in ("bytearray", "bytes", "complex", "frozenset", "set")
} | {"_codecs encode": "bytes", "torch Size": "tuple"}
ORDERED_DICT = "collections OrderedDict"
DTYPES = {f"torch {dtype}" for dtype in ITEM_BYTES}
UNNAMED = frozenset({ORDERED_DICT, *TENSORS, *PLAIN_TENSOR_TYPES, *PLAIN_TYPES, *STORAGES, *DTYPES})
"""Globals that hide nothing, so that a reader need not be told of them."""


def describe_call(function: Described, arguments: Described) -> Described:
    """Return what calling a global would give, as far as it can be told without doing so.

    Raises:
        CheckpointError: A tensor that reaches beyond its storage.
    """
    if not isinstance(function, GlobalName):
        return opaque("a call of something that is no global", [function, arguments])
    if not isinstance(arguments, Thing) or not is_tuple(arguments):
        return made_of(function, [arguments])
    if function.name == ORDERED_DICT and not arguments.parts:
        return plain("OrderedDict")
    if function.name == "torch Size" and len(arguments.parts) == 1 and is_tuple(arguments.parts[0]):
        return arguments.parts[0]
    if function.name in PLAIN_TYPES:
        return plain(PLAIN_TYPES[function.name], [arguments])
    return rebuild(function.name, arguments.parts) or made_of(function, [arguments])


def rebuild(name: str, arguments: Arguments) -> TensorView | None:
    """Return the tensor that one of torch's functions would rebuild, None if it cannot be told."""
    if name not in TENSORS or len(arguments) > MAX_ARGUMENTS:
        return None
    try:
        return TENSORS[name](arguments)
    except (ValueError, IndexError):  # fewer arguments than torch writes
        return None
