"""Find the weights, and the epoch, among whatever somebody else's trainer saved."""

from dataclasses import dataclass
from pathlib import Path
from typing import IO

from hstu_preserve.checkpoint_files.container import ZipMember, has_checksums, read_at
from hstu_preserve.checkpoint_files.descriptions import Described, TensorView, Thing
from hstu_preserve.checkpoint_files.foreign_walk import walk_foreign_pickle
from hstu_preserve.checkpoint_files.not_built import describe_key, name_not_built
from hstu_preserve.checkpoint_files.safety import read_checked_members
from hstu_preserve.errors import CheckpointError
from hstu_preserve.primitives.wording import list_some

STATE_KEYS = ("model_state_dict", "model", "state_dict")
"""Where trainers put the weights; Meta's uses the first."""
MAX_PICKLE_BYTES = 64 * 2**20
"""Arrays of NumPy lie in the pickle itself, so that it may be larger than ours."""
MAX_EPOCH = 10**9
NUM_LISTED = 8
NUM_CAUSES = 3


@dataclass(frozen=True, kw_only=True)
class Outline:
    """What a checkpoint file holds, without the tensors' elements.

    Attributes:
        value: The description of what it would load as.
        globals: Every global that its pickle names, `module name`.
        members: The zip's members by name.
        has_checksums: Whether a changed byte would have been noticed.
        values: What lies under each name, if it is a mapping.
    """

    value: Described
    globals: tuple[str, ...]
    members: dict[str, ZipMember]
    has_checksums: bool
    values: dict[str, Described]


@dataclass(frozen=True, kw_only=True)
class ForeignWeights:
    """The weights by name, and what else there is.

    Attributes:
        key: Under which key of the file they lie, None if the file's mapping itself holds them.
        tensors: Where each of them is.
        epoch: The file's own `epoch`, None if it holds no such integer.
        not_built: What the file holds beside them that was not built, a sentence each.
    """

    key: str | None
    tensors: dict[str, TensorView]
    epoch: int | None
    not_built: tuple[str, ...]


def outline_stream(stream: IO[bytes], *, source: Path) -> Outline:
    """Return what an open checkpoint file holds; nothing of it is unpickled, and nothing that it names is imported.

    Raises:
        CheckpointError: Another format, damaged, or without bounds.
    """
    try:
        members = read_checked_members(stream, max_pickle_bytes=MAX_PICKLE_BYTES)
        pickle = members["data.pkl"]
        sizes = {name: member.size for name, member in members.items() if name.startswith("data/")}
        walked = walk_foreign_pickle(read_at(stream, pickle.start, pickle.size), sizes)
        values = index(walked.value)
    except CheckpointError as error:
        raise CheckpointError(f"{source}: not a checkpoint that can be read ({error}); nothing was loaded") from None
    return Outline(
        value=walked.value,
        globals=walked.globals,
        members=members,
        has_checksums=has_checksums(members),
        values=values,
    )


def index(value: Described) -> dict[str, Described]:
    """Return what lies under each name in a mapping, nothing for another value.

    Raises:
        CheckpointError: One name twice; which of them counts would be the reader's choice.
    """
    values: dict[str, Described] = {}
    for name, item in value.entries if isinstance(value, Thing) else []:
        if isinstance(name, str):
            if name in values:
                raise CheckpointError(f"the key {describe_key(name)} twice")
            values[name] = item
    return values


def find_weights(outline: Outline, *, source: Path) -> ForeignWeights:
    """Return where the weights are: under the first of the usual keys that holds tensors by name, or the whole file.

    Raises:
        CheckpointError: There are none, or two of one name.
    """
    try:
        key, state = find_state(outline)
        named = index(state)
    except CheckpointError as error:
        raise CheckpointError(f"{source}: {error}") from None
    tensors = {name: value for name, value in named.items() if isinstance(value, TensorView)}
    left_out = [describe_key(name) for name, value in state.entries if not is_weight(name, value)]
    epoch = outline.values.get("epoch")
    return ForeignWeights(
        key=key,
        tensors=tensors,
        epoch=epoch if type(epoch) is int and 0 <= epoch < MAX_EPOCH else None,
        not_built=(*describe_left_out(key, left_out), *name_not_built(outline.value, outline.globals)),
    )


def is_weight(name: Described, value: Described) -> bool:
    """Whether an entry of a mapping is a tensor under a name."""
    return isinstance(name, str) and isinstance(value, TensorView)


def describe_left_out(key: str | None, names: list[str]) -> tuple[str, ...]:
    """Return the sentence about values beside the weights that are no tensors in a storage, if there are any."""
    if not names:
        return ()
    return (f"{key or 'the weights'}: not read as tensors: {list_some(names, at_most=NUM_LISTED)}",)


def find_state(outline: Outline) -> tuple[str | None, Thing]:
    """Return the mapping that holds the weights, and its key in the file.

    Raises:
        CheckpointError: There is none.
    """
    for key in STATE_KEYS:
        value = outline.values.get(key)
        if isinstance(value, Thing) and holds_tensors(value):
            return key, value
    root = outline.value
    if isinstance(root, Thing) and holds_tensors(root) and all(is_weight(*entry) for entry in root.entries):
        return None, root
    not_built = name_not_built(root, outline.globals)
    hint = f"; not built: {list_some(not_built, at_most=NUM_CAUSES, separator='; ')}" if not_built else ""
    raise CheckpointError(f"holds no weights: {describe_absence(outline)}{hint}")


def holds_tensors(thing: Thing) -> bool:
    """Whether at least one tensor is kept under a name."""
    return any(is_weight(*entry) for entry in thing.entries)


def describe_absence(outline: Outline) -> str:
    """Return what a file holds in place of weights, and what to do."""
    root, usual = outline.value, [key for key in STATE_KEYS if key in outline.values]
    if not isinstance(root, Thing) or not root.entries:
        return f"it is {describe_kind(root)}; torch.save({{'model_state_dict': model.state_dict()}}, FILE) is read"
    if usual:
        kinds = (f"{key} is {describe_kind(outline.values[key])}" for key in usual)
        return f"{' and '.join(kinds)}; a mapping of tensors by name, as model.state_dict() gives it, is read"
    tensors_at = [
        describe_key(name) for name, value in root.entries if isinstance(value, Thing) and holds_tensors(value)
    ]
    keys = list_some([describe_key(name) for name, _ in root.entries], at_most=NUM_LISTED)
    said = f"none of the keys {', '.join(STATE_KEYS)}; its own are {keys}"
    return f"{said}; tensors by name lie under {list_some(tensors_at, at_most=NUM_LISTED)}" if tensors_at else said


def describe_kind(value: Described) -> str:
    """Return what a value is, for a sentence."""
    if isinstance(value, TensorView):
        return "a tensor"
    if not isinstance(value, Thing):
        return "a plain value"
    if not value.is_plain:
        return f"an object of {describe_key(value.name)}"
    return f"a {value.name} without tensors by name"
