"""Legacy archives built from their description: the published layout, written as any `tar czf` may have, or as none."""

import gzip
import hashlib
import json
import struct
import tempfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from hstu_preserve.event_files.writer import EventWriter

CASES = Path(__file__).with_name("cases.json")
BLOCK = 512
ARCHIVE_NAME = "iter8-exp4-SOTA.tar.gz"

CONFIG = b"""include "base.gin"
train_fn.num_epochs = 101
hstu_encoder.linear_dropout_rate = 0.1
PRISM.mode = "additive"
input_compression.enabled = True
"""
BASE = b'train_fn.main_module = "HSTU"\ntrain_fn.dataset_name = "ml-20m"\nhstu_encoder.num_blocks = 8\n'
COMPANION = struct.pack(">II16sH", 0x00051607, 0x00020000, b"Mac OS X        ", 0)
CHECKPOINT = "ckpts/HSTU-b8-h2-dqk32-dv32-lsilud0.1-ad0.0_ep100"
EVENTS = "tb/HSTU-b8-h2/events.out.tfevents.1700000000.host"


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A tar member, every field of which may be a lie."""

    name: str
    content: bytes = b""
    kind: str = "0"
    link: str = ""
    mode: int = 0o644
    owner: int = 1000
    mtime: int = 1_700_000_000
    size: int | None = None
    size_field: bytes | None = None
    extensions: bytes = b""
    padding: bytes = b"\0"
    magic: bytes = b"ustar  \0"
    name_prefix: str = ""
    is_sum_signed: bool = False

    def to_bytes(self) -> bytes:
        size = len(self.content) if self.size is None else self.size
        head = b"".join(
            (
                encode(self.name)[:100].ljust(100, b"\0"),
                b"%07o\0%07o\0%07o\0" % (self.mode, self.owner, self.owner),
                self.size_field or b"%011o\0" % size,
                b"%011o\0" % self.mtime,
            )
        )
        tail = b"".join(
            (
                self.kind.encode("latin-1"),
                encode(self.link)[:100].ljust(100, b"\0"),
                self.magic,
                b"tz".ljust(32, b"\0") + b"users".ljust(32, b"\0"),
                bytes(16),
                encode(self.name_prefix).ljust(155, b"\0"),
                bytes(12),
            )
        )
        checksum = sum(head) + 8 * 32 + sum(tail)
        if self.is_sum_signed:
            checksum -= 256 * sum(byte >= 128 for byte in head + tail)
        return self.extensions + head + b"%06o\0 " % checksum + tail + self.content + self.padding * self.gap

    @property
    def gap(self) -> int:
        return -len(self.content) % BLOCK


def encode(name: str) -> bytes:
    return name.encode("utf-8", "surrogateescape")


def gnu_long(name: str, *, kind: str = "L") -> bytes:
    return Entry(name="././@LongLink", content=encode(name) + b"\0", kind=kind).to_bytes()


def pax(records: dict[str, str], *, kind: str = "x") -> bytes:
    body = b""
    for keyword, value in records.items():
        text = b" " + encode(keyword) + b"=" + encode(value) + b"\n"
        length = len(text) + 1
        while len(str(length)) + len(text) != length:
            length += 1
        body += str(length).encode() + text
    return Entry(name="PaxHeaders/x", content=body, kind=kind, magic=b"ustar\x0000").to_bytes()


def make_events() -> bytes:
    """Return a true event file of three points."""
    with tempfile.TemporaryDirectory() as folder:
        with EventWriter.create(Path(folder), wall_time=1_700_000_000.0, suffix="host") as writer:
            for step, value in enumerate((0.15, 0.18, 0.1948)):
                writer.scalar("eval_epoch/ndcg@10", value=value, step=step, wall_time=1_700_000_000.0 + step)
        return writer.path.read_bytes()


def make_members() -> list[Entry]:
    """Return the files of the published layout, in the order in which readdir might give them."""
    checkpoint = hashlib.shake_128(b"weights").digest(5000)
    return [
        Entry(name="config/exp4.gin", content=CONFIG),
        Entry(name="config/base.gin", content=BASE),
        Entry(name=CHECKPOINT, content=checkpoint),
        Entry(name=EVENTS, content=make_events()),
    ]


def md5(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def records(members: list[Entry]) -> list[dict[str, Any]]:
    return [{"path": one.name, "md5": md5(one.content), "size": len(one.content)} for one in members]


MANIFEST_SHAPES: dict[str, Callable[[list[Entry]], Any]] = {
    "list": lambda all_: {"experiment": "iter8-exp4", "ndcg": 0.1948, "files": records(all_)},
    "mapping": lambda all_: {"files": {one.name: md5(one.content) for one in all_}},
    "mapping-of-records": lambda all_: {
        "files": {one.name: {"md5": md5(one.content), "size_bytes": len(one.content)} for one in all_}
    },
    "by-role": lambda all_: {
        "configs": {one.name: md5(one.content) for one in all_[:2]},
        "checkpoints": {"best": {"path": all_[2].name, "md5": md5(all_[2].content), "epoch": 100}},
        "tensorboard": [{"file": one.name, "checksum": md5(one.content)} for one in all_[3:]],
    },
    "flat": lambda all_: {one.name: md5(one.content) for one in all_},
    "top-list": records,
    "sha256": lambda all_: {"files": [{"path": one.name, "sha256": sha256(one.content)} for one in all_]},
    "prefixed": lambda all_: {"artifacts": {f"./{one.name}": f"md5:{md5(one.content).upper()}" for one in all_}},
    "names-only": lambda all_: {"checkpoints": {one.name.rsplit("/", 1)[-1]: md5(one.content) for one in all_}},
    "partial": lambda all_: {"files": records(all_[:2])},
    "sizes-only": lambda all_: {"files": [{**one, "md5": None} for one in records(all_)]},
    "no-digests": lambda _: {"experiment": "iter8-exp4", "metrics": {"ndcg@10": 0.1948}, "recipe_sha256": "0" * 64},
    "wrong-digest": lambda all_: {"files": [{**one, "md5": "0" * 32} for one in records(all_)[:1]]},
    "wrong-size": lambda all_: {"files": [{**one, "size": 7} for one in records(all_)[:1]]},
    "extra-file": lambda all_: {"files": [*records(all_), {"path": "ckpts/gone_ep50", "md5": "1" * 32}]},
    "contradiction": lambda all_: {"files": records(all_), "configs": {all_[0].name: "2" * 32}},
    "bad-digest": lambda all_: {"files": [{"path": all_[0].name, "md5": "d41d8cd9"}]},
    "wrong-algorithm": lambda all_: {"files": [{"path": all_[0].name, "sha256": md5(all_[0].content)}]},
    "native": lambda _: {"schema_version": 0, "run": {}, "contents": {"files": []}},
}

RAW_MANIFESTS = {
    "not-json": b"experiment: iter8\n",
    "duplicate-key": b'{"files":{},"files":{}}',
    "nan": b'{"ndcg": NaN}',
    "bom": b"\xef\xbb\xbf{}",
    "deep": b"[" * 5000,
}


def make_manifest(shape: str, members: list[Entry]) -> bytes:
    if shape in RAW_MANIFESTS:
        return RAW_MANIFESTS[shape]
    return json.dumps(MANIFEST_SHAPES[shape](members), indent=2).encode()


LIST_SHAPES: dict[str, Callable[[str, bytes], str]] = {
    "md5sum": lambda name, file: f"{md5(file)}  {name}\n{'0' * 32}  other.tar.gz\n",
    "md5sum-binary": lambda name, file: f"{md5(file)} *./{name}\n",
    "table": lambda name, file: (
        "# Archive\n\n| Bundle | Size | MD5 | NDCG@10 |\n|---|---:|:---|---|\n"
        f"| `{name}` | 1.2 GB | `{md5(file)}` | 0.1948 |\n| `b.tar.gz` | 9 MB | `{'a' * 32}` | 0.19 |\n"
    ),
    "table-by-id": lambda name, file: (
        f"| name | bytes | md5 |\n| - | - | - |\n| {name.removesuffix('.tar.gz')} | {len(file):,} | {md5(file)} |\n"
    ),
    "link-table": lambda name, file: f"| [{name}](https://example.org/x.tar.gz) | **{md5(file)}** |\n",
    "list-item": lambda name, file: f"- `{name}`: `{md5(file)}` ({len(file)} bytes)\n",
    "colon": lambda name, file: f"{name}: {md5(file).upper()}\n",
    "bsd": lambda name, file: f"MD5 ({name}) = {md5(file)}\n",
    "heading": lambda name, file: f"### {name}\n\n- MD5: `{md5(file)}`\n- NDCG@10: 0.1948\n",
    "sha256": lambda name, file: f"{sha256(file)}  {name}\n",
    "mismatch": lambda name, file: f"{md5(file + b'!')}  {name}\n",
    "size-mismatch": lambda name, file: f"- `{name}` {md5(file)} {len(file) + 1} bytes\n",
    "absent": lambda _, file: f"{md5(file)}  another.tar.gz\n",
    "contradiction": lambda name, file: f"{md5(file)}  {name}\n- {name}: {'3' * 32}\n",
    "no-digests": lambda name, _: f"# {name}\nNothing to see.\n",
}


def add_prefix(members: list[Entry], *, text: str) -> list[Entry]:
    return [replace(one, name=text + one.name) for one in members]


def add_folders(members: list[Entry], *, root: str = "") -> list[Entry]:
    names = ([root] if root else []) + [f"{root}{name}/" for name in ("config", "ckpts", "tb", "tb/HSTU-b8-h2")]
    return [*(Entry(name=name, kind="5", mode=0o755) for name in names), *members]


def reverse(members: list[Entry]) -> list[Entry]:
    return members[::-1]


def own(members: list[Entry], **fields: int) -> list[Entry]:
    return [replace(one, **fields) for one in members]  # type: ignore[arg-type]  # the case's own fields


def add(members: list[Entry], *, repeat: int = 1, text: str = "", magic: str = "", **fields: Any) -> list[Entry]:
    if magic:
        fields["magic"] = magic.encode("latin-1")
    return [*members, *[Entry(content=text.encode(), **fields)] * repeat]


def add_zeros(members: list[Entry], *, name: str, size: int) -> list[Entry]:
    return [*members, Entry(name=name, content=bytes(size))]


def drop(members: list[Entry], *, name: str) -> list[Entry]:
    return [one for one in members if one.name != name]


def change(members: list[Entry], *, name: str, text: str) -> list[Entry]:
    return [replace(one, content=text.encode()) if one.name == name else one for one in members]


def damage_events(members: list[Entry]) -> list[Entry]:
    return [replace(one, content=one.content[:-3]) if one.name == EVENTS else one for one in members]


def name_long(members: list[Entry], *, form: str, name: str = "") -> list[Entry]:
    name = name or f"ckpts/{'HSTU-very-' * 12}long_ep100"
    extensions = gnu_long(name) if form == "gnu" else pax({"path": name})
    return [*members, Entry(name=name[:100], content=b"long", extensions=extensions)]


def add_pax(members: list[Entry], *, records: dict[str, str], kind: str = "x", text: str = "data") -> list[Entry]:
    return [*members, Entry(name="tb/extra.txt", content=text.encode(), extensions=pax(records, kind=kind))]


def begin_globally(members: list[Entry], *, records: dict[str, str]) -> list[Entry]:
    return [replace(members[0], extensions=pax(records, kind="g")), *members[1:]]


def set_size_field(members: list[Entry], *, octets: str) -> list[Entry]:
    return [*members, Entry(name="tb/x.txt", content=b"x", size_field=bytes.fromhex(octets))]


def fill_padding(members: list[Entry]) -> list[Entry]:
    return [replace(members[0], padding=b"!"), *members[1:]]


def sign_checksums(members: list[Entry]) -> list[Entry]:
    return [*members, Entry(name="notes/ä.txt", content=b"x", is_sum_signed=True)]


def name_twice(members: list[Entry], *, first: str, second: str) -> list[Entry]:
    return [*members, Entry(name="x", content=b"x", extensions=gnu_long(first) + pax({"path": second}))]


def add_companions(members: list[Entry], *, root: str = "", folder: str = "") -> list[Entry]:
    """As macOS's tar does, or as its zips do if all companions lie in a folder of their own."""
    added = [Entry(name=f"{root}._.", content=COMPANION)] if root else []
    for one in members:
        above, _, name = one.name.rpartition("/")
        added += [Entry(name=f"{folder}{above}/._{name}".lstrip("/"), content=COMPANION), one]
    return added


EDITS: dict[str, Callable[..., list[Entry]]] = {
    "prefix": add_prefix,
    "folders": add_folders,
    "reverse": reverse,
    "own": own,
    "add": add,
    "add-zeros": add_zeros,
    "drop": drop,
    "change": change,
    "damage-events": damage_events,
    "name-long": name_long,
    "pax": add_pax,
    "global": begin_globally,
    "size-field": set_size_field,
    "fill-padding": fill_padding,
    "sign-checksums": sign_checksums,
    "name-twice": name_twice,
    "companions": add_companions,
}


def end_with(tar: bytes, *, blocks: int) -> bytes:
    return tar + bytes(blocks * BLOCK)


def end_as_gnu(tar: bytes) -> bytes:
    return tar + bytes(-(len(tar) + 2 * BLOCK) % (20 * BLOCK) + 2 * BLOCK)


def hide_after_end(tar: bytes, *, text: str) -> bytes:
    return end_with(tar, blocks=2) + text.encode().ljust(BLOCK, b"\0")


def append_archive(tar: bytes) -> bytes:
    return end_with(tar, blocks=2) + Entry(name="second.txt", content=b"2").to_bytes() + bytes(1024)


def cut_tar(tar: bytes, *, at: float) -> bytes:
    return tar[: int(len(tar) * at)]


def damage_header(tar: bytes) -> bytes:
    return end_with(bytes([tar[0] ^ 1]) + tar[1:], blocks=2)


ENDS: dict[str, Callable[..., bytes]] = {
    "blocks": end_with,
    "gnu": end_as_gnu,
    "hidden": hide_after_end,
    "second-archive": append_archive,
    "cut": cut_tar,
    "damage-header": damage_header,
}


def squeeze(tar: bytes) -> bytes:
    return gzip.compress(tar, compresslevel=6, mtime=1_700_000_000)


def squeeze_named(tar: bytes) -> bytes:
    packed = squeeze(tar)
    return packed[:3] + b"\x08" + packed[4:10] + b"archive.tar\0" + packed[10:]


def squeeze_wrongly(tar: bytes, *, crc: int = 0, size: int = 0) -> bytes:
    return squeeze(tar)[:-8] + struct.pack("<II", zlib.crc32(tar) ^ crc, (len(tar) + size) % 2**32)


def squeeze_and_append(tar: bytes, *, text: str) -> bytes:
    return squeeze(tar) + text.encode("latin-1")


def squeeze_twice(tar: bytes) -> bytes:
    return squeeze(tar) + squeeze(b"")


def squeeze_and_cut(tar: bytes, *, at: float) -> bytes:
    packed = squeeze(tar)
    return packed[: int(len(packed) * at)]


def store(tar: bytes) -> bytes:
    return tar


FRAMES: dict[str, Callable[..., bytes]] = {
    "gzip": squeeze,
    "named": squeeze_named,
    "wrong": squeeze_wrongly,
    "append": squeeze_and_append,
    "twice": squeeze_twice,
    "cut": squeeze_and_cut,
    "none": store,
}


@dataclass(frozen=True, kw_only=True)
class Case:
    """One archive and the verdict of each profile.

    Attributes:
        id: What it is.
        kind: Its class, one of which is also run as a user would.
        canonical: What the canonical profile must say, which refuses every case.
        outcome: What the tolerant profile must say; `error` where the list itself is refused.
        finding: The class of its first finding, where it is refused.
        says: A part of the text that is printed.
        limits: Other limits than the default ones.
    """

    id: str
    kind: str
    canonical: str
    outcome: str
    finding: str | None = None
    says: str = ""
    manifest: str | None = None
    manifest_name: str = "MANIFEST.json"
    md5_list: str | None = None
    edits: list[dict[str, Any]] = field(default_factory=list)
    end: dict[str, Any] = field(default_factory=lambda: {"form": "gnu"})
    frame: dict[str, Any] = field(default_factory=lambda: {"form": "gzip"})
    limits: dict[str, int] = field(default_factory=dict)

    @property
    def exit_code(self) -> int:
        return {"matches": 0, "refused": 3, "error": 3, "unvouched": 6}[self.outcome]


def read_cases() -> list[Case]:
    """Return every case."""
    return [Case(kind=value.pop("class"), **value) for value in json.loads(CASES.read_text(encoding="utf-8"))]


def count_cases() -> dict[str, int]:
    """Return the number of cases of each class."""
    counts: dict[str, int] = {}
    for case in read_cases():
        counts[case.kind] = counts.get(case.kind, 0) + 1
    return counts


def build(case: Case, *, folder: Path) -> Path:
    """Write the case's archive, and its md5 list beside it, into the folder."""
    members = make_members()
    if case.manifest is not None:
        members.append(Entry(name=case.manifest_name, content=make_manifest(case.manifest, members)))
    for edit in case.edits:
        arguments = dict(edit)
        members = EDITS[arguments.pop("do")](members, **arguments)
    end, frame = dict(case.end), dict(case.frame)
    tar = ENDS[end.pop("form")](b"".join(member.to_bytes() for member in members), **end)
    path = folder / ARCHIVE_NAME
    path.write_bytes(FRAMES[frame.pop("form")](tar, **frame))
    if case.md5_list is not None:
        text = LIST_SHAPES[case.md5_list](ARCHIVE_NAME, path.read_bytes())
        (folder / "MANIFEST.md").write_text(text, encoding="utf-8")
    return path
