"""Hostile and sound checkpoint files, built from the cases in `cases.json`; what they would run only makes a marker."""

import gzip
import io
import json
import struct
import tarfile
import zipfile
import zlib
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch

from hstu_preserve.compute.generator_states import capture_rng

HERE = Path(__file__).parent
GOLDEN = HERE.parents[1] / "golden"

Arguments = dict[str, Any]
"""A case's arguments as JSON holds them."""


@dataclass(frozen=True, kw_only=True)
class Case:
    """One file and what must be said of it.

    Attributes:
        id: Its name.
        kind: Its class in the archive's description.
        generator: Which function below makes it.
        arguments: With which arguments.
        verdict: `refused` or `accepted`.
        says: Words of the message, where refused.
    """

    id: str
    kind: str
    generator: str
    arguments: Arguments
    verdict: str
    says: tuple[str, ...]

    def build(self, marker: Path) -> bytes:
        """Return the file's bytes; running its payload would make `marker`."""
        arguments = json.loads(json.dumps(self.arguments).replace("{marker}", str(marker)))
        return GENERATORS[self.generator](**arguments)


def load_cases() -> list[Case]:
    """Return all cases, in the file's order."""
    rows = json.loads((HERE / "cases.json").read_text(encoding="utf-8"))
    return [
        Case(
            id=row["id"],
            kind=row["class"],
            generator=row["generator"],
            arguments=row.get("arguments", {}),
            verdict=row["verdict"],
            says=tuple(row.get("says", ())),
        )
        for row in rows
    ]


def count_cases() -> dict[str, int]:
    """Return the number of cases by class."""
    return dict(Counter(case.kind for case in load_cases()))


# ---- pickles, written opcode by opcode


def text(value: str) -> bytes:
    raw = value.encode("utf-8", "surrogatepass")
    return b"X" + struct.pack("<I", len(raw)) + raw


def plain(value: Any) -> bytes:
    """Return the opcodes of a JSON value; lists stay lists."""
    if value is None or isinstance(value, bool):
        return {None: b"N", True: b"\x88", False: b"\x89"}[value]
    if isinstance(value, int):
        return b"J" + struct.pack("<i", value) if abs(value) < 2**31 else b"\x8a\x09" + value.to_bytes(9, "little")
    if isinstance(value, float):
        return b"G" + struct.pack(">d", value)
    if isinstance(value, str):
        return text(value)
    if isinstance(value, list):
        return b"](" + b"".join(map(plain, value)) + b"e"
    assert isinstance(value, dict)
    return b"}(" + b"".join(text(key) + plain(item) for key, item in value.items()) + b"u"


def arguments_of(values: list[Any]) -> bytes:
    return b"(" + b"".join(map(plain, values)) + b"t"


def call(module: str, name: str, arguments: list[Any]) -> bytes:
    return f"c{module}\n{name}\n".encode() + arguments_of(arguments) + b"R"


HOOKS = b"ccollections\nOrderedDict\n)R"
LINES = {"GLOBAL": b"c", "INST": b"i"}
RAW_ARGUMENT = {
    "BINPUT": b"q", "BINGET": b"h", "LONG_BINPUT": b"r", "LONG_BINGET": b"j", "EXT1": b"\x82", "EXT2": b"\x83",
    "EXT4": b"\x84", "PROTO": b"\x80", "FRAME": b"\x95", "LONG1": b"\x8a", "LONG4": b"\x8b", "SHORT_BINSTRING": b"U",
    "BINSTRING": b"T", "BINBYTES": b"B", "SHORT_BINBYTES": b"C", "BINUNICODE8": b"\x8d", "SHORT_BINUNICODE": b"\x8c",
    "BYTEARRAY8": b"\x96", "BINUNICODE": b"X",
}  # fmt: skip
BARE = {
    "MARK": b"(", "STOP": b".", "POP": b"0", "POP_MARK": b"1", "DUP": b"2", "REDUCE": b"R", "BUILD": b"b", "OBJ": b"o",
    "NEWOBJ": b"\x81", "NEWOBJ_EX": b"\x92", "STACK_GLOBAL": b"\x93", "MEMOIZE": b"\x94", "EMPTY_DICT": b"}",
    "EMPTY_LIST": b"]", "EMPTY_TUPLE": b")", "EMPTY_SET": b"\x8f", "ADDITEMS": b"\x90", "FROZENSET": b"\x91",
    "TUPLE": b"t", "TUPLE1": b"\x85", "TUPLE2": b"\x86", "TUPLE3": b"\x87", "APPEND": b"a", "APPENDS": b"e",
    "SETITEM": b"s", "SETITEMS": b"u", "BINPERSID": b"Q", "NONE": b"N", "LIST": b"l", "DICT": b"d",
    "NEXT_BUFFER": b"\x97", "READONLY_BUFFER": b"\x98",
}  # fmt: skip


def assemble(program: list[list[Any]]) -> bytes:
    """Return the bytes of a program of `[opcode, argument…]`.

    Beside pickle's opcodes: VALUE (any JSON value), HEX (raw bytes), LINE (an opcode's letter and its text line),
    REPEAT (times, program), TENSOR (a sound one) and ORDERED_DICT.
    """
    return b"".join(assemble_one(*operation) for operation in program)


def assemble_one(name: str, *operands: Any) -> bytes:
    if name in BARE:
        return BARE[name]
    if name in LINES:
        return LINES[name] + "".join(f"{line}\n" for line in operands).encode()
    if name in RAW_ARGUMENT:
        return RAW_ARGUMENT[name] + bytes.fromhex(operands[0])
    return SPECIAL[name](*operands)


def storage(
    *, type_name: str = "FloatStorage", key: Any = "0", location: Any = "cpu", length: Any = 4, tag: str = "storage"
) -> bytes:
    return b"(" + text(tag) + f"ctorch\n{type_name}\n".encode() + b"".join(map(plain, (key, location, length))) + b"tQ"


def tensor(changes: Arguments | None = None) -> bytes:
    """Return the opcodes of a tensor of 4 floats in `data/0`, with some of its parts changed."""
    parts: Arguments = {"offset": 0, "size": [2, 2], "stride": [2, 1], "requires_grad": False, "hooks": True}
    parts |= changes or {}
    of_storage = {name: parts.pop(name) for name in ("type_name", "key", "location", "length", "tag") if name in parts}
    hooks = HOOKS if parts["hooks"] is True else plain(parts["hooks"])
    return (
        b"ctorch._utils\n_rebuild_tensor_v2\n("
        + storage(**of_storage)
        + plain(parts["offset"])
        + arguments_of(parts["size"])
        + arguments_of(parts["stride"])
        + plain(parts["requires_grad"])
        + hooks
        + (plain(parts["more"]) if "more" in parts else b"")
        + b"tR"
    )


SPECIAL: dict[str, Callable[..., bytes]] = {
    "LINE": lambda letter, line: f"{letter}{line}\n".encode(),
    "REPEAT": lambda times, program: assemble(program) * int(times),
    "HEX": bytes.fromhex,
    "VALUE": plain,
    "TENSOR": tensor,
    "ORDERED_DICT": lambda: HOOKS,
}


def content(extra: bytes = b"", *, weight: bytes | None = None) -> bytes:
    """Return the opcodes of a sound checkpoint's dict, with `extra` as one more value."""
    weights = text("model_state_dict") + b"}" + text("a") + (weight or tensor()) + b"s"
    return b"}(" + text("epoch") + b"K\x01" + weights + (text("extra") + extra if extra else b"") + b"u"


# ---- zips, written field by field


@dataclass(kw_only=True)
class Part:
    """One member, with what its header, its descriptor and its directory entry say otherwise."""

    name: str
    content: bytes
    local: Arguments = field(default_factory=dict)
    central: Arguments = field(default_factory=dict)
    descriptor: Arguments = field(default_factory=dict)
    local_name: str | None = None
    padding: bytes = b"FB\x03\x00ZZZ"
    central_extra: bytes = b""
    comment: bytes = b""
    before: bytes = b""


def sound_parts(pickle: bytes | None = None) -> list[Part]:
    """Return the members that torch writes."""
    contents = {
        "data.pkl": b"\x80\x02" + content() + b"." if pickle is None else pickle,
        ".format_version": b"1",
        ".storage_alignment": b"64",
        "byteorder": b"little",
        "data/0": struct.pack("<4f", 1, 2, 3, 4),
        "version": b"3\n",
        ".data/serialization_id": b"0" * 40,
    }
    return [Part(name=f"archive/{name}", content=value) for name, value in contents.items()]


def write_parts(
    parts: list[Part],
    *,
    end: Arguments | None = None,
    end_64: Arguments | None = None,
    comment: bytes = b"",
    gap: bytes = b"",
) -> bytes:
    body, directory = b"", b""
    for part in parts:
        body += part.before
        raw, crc = part.content, zlib.crc32(part.content)
        name, local_name = part.name.encode(), (part.local_name or part.name).encode()
        place = {"flags": 0x808, "method": 0, "crc": 0, "stored": 0, "size": 0} | part.local
        central = {"flags": 0x808, "method": 0, "crc": crc, "stored": len(raw), "size": len(raw), "disk": 0}
        central |= {"start": len(body)} | part.central
        after = {"crc": crc, "stored": len(raw), "size": len(raw)} | part.descriptor
        directory += struct.pack(
            "<4s6H3L5H2L", b"PK\x01\x02", 0, 0, central["flags"], central["method"], 0, 0, central["crc"],
            central["stored"], central["size"], len(name), len(part.central_extra), len(part.comment),
            central["disk"], 0, 0, central["start"],
        ) + name + part.central_extra + part.comment  # fmt: skip
        body += struct.pack(
            "<4s5H3L2H", b"PK\x03\x04", 0, place["flags"], place["method"], 0, 0, place["crc"], place["stored"],
            place["size"], len(local_name), len(part.padding),
        ) + local_name + part.padding + raw  # fmt: skip
        if central["flags"] & 8:
            body += struct.pack("<4s3L", b"PK\x07\x08", after["crc"], after["stored"], after["size"])
    body += gap
    start, size, count = len(body), len(directory), len(parts)
    last = {"disk": 0, "here": count, "count": count, "size": size, "start": start} | (end or {})
    wide = {"count": count, "size": size, "start": start} | (end_64 or {})
    return (
        body
        + directory
        + struct.pack("<4sQ2H2L4Q", b"PK\x06\x06", 44, 798, 45, 0, 0, wide["count"], wide["count"], wide["size"],
                      wide["start"])
        + struct.pack("<4sLQL", b"PK\x06\x07", 0, start + size, 1)
        + struct.pack("<4s4H2LH", b"PK\x05\x06", last["disk"], 0, last["here"], last["count"], last["size"],
                      last["start"], len(comment))
        + comment
    )  # fmt: skip


# ---- generators: each returns a whole file


def make_call(module: str, name: str, arguments: list[Any]) -> bytes:
    """A sound checkpoint with one more value: what a call of a global returns."""
    return write_parts(sound_parts(b"\x80\x02" + content(call(module, name, arguments)) + b"."))


def make_value(program: list[list[Any]]) -> bytes:
    """A sound checkpoint with one more value, which a program leaves on the stack."""
    return write_parts(sound_parts(b"\x80\x02" + content(assemble(program)) + b"."))


def make_pickle(program: list[list[Any]], *, before: bool = False) -> bytes:
    """A container around the program alone, or (`before`) around a sound checkpoint that the program follows."""
    sound = b"\x80\x02" + content() + b"." if before else b""
    return write_parts(sound_parts(sound + assemble(program)))


def make_tensor(changes: Arguments, data: int = 16) -> bytes:
    """A checkpoint whose one tensor is changed; `data/0` has `data` bytes."""
    parts = sound_parts(b"\x80\x02" + content(weight=tensor(changes)) + b".")
    parts[4].content = bytes(data)
    return write_parts(parts)


def make_container(
    member: str = "data.pkl", changes: Arguments | None = None, end: Arguments | None = None,
    end_64: Arguments | None = None, comment: str = "", gap: str = "",
) -> bytes:  # fmt: skip
    """A sound checkpoint with one member's fields changed, or those of the end records."""
    parts = sound_parts()
    for part in parts:
        if part.name == f"archive/{member}":
            for name, value in (changes or {}).items():
                setattr(part, name, value.encode() if isinstance(getattr(part, name), bytes) else value)
    return write_parts(parts, end=end, end_64=end_64, comment=comment.encode(), gap=gap.encode())


def make_members(add: list[list[str]], remove: list[str]) -> bytes:
    """A sound checkpoint with members added and removed."""
    kept = [part for part in sound_parts() if part.name.removeprefix("archive/") not in remove]
    return write_parts(kept + [Part(name=name, content=value.encode()) for name, value in add])


def make_surrounded(before: str = "", after: str = "") -> bytes:
    """A sound checkpoint with hexadecimal bytes before and after."""
    return bytes.fromhex(before) + write_parts(sound_parts()) + bytes.fromhex(after)


def make_truncated(share: float) -> bytes:
    """The first part of a sound checkpoint."""
    whole = write_parts(sound_parts())
    return whole[: int(len(whole) * share)]


def make_bytes(hexadecimal: str, length: int) -> bytes:
    """Bytes that begin as another format does."""
    return bytes.fromhex(hexadecimal).ljust(length, b"\0")


def make_compressed(method: int) -> bytes:
    """A sound checkpoint, really compressed."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for part in sound_parts():
            archive.writestr(part.name, part.content)
    return buffer.getvalue()


def make_overlapping() -> bytes:
    """Two entries that share one member's bytes."""
    parts = sound_parts()
    parts[2].central["start"] = parts[1].central["start"] = len(write_parts(parts[:1], comment=b"")) // 2
    return write_parts(parts)


def make_large_pickle(size: int) -> bytes:
    """A pickle of nothing but zeros, longer than any."""
    return write_parts(sound_parts(bytes(size)))


def make_crowd(count: int) -> bytes:
    """More members than any checkpoint has."""
    return write_parts([*sound_parts(), *(Part(name=f"archive/data/{n}", content=b"") for n in range(1, count))])


def make_old_torch(marker: str) -> bytes:
    """torch's format before 1.6, with a payload."""
    buffer = io.BytesIO()
    torch.save({"epoch": 1, "model_state_dict": {}}, buffer, _use_new_zipfile_serialization=False)
    return buffer.getvalue() + b"\x80\x02" + call("os", "system", [f"touch {marker}"]) + b"."


def make_tar(marker: str) -> bytes:
    """torch's oldest format: a tar, here with a payload as its pickle."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name in ("storages", "tensors", "pickle"):
            raw = b"\x80\x02" + call("os", "system", [f"touch {marker}"]) + b"."
            entry = tarfile.TarInfo(name)
            entry.size = len(raw)
            archive.addfile(entry, io.BytesIO(raw))
    return buffer.getvalue()


def make_raw_pickle(marker: str) -> bytes:
    """A payload without any container."""
    return b"\x80\x02" + call("os", "system", [f"touch {marker}"]) + b"."


def make_gzip() -> bytes:
    """A sound checkpoint inside gzip."""
    return gzip.compress(write_parts(sound_parts()))


def make_numpy_objects() -> bytes:
    """A NumPy file of objects, which hides a pickle."""
    buffer = io.BytesIO()
    np.save(buffer, np.array([{"epoch": 1}], dtype=object), allow_pickle=True)
    return buffer.getvalue()


def saved(value: object) -> bytes:
    buffer = io.BytesIO()
    torch.save(value, buffer)
    return buffer.getvalue()


def make_ours() -> Arguments:
    """Everything that a checkpoint of ours holds, around one linear layer after a step."""
    model = torch.nn.Linear(3, 2)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
    model(torch.ones(1, 3)).sum().backward()
    optimizer.step()
    return {
        "epoch": 3,
        "batch_id": 7,
        "model_state_dict": model.state_dict(),
        "optimizer_state_dict": optimizer.state_dict(),
        "rng": capture_rng(),
        "recipe_sha256": "0" * 64,
        "data_fingerprint": "0" * 64,
        "world_size": 1,
    }


def make_weights(value: Any) -> Arguments:
    return {"epoch": 1, "model_state_dict": {"a": value}}


def make_extra(value: object) -> Arguments:
    return {"epoch": 1, "model_state_dict": {}, "extra": value}


SAVED: dict[str, Callable[[], object]] = {
    "ours": make_ours,
    "nothing": dict,
    "a list": lambda: [1, 2],
    "a tensor": lambda: torch.ones(3),
    "no weights": lambda: {"epoch": 1},
    "no epoch": lambda: {"model_state_dict": {}},
    "weights as a list": lambda: {"epoch": 1, "model_state_dict": [torch.ones(1)]},
    "weights as numbers": lambda: make_weights([1.0]),
    "weights by number": lambda: {"epoch": 1, "model_state_dict": {3: torch.ones(1)}},
    "epoch as text": lambda: {"epoch": "1", "model_state_dict": {}},
    "epoch as a truth value": lambda: {"epoch": True, "model_state_dict": {}},
    "epoch as a tensor": lambda: {"epoch": torch.tensor(1), "model_state_dict": {}},
    "epoch as a fraction": lambda: {"epoch": 1.0, "model_state_dict": {}},
    "negative epoch": lambda: {"epoch": -1, "model_state_dict": {}},
    "complex weights": lambda: make_weights(torch.ones(2, dtype=torch.complex64)),
    "float8 weights": lambda: make_weights(torch.ones(2).to(torch.float8_e5m2)),
    "uint16 weights": lambda: make_weights(torch.ones(2, dtype=torch.uint16)),
    "sparse weights": lambda: make_weights(torch.eye(2).to_sparse()),
    "a parameter": lambda: make_weights(torch.nn.Parameter(torch.ones(2))),
    "a module": lambda: make_weights(torch.nn.Linear(1, 1)),
    "an expanded tensor": lambda: make_weights(torch.ones(1).expand(1000)),
    "a tensor on no device": lambda: make_weights(torch.ones(2, device="meta")),
    "a numpy array": lambda: make_extra(np.ones(2)),
    "a numpy number": lambda: make_extra(np.float64(1)),
    "a set": lambda: make_extra({1, 2}),
    "bytes": lambda: make_extra(b"\x80\x02."),
    "a bytearray": lambda: make_extra(bytearray(b"1")),
    "a complex number": lambda: make_extra(1j),
    "a date": lambda: make_extra(datetime(2026, 1, 1, tzinfo=UTC)),
    "a path": lambda: make_extra(Path("x")),
    "a dtype": lambda: make_extra(torch.float32),
    "a device": lambda: make_extra(torch.device("cpu")),
    "a shape": lambda: make_extra(torch.Size([1])),
    "a dict in two places": lambda: make_extra([x := {"a": 1}, x]),
    "a large integer": lambda: make_extra(2**70),
    "upstream's DDP names": lambda: {
        "epoch": 100,
        "model_state_dict": OrderedDict({"module._attn_mask": torch.ones(2, 2, dtype=torch.bool)}),
        "optimizer_state_dict": {},
    },
    "bf16": lambda: make_weights(torch.ones(3, 2, dtype=torch.bfloat16)),
    "half": lambda: make_weights(torch.ones(3, dtype=torch.float16)),
    "double": lambda: make_weights(torch.ones(3, dtype=torch.float64)),
    "no elements": lambda: make_weights(torch.ones(0, 3)),
    "a scalar": lambda: make_weights(torch.tensor(1.0)),
    "a transposed view": lambda: make_weights(torch.arange(6.0).view(2, 3).t()),
    "a tensor in two places": lambda: {"epoch": 1, "model_state_dict": {"a": (x := torch.ones(2)), "b": x}},
    "a tuple in two places": lambda: make_extra([x := (0.9, 0.999), x]),
    "text of several lines": lambda: make_extra("loss 0.5\r\n\tepoch 1\n"),
    "parameters of a module": lambda: {
        "epoch": 1,
        "model_state_dict": OrderedDict(torch.nn.Linear(2, 3).named_parameters()),
    },
    "an OrderedDict in two places": lambda: make_extra([x := OrderedDict(a=1), {"again": x}]),
    "lists that share a list": lambda: make_extra([[x := [1, 2], x], (x, [x])]),
    "shared lists that would unfold to 2^30 values": lambda: make_extra(nest_shared(30)),
    "a parameter with attributes": lambda: make_weights(make_marked_parameter()),
    "a key of several lines": lambda: make_extra({"a\nb": 1}),
}


def nest_shared(depth: int) -> list[Any]:
    """Return lists that each hold the one below twice."""
    value: list[Any] = []
    for _ in range(depth):
        value = [value, value]
    return value


def make_marked_parameter() -> torch.nn.Parameter:
    """Return a parameter that keeps an attribute of its own."""
    value = torch.nn.Parameter(torch.ones(2))
    value.of_whom = "me"  # type: ignore[attr-defined]
    return value


def make_protocol(protocol: int) -> bytes:
    """What torch.save writes in another pickle protocol."""
    buffer = io.BytesIO()
    torch.save({"epoch": 1, "model_state_dict": {"a": torch.ones(2)}}, buffer, pickle_protocol=protocol)
    return buffer.getvalue()


def make_without_checksums(share: float = 1.0) -> bytes:
    """What torch.save writes with CRC32 turned off, or the first part of it."""
    torch.serialization.set_crc32_options(False)
    try:
        whole = saved({"epoch": 1, "model_state_dict": {"a": torch.ones(2)}})
    finally:
        torch.serialization.set_crc32_options(True)
    return whole[: int(len(whole) * share)]


def make_saved(name: str) -> bytes:
    """What `torch.save` writes of a value."""
    return saved(SAVED[name]())


def make_golden(name: str) -> bytes:
    """A checkpoint that upstream's own code wrote."""
    return (GOLDEN / name).read_bytes()


# ---- safetensors, which are recognised and refused


def make_safetensors(header: Any, *, size: int = 16, length: int | None = None) -> bytes:
    """Return a file with that header, as JSON or as the text it stands for, and so many bytes of tensors."""
    raw = header.encode() if isinstance(header, str) else json.dumps(header).encode()
    return struct.pack("<Q", len(raw) if length is None else length) + raw + bytes(size)


def list_generators() -> Iterator[tuple[str, Callable[..., bytes]]]:
    for function in (
        make_call, make_value, make_pickle, make_tensor, make_container, make_members, make_surrounded, make_truncated,
        make_bytes, make_compressed, make_overlapping, make_large_pickle, make_crowd, make_old_torch, make_tar,
        make_raw_pickle, make_gzip, make_numpy_objects, make_saved, make_golden, make_safetensors,
        make_protocol, make_without_checksums,
    ):  # fmt: skip
        yield function.__name__.removeprefix("make_"), function


GENERATORS = dict(list_generators())
