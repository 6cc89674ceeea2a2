"""Checkpoint files walked byte by byte before torch may load them: a zip around a pickle of plain values.

Nothing is unpickled here: an opcode only moves descriptions of values about. The list of opcodes and globals is what
torch 2.13 writes for upstream's checkpoints and for ours (pickle protocol 2); whatever else a file holds is refused.
"""

import re
import struct
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from io import SEEK_END, BytesIO
from math import prod
from pathlib import Path
from pickletools import opcodes
from typing import IO, NoReturn

from hstu_preserve.errors import CheckpointError, UnavailableError

# Far above any checkpoint of this kind of model; no member of a smaller file needs zip64's fields.
MAX_FILE_BYTES = 2**32 - 2
MAX_MEMBERS = 10_000
MAX_PICKLE_BYTES = 8 * 2**20
MAX_OPCODES = 1_000_000
MAX_VALUES = 1_000_000
MAX_DEPTH = 32
MAX_DIMENSIONS = 8
MAX_INTEGER = 2**64 - 1
MAX_EXTENT = 2**40
CHARACTERS_PER_VALUE = 64  # a text that is repeated by reference counts by its length
CHUNK_BYTES = 2**20

END = struct.Struct("<4s4H2LH")
END_64 = struct.Struct("<4sQ2H2L4Q")
LOCATOR_64 = struct.Struct("<4sLQL")
ENTRY = struct.Struct("<4s6H3L5H2L")
HEADER = struct.Struct("<4s5H3L2H")
DESCRIPTOR = struct.Struct("<4s3L")
HAS_DESCRIPTOR, IS_UTF8 = 0x0008, 0x0800
PADDING = re.compile(rb"FB(?P<length>..)(?P<filling>Z*)", re.DOTALL)  # c10's PyTorchStreamWriter aligns by it

MEMBER_NAME = re.compile(
    r"(?P<root>[^/\\]{1,255})/(?P<rest>data\.pkl|data/(?:0|[1-9][0-9]{0,5})|version|byteorder"
    r"|\.format_version|\.storage_alignment|\.data/serialization_id)"
)
NOTES = {
    "version": rb"[0-9]{1,2}\n",
    "byteorder": rb"little",
    ".format_version": rb"[0-9]{1,2}",
    ".storage_alignment": rb"[0-9]{1,5}",
    ".data/serialization_id": rb"[0-9]{1,64}",
}
OTHER_FORMATS = (
    (b"\x80", "a bare pickle or torch's format before 1.6"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
    (b"\x93NUMPY", "a NumPy array"),
    (b"\x1f\x8b", "gzip"),
)
TAR_MAGIC, TAR_MAGIC_OFFSET = b"ustar", 257

ORDERED_DICT, REBUILD_TENSOR = "collections OrderedDict", "torch._utils _rebuild_tensor_v2"
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
ALLOWED_GLOBALS = frozenset({ORDERED_DICT, REBUILD_TENSOR, *STORAGE_BYTES})
LOCATION = re.compile(r"cpu|cuda:[0-9]{1,3}")


def require_safe_checkpoint(path: Path) -> None:
    """Refuse a file that is anything else than a checkpoint of tensors and plain values; nothing of it is unpickled.

    Raises:
        CheckpointError: It is not; the message names what, and where.
        UnavailableError: It cannot be read.
    """
    try:
        with path.open("rb") as stream:
            require_safe_stream(stream, source=path)
    except OSError as error:
        raise UnavailableError(f"{path}: cannot be read ({error.strerror})") from None


def require_safe_stream(stream: IO[bytes], *, source: Path) -> None:
    """Do the same with an open file, which is left at its start, so that the same file may then be loaded.

    Raises:
        CheckpointError: As above.
    """
    try:
        members = read_members(stream)
        for member in members.values():
            check_content(stream, member)
        pickle = members["data.pkl"]
        sizes = {name: member.size for name, member in members.items() if name.startswith("data/")}
        walk_pickle(read_at(stream, pickle.start, pickle.size), sizes)
    except CheckpointError as error:
        raise CheckpointError(
            f"{source}: not a checkpoint that can be read safely ({error}); nothing was loaded"
        ) from None
    stream.seek(0)


# ---- the container


@dataclass(frozen=True, kw_only=True)
class Member:
    """One file inside the zip.

    Attributes:
        name: Its name without the root.
        start: Where its content starts.
        size: Its content's size in bytes.
        crc: What its content's CRC must be.
    """

    name: str
    start: int
    size: int
    crc: int


def read_at(stream: IO[bytes], start: int, size: int) -> bytes:
    """Return exactly `size` bytes.

    Raises:
        CheckpointError: The file ends before.
    """
    stream.seek(start)
    content = stream.read(size)
    if len(content) < size:
        raise CheckpointError(f"truncated at byte {start + len(content)}")
    return content


def read_members(stream: IO[bytes]) -> dict[str, Member]:
    """Return the zip's members by name, after checking that they fill the file from its first byte to its last.

    Raises:
        CheckpointError: The container is not one that torch writes.
    """
    directory_start, num_members = read_end(stream)
    position, place, roots = 0, directory_start, set()
    members: dict[str, Member] = {}
    for _ in range(num_members):
        entry = read_at(stream, place, ENTRY.size)
        name_length = ENTRY.unpack(entry)[10]
        raw_name = read_at(stream, place + ENTRY.size, name_length)
        root, name = split_name(raw_name)
        if name in members:
            raise CheckpointError(f"{name}: two members of that name")
        members[name], position = read_member(stream, entry, raw_name, position)
        roots.add(root)
        place += ENTRY.size + name_length
    if position != directory_start:
        raise CheckpointError(f"{directory_start - position} bytes between the members and the central directory")
    if len(roots) > 1:
        raise CheckpointError(f"members below {len(roots)} different roots")
    for name in ("data.pkl", "version"):
        if name not in members:
            raise CheckpointError(f"no member {name}")
    return members


def read_end(stream: IO[bytes]) -> tuple[int, int]:
    """Return where the central directory starts, and how many members it names.

    Raises:
        CheckpointError: The end records disagree with each other or with the file's size, or it is no zip.
    """
    size = stream.seek(0, SEEK_END)
    require_zip(stream, size)
    end_start = size - END.size
    signature, *disks, num_here, num_members, directory_size, start, comment_size = END.unpack(
        read_at(stream, end_start, END.size)
    )
    if signature != b"PK\x05\x06" or comment_size:
        raise CheckpointError("the file does not end with a zip's end record: truncated, or bytes after it")
    if any(disks) or num_here != num_members:
        raise CheckpointError("the zip's end record tells of several disks")
    if num_members > MAX_MEMBERS:
        raise CheckpointError(f"{num_members} members; at most {MAX_MEMBERS} are read")
    rest = read_at(stream, start + directory_size, max(0, end_start - start - directory_size))
    expected = END_64.pack(
        b"PK\x06\x06", END_64.size - 12, 0, 0, 0, 0, num_members, num_members, directory_size, start
    ) + LOCATOR_64.pack(b"PK\x06\x07", 0, start + directory_size, 1)
    versions = slice(12, 16)
    if start + directory_size + len(rest) != end_start or (
        rest and rest[: versions.start] + bytes(4) + rest[versions.stop :] != expected
    ):
        raise CheckpointError("the zip's end records disagree with the place of the central directory")
    return start, num_members


def require_zip(stream: IO[bytes], size: int) -> None:
    """Refuse other formats by their name.

    Raises:
        CheckpointError: Not the start of a zip, or too large.
    """
    stream.seek(0)
    start = stream.read(TAR_MAGIC_OFFSET + len(TAR_MAGIC))
    if size > MAX_FILE_BYTES:
        raise CheckpointError(f"{size} bytes; at most {MAX_FILE_BYTES} are read")
    if start.startswith(b"PK\x03\x04") and size >= END.size:
        return
    if start.endswith(TAR_MAGIC):
        raise CheckpointError("not a zip but a tar archive")
    for magic, name in OTHER_FORMATS:
        if start.startswith(magic):
            raise CheckpointError(f"not a zip but {name}")
    raise CheckpointError(f"not a zip: starts with {start[:4].hex() or 'nothing'}")


def split_name(raw_name: bytes) -> tuple[str, str]:
    """Return a member's root and its name below it.

    Raises:
        CheckpointError: torch writes no such name.
    """
    text = raw_name.decode("utf-8", "replace")
    match = MEMBER_NAME.fullmatch(text)
    if not match or not text.isprintable() or match["root"] in {".", ".."}:
        raise CheckpointError(f"member {text[:80]!r}: not a name that torch writes")
    return match["root"], match["rest"]


def read_member(stream: IO[bytes], entry: bytes, raw_name: bytes, position: int) -> tuple[Member, int]:
    """Return the member that a directory entry describes, and where the next one must start.

    Args:
        stream: The file.
        entry: The fixed part of its entry in the central directory.
        raw_name: Its full name there.
        position: Where the member before it ended.

    Raises:
        CheckpointError: Compressed, encrypted, elsewhere, or its own header says something else.
    """
    name = split_name(raw_name)[1]
    signature, _, _, flags, method, time, date, crc, stored_size, size, *tail = ENTRY.unpack(entry)
    _, extra_size, comment_size, disk, _, _, start = tail
    if signature != b"PK\x01\x02" or extra_size or comment_size or disk:
        raise CheckpointError(f"{name}: its entry in the central directory is not one that torch writes")
    if flags & ~(HAS_DESCRIPTOR | IS_UTF8):
        raise CheckpointError(f"{name}: encrypted, or flags that torch never sets ({flags:#06x})")
    if method or stored_size != size:
        raise CheckpointError(f"{name}: compressed (method {method}); torch stores")
    if start != position:
        raise CheckpointError(f"{name}: starts at byte {start}, where {position} was expected: a gap or an overlap")
    header = HEADER.unpack(read_at(stream, start, HEADER.size))
    has_descriptor = bool(flags & HAS_DESCRIPTOR)
    told = (0, 0, 0) if has_descriptor else (crc, size, size)
    if (header[0], *header[2:9], header[9]) != (b"PK\x03\x04", flags, 0, time, date, *told, len(raw_name)):
        raise CheckpointError(f"{name}: its header at byte {start} disagrees with the central directory")
    name_start = start + HEADER.size
    if read_at(stream, name_start, len(raw_name)) != raw_name:
        raise CheckpointError(f"{name}: its header at byte {start} bears another name")
    padding = read_at(stream, name_start + len(raw_name), header[10])
    if padding and not is_padding(padding):
        raise CheckpointError(f"{name}: its header holds more than torch's padding")
    content_start = name_start + len(raw_name) + len(padding)
    end = content_start + size
    if has_descriptor:
        if read_at(stream, end, DESCRIPTOR.size) != DESCRIPTOR.pack(b"PK\x07\x08", crc, size, size):
            raise CheckpointError(f"{name}: its descriptor at byte {end} disagrees with the central directory")
        end += DESCRIPTOR.size
    return Member(name=name, start=content_start, size=size, crc=crc), end


def is_padding(extra: bytes) -> bool:
    """Whether a header's extra field only aligns the content, as torch writes it."""
    match = PADDING.fullmatch(extra)
    return match is not None and int.from_bytes(match["length"], "little") == len(match["filling"])


def check_content(stream: IO[bytes], member: Member) -> None:
    """Compare a member's content with its CRC, and a note's with what torch writes there.

    Raises:
        CheckpointError: They differ, or data.pkl is too large.
    """
    crc, left = 0, member.size
    stream.seek(member.start)
    while left:
        chunk = stream.read(min(left, CHUNK_BYTES))
        if not chunk:
            raise CheckpointError(f"{member.name}: truncated")
        crc, left = zlib.crc32(chunk, crc), left - len(chunk)
    if crc != member.crc:
        raise CheckpointError(f"{member.name}: bad CRC (expected {member.crc:08x}, found {crc:08x})")
    if member.name == "data.pkl" and member.size > MAX_PICKLE_BYTES:
        raise CheckpointError(f"data.pkl: {member.size} bytes; at most {MAX_PICKLE_BYTES} are read")
    pattern = NOTES.get(member.name)
    if pattern and not re.fullmatch(pattern, read_at(stream, member.start, min(member.size, 100))):
        raise CheckpointError(f"{member.name}: not what torch writes there")


# ---- the pickle


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
    """A tuple; `is_plain` without globals and storages, `is_shareable` without dicts and lists."""

    items: "tuple[Value, ...]"
    weight: int
    depth: int
    is_plain: bool
    is_shareable: bool


@dataclass(kw_only=True)
class Container:
    """A dict, list or OrderedDict; it lies on the stack or in one other value, never in two."""

    kind: str
    weight: int = 1
    depth: int = 1
    keys: set[str | int] = field(default_factory=set)
    has_attributes: bool = False


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


def is_extent(value: Value) -> bool:
    """Whether a value can be a size, a stride or an offset."""
    return type(value) is int and 0 <= value < MAX_EXTENT


def make_tuple(items: list[Value]) -> TupleOf:
    """Return the tuple of some values."""
    return TupleOf(
        items=tuple(items),
        weight=1 + sum(map(weigh, items)),
        depth=1 + max(map(measure_depth, items), default=0),
        is_plain=all(map(is_plain, items)),
        is_shareable=all(map(is_shareable, items)),
    )


def is_shareable(value: Value) -> bool:
    """Whether a value may stand in several places: it cannot change, and holds nothing that can."""
    return value.is_shareable if isinstance(value, TupleOf) else not isinstance(value, Container)


def refuse(reason: str) -> NoReturn:
    """Refuse the opcode at hand; the loop adds its name and place.

    Raises:
        CheckpointError: Always.
    """
    raise CheckpointError(reason)


class PickleWalk:
    """The state of an unpickler that builds nothing: descriptions of values on a stack, and the memo."""

    def __init__(self, storage_bytes: Mapping[str, int]) -> None:
        self.storage_bytes = storage_bytes
        self.stack: list[Value] = []
        self.marked: list[list[Value]] = []
        self.memo: dict[int, Value] = {}
        self.storages: dict[str, Storage] = {}

    def pop(self) -> Value:
        """Take the topmost value."""
        return self.stack.pop() if self.stack else refuse("the stack is empty")

    def pop_to_mark(self) -> list[Value]:
        """Take everything above the last mark."""
        items, self.stack = self.stack, (self.marked.pop() if self.marked else refuse("there is no mark"))
        return items

    def push_mark(self) -> None:
        """Begin a group of values."""
        if len(self.marked) >= MAX_DEPTH * 2:
            refuse(f"more than {MAX_DEPTH * 2} marks")
        self.marked.append(self.stack)
        self.stack = []

    def push(self, value: Value) -> None:
        """Put a constant or a new value on the stack."""
        if type(value) is int and abs(value) > MAX_INTEGER:
            refuse("an integer of more than 64 bits")
        if isinstance(value, str) and not value.isprintable():
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
        if not is_shareable(self.memo[place]):
            refuse("a dict or list by reference: shared or cyclic")
        self.push(self.memo[place])

    def target(self, *kinds: str) -> Container:
        """Return the topmost value, which must be one of these containers."""
        value = self.stack[-1] if self.stack else refuse("the stack is empty")
        if not isinstance(value, Container) or value.kind not in kinds:
            refuse(f"its target is not a {' or '.join(kinds)}")
        return value

    def include(self, container: Container, value: Value) -> None:
        """Put a value into a container."""
        if not is_plain(value):
            refuse("a global or a storage as a value")
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
            if type(key) is not str and type(key) is not int:
                refuse("a key that is neither text nor an integer")
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
        """Describe what a call of one of the two allowed functions would give."""
        arguments, function = self.pop(), self.pop()
        if function == GlobalName(ORDERED_DICT) and isinstance(arguments, TupleOf) and not arguments.items:
            self.push(Container(kind="OrderedDict"))
        elif function == GlobalName(REBUILD_TENSOR) and isinstance(arguments, TupleOf):
            self.push(describe_tensor(arguments))
        else:
            name = function.name.replace(" ", ".") if isinstance(function, GlobalName) else "something else"
            refuse(f"a call of {name} with arguments that torch does not write")


def describe_tensor(arguments: TupleOf) -> TensorShape:
    """Return the tensor that `_rebuild_tensor_v2` would make, which must lie inside its storage.

    Raises:
        CheckpointError: It does not, or the arguments are of other types.
    """
    match arguments.items:
        case (
            Storage(num_elements=num_elements),
            int(offset),
            TupleOf(items=shape),
            TupleOf(items=strides),
            bool(),
            Container(kind="OrderedDict", weight=1),
        ) if all(map(is_extent, (offset, *shape, *strides))):
            sizes = [size for size in shape if type(size) is int]
            steps = [step for step in strides if type(step) is int]
        case _:
            refuse("_rebuild_tensor_v2 with arguments that torch does not write")
    if len(sizes) != len(steps) or len(sizes) > MAX_DIMENSIONS:
        refuse(f"a tensor of {len(sizes)} dimensions and {len(steps)} strides")
    last = offset + sum((size - 1) * step for size, step in zip(sizes, steps, strict=True))
    size = prod(sizes)
    if max(offset, size) > num_elements or (size and last >= num_elements):
        refuse(f"a tensor of shape {'×'.join(map(str, sizes))} reaches beyond its storage of {num_elements}")
    return TensorShape(tuple(sizes))


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
    if content[:2] != b"\x80\x02":
        raise CheckpointError("data.pkl: not a pickle of protocol 2, which torch writes")
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


def perform(walk: PickleWalk, name: str, code: str, stream: IO[bytes]) -> None:
    """Do what one opcode does, to descriptions; its argument is read only where the opcode is allowed."""
    if name in ACTIONS:
        ACTIONS[name](walk, None)
        return
    if name not in CONSTANTS | {"GLOBAL", "BINPUT", "LONG_BINPUT", "BINGET", "LONG_BINGET"}:
        refuse("opcode not allowed")
    reader = OPCODES[code].arg
    assert reader is not None
    argument = reader.reader(stream)
    if name in CONSTANTS:
        walk.push(argument)
    elif name == "GLOBAL":
        walk.push_global(argument)
    elif name.endswith("PUT"):
        walk.put(argument)
    else:
        walk.get(argument)


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
