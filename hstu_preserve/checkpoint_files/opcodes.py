"""Walk a pickle opcode by opcode before torch may load it; let only tensors and plain values pass.

Nothing is unpickled here: an opcode only moves descriptions of values about. The list of opcodes and globals is what
torch 2.13 writes for upstream's checkpoints, for ours and for those of other trainers, in the pickle protocols that its
safe loading reads (2 and 3); whatever else a file holds is refused by its name.
"""

import re
from collections.abc import Callable, Mapping
from io import BytesIO
from pickletools import opcodes
from typing import IO

from hstu_preserve.checkpoint_files.stack import PickleStack
from hstu_preserve.checkpoint_files.values import (
    Container,
    GlobalName,
    Storage,
    TupleOf,
    Value,
    complete,
    describe_parameter,
    describe_size,
    describe_tensor,
    is_extent,
    is_plain,
    make_tuple,
    measure_depth,
    refuse,
    weigh,
)
from hstu_preserve.errors import CheckpointError

MAX_OPCODES = 1_000_000
MAX_VALUES = 1_000_000
MAX_DEPTH = 32
MAX_INTEGER = 2**64 - 1
MAX_KEY_CHARACTERS = 10_000
PROTOCOLS = (2, 3)

ORDERED_DICT, REBUILD_TENSOR = "collections OrderedDict", "torch._utils _rebuild_tensor_v2"
CALLS: Mapping[str, Callable[[TupleOf], Value]] = {
    REBUILD_TENSOR: describe_tensor,
    "torch._utils _rebuild_parameter": describe_parameter,
    "torch Size": describe_size,
}
"""The functions that a checkpoint may call, and what each would return."""
STORAGE_BYTES = {
    "torch BFloat16Storage": 2,
    "torch BoolStorage": 1,
    "torch ByteStorage": 1,
    "torch CharStorage": 1,
    "torch DoubleStorage": 8,
    "torch FloatStorage": 4,
    "torch HalfStorage": 2,
    "torch IntStorage": 4,
    "torch LongStorage": 8,
    "torch ShortStorage": 2,
}
ALLOWED_GLOBALS = frozenset({ORDERED_DICT, *CALLS, *STORAGE_BYTES})
LOCATION = re.compile(r"cpu|(cuda|mps|xpu|npu|hpu|xla|mlu|musa|gcu|ipu|maia|privateuseone)(:[0-9]{1,3})?")
"""Where a tensor was when it was saved, by torch's names of devices with a memory; it is read to the CPU."""
LINE_ENDS = str.maketrans("", "", "\n\r\t")


class PickleWalk(PickleStack[Value]):
    """The state of an unpickler that builds nothing: descriptions of values on a stack, and the memo."""

    max_marks = MAX_DEPTH * 2

    def __init__(self, storage_bytes: Mapping[str, int]) -> None:
        super().__init__()
        self.storage_bytes = storage_bytes
        self.storages: dict[str, Storage] = {}

    def push(self, value: Value) -> None:
        """Put a constant or a new value on the stack."""
        if type(value) is int and abs(value) > MAX_INTEGER:
            refuse("an integer of more than 64 bits")
        if isinstance(value, str) and not value.translate(LINE_ENDS).isprintable():
            refuse(f"text that cannot be printed, {value[:40]!a}")
        self.require_modest(value)
        self.stack.append(value)

    def require_modest(self, value: Value) -> None:
        """Refuse what grows by repetition or nesting."""
        if weigh(value) > MAX_VALUES:
            refuse(f"more than {MAX_VALUES} values")
        if measure_depth(value) > MAX_DEPTH:
            refuse(f"nested deeper than {MAX_DEPTH}")

    def push_tuple(self, length: int) -> None:
        """Put the topmost values into a tuple."""
        items = [self.pop() for _ in range(length)]
        self.push(make_tuple(items[::-1]))

    def push_global(self, name: str) -> None:
        """Put an allowed global on the stack."""
        if name not in ALLOWED_GLOBALS:
            refuse(f"global {'.'.join(name.split(' ', 1))[:120]!a} is not allowed")
        self.push(GlobalName(name))

    def put(self, place: int) -> None:
        """Remember the topmost value."""
        if place in self.memo or place >= MAX_OPCODES:
            refuse(f"memo {place} is taken or too high")
        self.memo[place] = self.stack[-1] if self.stack else refuse("the stack is empty")

    def get(self, place: int) -> None:
        """Repeat a remembered value."""
        if place not in self.memo:
            refuse(f"memo {place} is empty")
        value = self.memo[place]
        complete([value])
        self.require_modest(value)
        self.stack.append(value)  # a long text was looked through when it was pushed, and is not each time

    def target(self, *kinds: str) -> Container:
        """Return the topmost value, which must be one of these containers."""
        value = self.stack[-1] if self.stack else refuse("the stack is empty")
        if not isinstance(value, Container) or value.kind not in kinds:
            refuse(f"its target is not a {' or '.join(kinds)}")
        if value.is_complete:
            refuse("its target grows after it was used, perhaps inside itself")
        return value

    def include(self, container: Container, value: Value) -> None:
        """Put a value into a container."""
        if not is_plain(value):
            refuse("a global or a storage as a value")
        complete([value])
        container.weight += weigh(value)
        container.depth = max(container.depth, 1 + measure_depth(value))
        self.require_modest(container)

    def append(self, items: list[Value]) -> None:
        """Put values at the end of the list on the stack."""
        container = self.target("list")
        for item in items:
            self.include(container, item)

    def set_items(self, items: list[Value]) -> None:
        """Put keys and values into the mapping on the stack."""
        container = self.target("dict", "OrderedDict")
        if len(items) % 2:
            refuse("a key without a value")
        for key, value in zip(items[::2], items[1::2], strict=True):
            require_key(key)
            assert isinstance(key, str | int)
            if key in container.keys:
                refuse(f"key {key!a} twice")
            container.keys.add(key)
            self.include(container, key)
            self.include(container, value)

    def build(self) -> None:
        """Give an OrderedDict its `_metadata`, as torch does to the state dict of a module."""
        state = self.pop()
        target = self.target("OrderedDict")
        if not isinstance(state, Container) or state.kind != "dict" or state.keys != {"_metadata"}:
            refuse("attributes other than an OrderedDict's _metadata")
        if target.has_attributes:
            refuse("attributes given twice")
        target.has_attributes = True
        self.include(target, state)

    def load_storage(self) -> None:
        """Turn torch's persistent id into the storage it names, whose member must be there and as long as it says."""
        match self.pop():
            case TupleOf(items=("storage", GlobalName(name=type_name), str(key), str(location), int(length))) if (
                type_name in STORAGE_BYTES and LOCATION.fullmatch(location) and is_extent(length)
            ):
                storage = Storage(key, type_name, length)
            case _:
                refuse("a persistent id that is not torch's ('storage', type, key, location, length)")
        found, expected = self.storage_bytes.get(f"data/{key}"), length * STORAGE_BYTES[type_name]
        if found is None:
            refuse(f"storage {key[:40]!a} has no member")
        if found != expected:
            refuse(f"storage {key}: {expected} bytes expected by its length, {found} in its member")
        if self.storages.setdefault(key, storage) != storage:
            refuse(f"storage {key} with two types")
        self.push(storage)

    def reduce(self) -> None:
        """Describe what a call of one of the allowed functions would give."""
        arguments, function = self.pop(), self.pop()
        if function == GlobalName(ORDERED_DICT) and isinstance(arguments, TupleOf) and not arguments.items:
            self.push(Container(kind="OrderedDict"))
        elif isinstance(function, GlobalName) and function.name in CALLS and isinstance(arguments, TupleOf):
            self.push(CALLS[function.name](arguments))
        else:
            name = function.name.replace(" ", ".") if isinstance(function, GlobalName) else "something else"
            refuse(f"a call of {name} with arguments that torch does not write")


def require_key(key: Value) -> None:
    """Refuse what is no key of a checkpoint's mapping."""
    if type(key) is not str and type(key) is not int:
        refuse("a key that is neither text nor an integer")
    if isinstance(key, str) and len(key) > MAX_KEY_CHARACTERS:
        refuse(f"a key of {len(key)} characters")
    if isinstance(key, str) and not key.isprintable():
        refuse(f"a key that cannot be printed, {key[:40]!a}")


# What torch 2.13 writes, and nothing else: opcode -> what it does with its argument.
Action = Callable[[PickleWalk, object], None]
ACTIONS: dict[str, Action] = {
    "NONE": lambda walk, _: walk.push(None),
    "NEWTRUE": lambda walk, _: walk.push(True),
    "NEWFALSE": lambda walk, _: walk.push(False),
    "EMPTY_DICT": lambda walk, _: walk.push(Container(kind="dict")),
    "EMPTY_LIST": lambda walk, _: walk.push(Container(kind="list")),
    "EMPTY_TUPLE": lambda walk, _: walk.push_tuple(0),
    "TUPLE1": lambda walk, _: walk.push_tuple(1),
    "TUPLE2": lambda walk, _: walk.push_tuple(2),
    "TUPLE3": lambda walk, _: walk.push_tuple(3),
    "TUPLE": lambda walk, _: walk.push(make_tuple(walk.pop_to_mark())),
    "MARK": lambda walk, _: walk.push_mark(),
    "APPEND": lambda walk, _: walk.append([walk.pop()]),
    "APPENDS": lambda walk, _: walk.append(walk.pop_to_mark()),
    "SETITEM": lambda walk, _: walk.set_items([walk.pop(), walk.pop()][::-1]),
    "SETITEMS": lambda walk, _: walk.set_items(walk.pop_to_mark()),
    "BUILD": lambda walk, _: walk.build(),
    "BINPERSID": lambda walk, _: walk.load_storage(),
    "REDUCE": lambda walk, _: walk.reduce(),
}
OPCODES = {opcode.code: opcode for opcode in opcodes}
CONSTANTS = frozenset({"BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT", "BINUNICODE"})


def walk_pickle(content: bytes, storage_bytes: Mapping[str, int]) -> None:
    """Walk a checkpoint's pickle; `storage_bytes` tells the size of every member `data/<n>`.

    Raises:
        CheckpointError: An opcode, a global or an arrangement of them that no checkpoint needs, or more or less than
            one pickle.
    """
    stream, walk = BytesIO(content), PickleWalk(storage_bytes)
    require_protocol(content)
    stream.seek(2)
    for _ in range(MAX_OPCODES):
        position = stream.tell()
        code = stream.read(1).decode("latin-1")
        name = OPCODES[code].name if code in OPCODES else f"{code!a}" if code else "end of the pickle"
        if name == "STOP":
            require_whole(walk, left=len(content) - stream.tell())
            return
        try:
            perform(walk, name, code, stream)
        except CheckpointError as error:
            raise CheckpointError(f"data.pkl: {name} at byte {position}: {error}") from None
        except ValueError:
            raise CheckpointError(f"data.pkl: {name} at byte {position}: its argument is broken") from None
    raise CheckpointError(f"data.pkl: more than {MAX_OPCODES} opcodes")


def require_protocol(content: bytes) -> None:
    """Refuse a pickle whose opcodes torch's safe loading does not know.

    Raises:
        CheckpointError: Protocol 0, 1, 4 or later.
    """
    if len(content) < 2 or content[:1] != b"\x80" or content[1] < min(PROTOCOLS):
        raise CheckpointError("data.pkl: not a pickle of protocol 2, which torch writes")
    if content[1] not in PROTOCOLS:
        raise CheckpointError(
            f"data.pkl: pickle protocol {content[1]}, which torch.load does not read with weights_only=True; "
            "save it with torch.save's own protocol 2"
        )


def perform(walk: PickleWalk, name: str, code: str, stream: IO[bytes]) -> None:
    """Do what one opcode does, to descriptions; its argument is read only where the opcode is allowed."""
    if name in ACTIONS:
        ACTIONS[name](walk, None)
        return
    if name not in CONSTANTS | {"GLOBAL", "BINPUT", "LONG_BINPUT", "BINGET", "LONG_BINGET"}:
        refuse("opcode not allowed")
    if name == "GLOBAL":
        walk.push_global(read_global(stream))
        return
    reader = OPCODES[code].arg
    assert reader is not None
    argument = reader.reader(stream)
    if name in CONSTANTS:
        walk.push(argument)
    elif name.endswith("PUT"):
        walk.put(argument)
    else:
        walk.get(argument)


def read_global(stream: IO[bytes]) -> str:
    """Return `module name` as an unpickler reads them: pickletools would undo escapes that an unpickler leaves.

    Raises:
        CheckpointError: A line does not end.
    """
    lines = stream.readline(), stream.readline()
    if not all(line.endswith(b"\n") for line in lines):
        refuse("its name is broken")
    return " ".join(line[:-1].decode("utf-8", "backslashreplace") for line in lines)


def require_whole(walk: PickleWalk, *, left: int) -> None:
    """Refuse what STOP leaves over.

    Raises:
        CheckpointError: Bytes after it, values below it, or members that no tensor uses.
    """
    if left:
        raise CheckpointError(f"data.pkl: {left} bytes after STOP")
    if walk.marked or len(walk.stack) != 1 or not is_plain(walk.stack[0]):
        raise CheckpointError("data.pkl: STOP: the stack does not hold exactly one value")
    unused = walk.storage_bytes.keys() - {f"data/{key}" for key in walk.storages}
    if unused:
        raise CheckpointError(f"{min(unused)}: a member that no tensor uses")
