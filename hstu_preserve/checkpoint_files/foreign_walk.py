"""Walk a pickle of any trainer opcode by opcode, and describe what it would build; no name in it is looked up.

The strict walk (`opcodes.py`) refuses what torch's safe loading could not read. This one serves to find the weights
among whatever else a trainer saved, in pickle protocols 2 to 5: a global is a name, and what is made of it is a
description of that name. Its work is linear in the pickle's length, since values are only referred to.
"""

import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from io import BytesIO
from typing import cast

from hstu_preserve.checkpoint_files.descriptions import (
    ITEM_BYTES,
    MAX_NESTING,
    STORAGES,
    Described,
    TensorView,
    Thing,
    describe_call,
    is_tuple,
    made_of,
    opaque,
    plain,
)
from hstu_preserve.checkpoint_files.opcodes import MAX_OPCODES, OPCODES, read_global
from hstu_preserve.checkpoint_files.stack import PickleStack
from hstu_preserve.checkpoint_files.values import GlobalName, Storage, is_extent, refuse
from hstu_preserve.errors import CheckpointError

PROTOCOLS = range(2, 6)
MAX_TEXT_BYTES = 1024
"""Names are shorter; a longer text is not kept."""
MAX_INTEGER_BYTES = 9
MAX_GLOBALS = 1000
"""Different ones in a file; each is named to the user."""

FIXED = {
    "BININT": struct.Struct("<i"), "BININT1": struct.Struct("<B"), "BININT2": struct.Struct("<H"),
    "BINFLOAT": struct.Struct(">d"), "BINPUT": struct.Struct("<B"), "LONG_BINPUT": struct.Struct("<I"),
    "BINGET": struct.Struct("<B"), "LONG_BINGET": struct.Struct("<I"), "EXT1": struct.Struct("<B"),
    "EXT2": struct.Struct("<H"), "EXT4": struct.Struct("<I"), "PROTO": struct.Struct("<B"),
    "FRAME": struct.Struct("<Q"),
}  # fmt: skip
COUNTED = {
    "SHORT_BINUNICODE": 1, "BINUNICODE": 4, "BINUNICODE8": 8, "SHORT_BINBYTES": 1, "BINBYTES": 4, "BINBYTES8": 8,
    "BYTEARRAY8": 8, "SHORT_BINSTRING": 1, "BINSTRING": 4, "LONG1": 1, "LONG4": 4,
}  # fmt: skip
"""Opcodes whose argument follows its length, and of how many bytes the length is."""
LINES = frozenset({"INT", "LONG", "FLOAT", "STRING", "UNICODE", "PERSID"})
"""Constants of protocol 0, a line of text each; none of them can be a tensor's or a key."""


class ForeignWalk(PickleStack[Described]):
    """The state of an unpickler that builds nothing, and takes any value.

    Args:
        content: The pickle.
        storage_bytes: The size of every member `data/<n>`.

    Attributes:
        globals: Every global that the pickle names, in that order.
    """

    max_marks = MAX_NESTING

    def __init__(self, content: bytes, storage_bytes: Mapping[str, int]) -> None:
        super().__init__()
        self.size = len(content)
        self.stream = BytesIO(content)
        self.storage_bytes = storage_bytes
        self.globals: dict[str, None] = {}

    # ---- arguments

    def read(self, size: int) -> bytes:
        """Return the next bytes of the pickle."""
        content = self.stream.read(size)
        return content if len(content) == size else refuse("the pickle ends within its argument")

    def read_fixed(self, name: str) -> int | float:
        """Return the number that follows an opcode."""
        form = FIXED[name]
        return cast("int | float", form.unpack(self.read(form.size))[0])

    def read_counted(self, width: int, *, at_most: int) -> bytes | None:
        """Return the bytes that follow their length; longer ones are skipped."""
        size = int.from_bytes(self.read(width), "little")
        if size <= at_most:
            return self.read(size)
        if size > self.size - self.stream.tell():
            refuse("the pickle ends within its argument")
        self.stream.seek(size, 1)
        return None

    # ---- constants

    def add(self, value: Described) -> None:
        """Put a value on the stack, which taking values off to a mark replaces."""
        self.stack.append(value)

    def push_number(self, name: str) -> None:
        """Put a number of fixed length on the stack."""
        self.add(self.read_fixed(name))

    def push_integer(self, name: str) -> None:
        """Put an integer on the stack, or only its kind if it is larger than any that decides something."""
        content = self.read_counted(COUNTED[name], at_most=MAX_INTEGER_BYTES)
        self.add(plain("int") if content is None else int.from_bytes(content, "little", signed=True))

    def push_text(self, name: str) -> None:
        """Put a text on the stack, or only its kind if it is longer than any name."""
        content = self.read_counted(COUNTED[name], at_most=MAX_TEXT_BYTES)
        self.add(plain("str") if content is None else content.decode("utf-8", "surrogatepass"))

    def push_bytes(self, name: str) -> None:
        """Put the kind of some bytes on the stack; Python 2 wrote texts so, too."""
        self.read_counted(COUNTED[name], at_most=0)
        self.add(plain("bytes"))

    def push_line(self, name: str) -> None:
        """Put the kind of a constant of protocol 0 on the stack."""
        if not self.stream.readline().endswith(b"\n"):
            refuse("its line does not end")
        self.add(plain("str") if name != "PERSID" else opaque("a persistent id that is text"))

    # ---- globals and what is made of them

    def push_global(self, name: str) -> None:
        """Put a global on the stack, by its name."""
        name = name[:MAX_TEXT_BYTES]
        self.globals[name] = None
        if len(self.globals) > MAX_GLOBALS:
            refuse(f"more than {MAX_GLOBALS} different globals")
        self.add(GlobalName(name))

    def push_stack_global(self) -> None:
        """Put the global on the stack whose names lie there."""
        name, module = self.pop(), self.pop()
        self.push_global(f"{module} {name}" if isinstance(module, str) and isinstance(name, str) else "? ?")

    def push_extension(self, name: str) -> None:
        """Put a global on the stack that only a registry of the writer's names."""
        self.push_global(f"copyreg extension {self.read_fixed(name)}")

    def reduce(self) -> None:
        """Describe a call of the function and arguments on the stack."""
        arguments, function = self.pop(), self.pop()
        self.add(describe_call(function, arguments))

    def make_new_with_keywords(self) -> None:
        """Describe an object that is made with keyword arguments."""
        keywords, arguments, function = self.pop(), self.pop(), self.pop()
        if isinstance(function, GlobalName):
            self.add(made_of(function, [arguments, keywords]))
        else:
            self.add(opaque("an object of something that is no class", [function, arguments, keywords]))

    def make_instance(self) -> None:
        """Describe an object whose class the opcode names, as protocol 0 makes them."""
        self.push_global(read_global(self.stream))
        function = self.pop()
        self.add(describe_call(function, plain("tuple", self.pop_to_mark())))

    def make_object(self) -> None:
        """Describe an object whose class is the first value above the mark, as protocol 1 makes them."""
        function, *arguments = self.pop_to_mark() or refuse("there is no class above the mark")
        self.add(describe_call(function, plain("tuple", arguments)))

    def build(self) -> None:
        """Note the state that the topmost value is given. A tensor is not known any more after that."""
        state, target = self.pop(), self.top()
        if isinstance(target, Thing):
            target.parts.append(state)
        elif isinstance(target, TensorView):
            self.stack[-1] = opaque("a tensor that was changed", [state])
        else:
            self.stack[-1] = opaque("something that was changed", [target, state])

    def load_persistent(self) -> None:
        """Turn torch's persistent id into the storage it names, whose member must be as long as it says."""
        identity = self.pop()
        parts = identity.parts if isinstance(identity, Thing) and is_tuple(identity) else []
        match parts:
            case ["storage", GlobalName(name=type_name), str(key), str(), int(length)] if (
                type_name in STORAGES and type(length) is int and is_extent(length)
            ):
                self.require_member(key, length * ITEM_BYTES[STORAGES[type_name]])
                self.add(Storage(key, type_name, length))
            case _:
                self.add(opaque("a persistent id", [identity]))

    def require_member(self, key: str, expected: int) -> None:
        """Refuse a storage whose member is missing or too short."""
        found = self.storage_bytes.get(f"data/{key}")
        if found is None:
            refuse(f"storage {key[:40]!a} has no member")
        if found < expected:
            refuse(f"storage {key[:40]}: {expected} bytes expected by its length, {found} in its member")

    # ---- containers

    def target(self, *names: str) -> Thing:
        """Return the topmost value, which must be one of these, or something opaque."""
        value = self.top()
        if isinstance(value, Thing) and (not value.is_plain or value.name in names):
            return value
        return refuse(f"its target is not a {' or '.join(names)}")

    def extend(self, name: str, items: list[Described]) -> None:
        """Put values into the list or set on the stack."""
        thing = self.target(name)
        thing.parts.extend(items)
        thing.include(*items)

    def set_items(self, items: list[Described]) -> None:
        """Put keys and values into the mapping on the stack."""
        thing = self.target("dict", "OrderedDict")
        if len(items) % 2:
            refuse("a key without a value")
        thing.entries.extend(zip(items[::2], items[1::2], strict=True))
        thing.include(*items)

    def push_dict(self) -> None:
        """Put a mapping of the keys and values above the mark on the stack."""
        items = self.pop_to_mark()
        self.add(plain("dict"))
        self.set_items(items)

    def push_tuple(self, length: int) -> None:
        """Put the topmost values into a tuple."""
        items = [self.pop() for _ in range(length)]
        self.add(plain("tuple", items[::-1]))

    # ---- stack and memo

    def drop(self) -> None:
        """Take the topmost value or mark away."""
        if self.stack:
            self.stack.pop()
        else:
            self.pop_to_mark()

    def put(self, place: int) -> None:
        """Remember the topmost value."""
        if place >= MAX_OPCODES:
            refuse(f"memo {place} is too high")
        self.memo[place] = self.top()

    def get(self, place: int) -> None:
        """Repeat a remembered value."""
        self.add(self.memo[place] if place in self.memo else refuse(f"memo {place} is empty"))

    def read_place(self) -> int:
        """Return the number of a memo that is written as a line of text."""
        line = self.stream.readline()
        return int(line) if line.strip().isdigit() and len(line) < 12 else refuse("its number is broken")

    def require_frame(self) -> None:
        """Refuse a frame that is longer than the rest of the pickle."""
        if self.read_fixed("FRAME") > self.size - self.stream.tell():
            refuse("the pickle ends within its frame")

    def require_known_protocol(self) -> None:
        """Refuse a later protocol in the midst of a pickle."""
        if self.read_fixed("PROTO") not in PROTOCOLS:
            refuse("another protocol")


Action = Callable[[ForeignWalk], object]
ACTIONS: dict[str, Action] = {
    "MARK": lambda walk: walk.push_mark(),
    "POP": lambda walk: walk.drop(),
    "POP_MARK": lambda walk: walk.pop_to_mark(),
    "DUP": lambda walk: walk.add(walk.top()),
    "NONE": lambda walk: walk.add(None),
    "NEWTRUE": lambda walk: walk.add(True),
    "NEWFALSE": lambda walk: walk.add(False),
    "EMPTY_DICT": lambda walk: walk.add(plain("dict")),
    "EMPTY_LIST": lambda walk: walk.add(plain("list")),
    "EMPTY_SET": lambda walk: walk.add(plain("set")),
    "EMPTY_TUPLE": lambda walk: walk.push_tuple(0),
    "TUPLE1": lambda walk: walk.push_tuple(1),
    "TUPLE2": lambda walk: walk.push_tuple(2),
    "TUPLE3": lambda walk: walk.push_tuple(3),
    "TUPLE": lambda walk: walk.add(plain("tuple", walk.pop_to_mark())),
    "LIST": lambda walk: walk.add(plain("list", walk.pop_to_mark())),
    "FROZENSET": lambda walk: walk.add(plain("frozenset", walk.pop_to_mark())),
    "DICT": lambda walk: walk.push_dict(),
    "APPEND": lambda walk: walk.extend("list", [walk.pop()]),
    "APPENDS": lambda walk: walk.extend("list", walk.pop_to_mark()),
    "ADDITEMS": lambda walk: walk.extend("set", walk.pop_to_mark()),
    "SETITEM": lambda walk: walk.set_items([walk.pop(), walk.pop()][::-1]),
    "SETITEMS": lambda walk: walk.set_items(walk.pop_to_mark()),
    "GLOBAL": lambda walk: walk.push_global(read_global(walk.stream)),
    "STACK_GLOBAL": lambda walk: walk.push_stack_global(),
    "INST": lambda walk: walk.make_instance(),
    "OBJ": lambda walk: walk.make_object(),
    "REDUCE": lambda walk: walk.reduce(),
    "NEWOBJ": lambda walk: walk.reduce(),
    "NEWOBJ_EX": lambda walk: walk.make_new_with_keywords(),
    "BUILD": lambda walk: walk.build(),
    "BINPERSID": lambda walk: walk.load_persistent(),
    "PUT": lambda walk: walk.put(walk.read_place()),
    "GET": lambda walk: walk.get(walk.read_place()),
    "MEMOIZE": lambda walk: walk.put(len(walk.memo)),
    "PROTO": lambda walk: walk.require_known_protocol(),
    "FRAME": lambda walk: walk.require_frame(),
    "NEXT_BUFFER": lambda walk: walk.add(opaque("a buffer that is not in the file")),
    "READONLY_BUFFER": lambda walk: walk.top(),
}
NAMED_ACTIONS: dict[str, Callable[[ForeignWalk, str], object]] = {
    **dict.fromkeys(("BININT", "BININT1", "BININT2", "BINFLOAT"), ForeignWalk.push_number),
    **dict.fromkeys(("LONG1", "LONG4"), ForeignWalk.push_integer),
    **dict.fromkeys(("SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8"), ForeignWalk.push_text),
    **dict.fromkeys(
        ("SHORT_BINBYTES", "BINBYTES", "BINBYTES8", "BYTEARRAY8", "SHORT_BINSTRING", "BINSTRING"),
        ForeignWalk.push_bytes,
    ),
    **dict.fromkeys(LINES, ForeignWalk.push_line),
    **dict.fromkeys(("EXT1", "EXT2", "EXT4"), ForeignWalk.push_extension),
    **dict.fromkeys(("BINPUT", "LONG_BINPUT"), lambda walk, name: walk.put(int(walk.read_fixed(name)))),
    **dict.fromkeys(("BINGET", "LONG_BINGET"), lambda walk, name: walk.get(int(walk.read_fixed(name)))),
}
"""Several opcodes that differ only in the length of their argument, which the name tells."""


@dataclass(frozen=True, kw_only=True)
class Walked:
    """What a pickle would build, and every global that it names."""

    value: Described
    globals: tuple[str, ...]


def walk_foreign_pickle(content: bytes, storage_bytes: Mapping[str, int]) -> Walked:
    """Return the description of what a pickle would build.

    Args:
        content: The pickle.
        storage_bytes: The size of every member `data/<n>`.

    Raises:
        CheckpointError: It is damaged or more than one, names a storage that is not there, or would grow without
            bounds.
    """
    require_protocol(content)
    walk = ForeignWalk(content, storage_bytes)
    for _ in range(MAX_OPCODES):
        position = walk.stream.tell()
        code = walk.stream.read(1).decode("latin-1")
        if not code:
            raise CheckpointError(f"data.pkl: it ends at byte {position} without STOP")
        name = OPCODES[code].name if code in OPCODES else f"{code!a}"
        if name == "STOP":
            return finish(walk)
        try:
            perform(walk, name)
        except CheckpointError as error:
            raise CheckpointError(f"data.pkl: {name} at byte {position}: {error}") from None
        except ValueError:
            raise CheckpointError(f"data.pkl: {name} at byte {position}: its argument is broken") from None
    raise CheckpointError(f"data.pkl: more than {MAX_OPCODES} opcodes")


def require_protocol(content: bytes) -> None:
    """Refuse a pickle that torch.save does not write.

    Raises:
        CheckpointError: Protocol 0, 1, or one that is not known yet.
    """
    if len(content) < 2 or content[:1] != b"\x80" or content[1] not in PROTOCOLS:
        raise CheckpointError("data.pkl: not a pickle of protocols 2 to 5")


def perform(walk: ForeignWalk, name: str) -> None:
    """Do what one opcode does, to descriptions."""
    if name in ACTIONS:
        ACTIONS[name](walk)
    elif name in NAMED_ACTIONS:
        NAMED_ACTIONS[name](walk, name)
    else:
        refuse("no opcode of a pickle")


def finish(walk: ForeignWalk) -> Walked:
    """Return what STOP leaves.

    Raises:
        CheckpointError: Bytes after it, or another number of values than one.
    """
    left = walk.size - walk.stream.tell()
    if left:
        raise CheckpointError(f"data.pkl: {left} bytes after STOP")
    if walk.marked or len(walk.stack) != 1:
        raise CheckpointError("data.pkl: STOP: the stack does not hold exactly one value")
    return Walked(value=walk.stack[0], globals=tuple(walk.globals))
