"""The archives of the corpus: a small honest bundle, changed as `cases.json` says; nothing binary lies in git."""

import gzip
import io
import json
import zipfile
import zlib
from collections.abc import Callable
from typing import Any, TypeAlias

from hstu_preserve.bundle.compression import GZIP_HEADER
from hstu_preserve.bundle.headers import BLOCK_BYTES, compute_checksum, make_padding, make_pax_record
from hstu_preserve.bundle.layout import role_of
from hstu_preserve.primitives.canonical_json import canonical_dumps
from hstu_preserve.primitives.digests import sha256_of_bytes
from tests.bundle.archives import Piece, compress, join, make_piece

Arguments: TypeAlias = Any
"""A JSON value from `cases.json`."""

FIELDS = {
    "name": slice(0, 100),
    "mode": slice(100, 108),
    "uid": slice(108, 116),
    "gid": slice(116, 124),
    "size": slice(124, 136),
    "mtime": slice(136, 148),
    "checksum": slice(148, 156),
    "linkname": slice(157, 257),
    "magic": slice(257, 265),
    "uname": slice(265, 297),
    "gname": slice(297, 329),
    "devices": slice(329, 345),
    "prefix": slice(345, 500),
    "padding": slice(500, 512),
}
MANIFEST, CHECKSUMS = 0, -1
"""Where they stand among the pieces."""


def to_bytes(value: Arguments) -> bytes:
    """Return the bytes that a JSON value stands for, as `README.md` explains."""
    if isinstance(value, str):
        return value.encode()
    if isinstance(value, list):
        return b"".join(map(to_bytes, value))
    if "hex" in value:
        return bytes.fromhex(value["hex"])
    if "zeros" in value:
        return bytes(value["zeros"])
    return b"".join(to_bytes(value["repeat"]) for _ in range(value["times"]))


def make_block(name: bytes, *, size: int, kind: bytes, fields: dict[str, Arguments]) -> bytes:
    """Return a ustar header as packing writes it, except for the fields that are given."""
    block = bytearray(BLOCK_BYTES)
    plain = {
        "name": name[:100],
        "mode": b"0000644\0",
        "uid": b"0000000\0",
        "gid": b"0000000\0",
        "size": b"%011o\0" % size,
        "mtime": b"00000000000\0",
        "magic": b"ustar\x0000",
    }
    for field, value in (plain | {field: to_bytes(value) for field, value in fields.items()}).items():
        place = FIELDS[field]
        block[place] = value.ljust(place.stop - place.start, b"\0")[: place.stop - place.start]
    block[156:157] = kind
    if "checksum" not in fields:
        block[FIELDS["checksum"]] = b"%06o\0 " % compute_checksum(bytes(block[:148]), bytes(block[156:]))
    return bytes(block)


def make_extension(extension: Arguments) -> bytes:
    """Return an extended header (PAX x and g, GNU L and K) with its body, which may lie about its length."""
    records = (to_bytes_of_record(record) for record in extension.get("records", []))
    body = to_bytes(extension["body"]) if "body" in extension else b"".join(records)
    size = extension.get("size", len(body))
    block = make_block(
        b"././@PaxHeader", size=size, kind=extension["type"].encode(), fields=extension.get("fields", {})
    )
    times: int = extension.get("times", 1)
    return (block + body + make_padding(len(body))) * times


def to_bytes_of_record(record: Arguments) -> bytes:
    """Return one PAX record; a value in hex may be no UTF-8."""
    keyword, value = record
    if isinstance(value, str):
        return make_pax_record(keyword, value)
    body = b" %s=%s\n" % (keyword.encode(), to_bytes(value))
    length = len(body) + len(str(len(body)))
    length = len(body) + len(str(length))
    return str(length).encode() + body


def make_member(member: Arguments, *, scratch: str, number: int = 0) -> bytes:
    """Return one member: its extensions, its header, its content, padding."""
    content = to_bytes(member.get("content", ""))
    name = member["name"]
    if isinstance(name, str):
        name = name.replace("{scratch}", scratch).replace("{n}", str(number))
    fields = dict(member.get("fields", {}))
    if isinstance(fields.get("linkname"), str):
        fields["linkname"] = fields["linkname"].replace("{scratch}", scratch)
    block = make_block(
        to_bytes(name), size=member.get("size", len(content)), kind=member.get("type", "0").encode(), fields=fields
    )
    extensions = b"".join(make_extension(extension) for extension in member.get("extensions", []))
    return extensions + block + content + make_padding(len(content))


def find(pieces: list[Piece], path: str) -> int:
    """Return where the member stands; `end` is after the last."""
    if path == "end":
        return len(pieces)
    return next(position for position, piece in enumerate(pieces) if piece.path == path)


def join_with(before: list[Piece], added: bytes, after: list[Piece]) -> bytes:
    return compress(join(before, end=b"") + added + join(after))


def untouched(pieces: list[Piece], scratch: str) -> bytes:
    return compress(join(pieces))


def insert_members(
    pieces: list[Piece], scratch: str, *, members: list[Arguments], before: str = "environment.json", times: int = 1
) -> bytes:
    """Members that the manifest does not know, `times` over (`{n}` in a name counts)."""
    position = find(pieces, before)
    added = [make_member(member, scratch=scratch, number=n) for n in range(times) for member in members]
    return join_with(pieces[:position], b"".join(added), pieces[position:])


def replace_member(pieces: list[Piece], scratch: str, *, path: str, member: Arguments) -> bytes:
    """A listed member in another form; name and content are the honest ones unless given."""
    position = find(pieces, path)
    honest = pieces[position]
    whole = {"name": path, "content": {"hex": honest.content.hex()}} | member
    return join_with(pieces[:position], make_member(whole, scratch=scratch), pieces[position + 1 :])


def move_member(pieces: list[Piece], scratch: str, *, path: str, before: str) -> bytes:
    moved = pieces.pop(find(pieces, path))
    pieces.insert(find(pieces, before), moved)
    return compress(join(pieces))


def drop_member(pieces: list[Piece], scratch: str, *, path: str) -> bytes:
    del pieces[find(pieces, path)]
    return compress(join(pieces))


def list_members(
    pieces: list[Piece], scratch: str, *, paths: list[Arguments], content: Arguments = "x", times: int = 1
) -> bytes:
    """Members that the manifest lists too, every digest made to fit: only the paths themselves are wrong."""
    names = [
        to_bytes(path).decode().replace("{scratch}", scratch).replace("{n}", str(number))
        for number in range(times)
        for path in paths
    ]
    added = [make_piece(name, to_bytes(content)) for name in names]
    return compress(join(with_listed(pieces, added)))


def with_listed(pieces: list[Piece], added: list[Piece]) -> list[Piece]:
    """Return the bundle with further members, in the manifest, in SHA256SUMS and in order."""
    value = json.loads(pieces[MANIFEST].content)
    value["contents"]["files"] += [
        {
            "path": piece.path,
            "size": len(piece.content),
            "sha256": sha256_of_bytes(piece.content),
            "role": role_of(piece.path) or "code",
        }
        for piece in added
    ]
    value["contents"]["files"].sort(key=lambda file: file["path"])
    return assemble(canonical_dumps(value), sorted([*pieces[1:-1], *added], key=lambda piece: piece.path))


def assemble(manifest: bytes, contents: list[Piece]) -> list[Piece]:
    """Return the pieces of a bundle with the checksums that fit."""
    lines = [f"{sha256_of_bytes(manifest)}  MANIFEST.json\n"]
    lines += [f"{sha256_of_bytes(piece.content)}  {piece.path}\n" for piece in contents]
    return [
        make_piece("MANIFEST.json", manifest),
        *contents,
        make_piece("SHA256SUMS", "".join(lines).encode("utf-8", "surrogatepass")),
    ]


def put_manifest(pieces: list[Piece], scratch: str, *, content: Arguments) -> bytes:
    return compress(join(assemble(to_bytes(content), pieces[1:-1])))


def cut_tar(pieces: list[Piece], scratch: str, *, inside: str, at: int) -> bytes:
    """The tar ends `at` bytes into a member (0: before its header; `end`: its zero blocks), in sound gzip."""
    start = len(join(pieces[: find(pieces, inside)], end=b""))
    return compress(join(pieces)[: start + at])


def append_to_tar(pieces: list[Piece], scratch: str, *, content: Arguments) -> bytes:
    return compress(join(pieces) + (join(pieces) if content == "itself" else to_bytes(content)))


def end_tar_with(pieces: list[Piece], scratch: str, *, content: Arguments) -> bytes:
    return compress(join(pieces, end=to_bytes(content)))


def cut_gzip(pieces: list[Piece], scratch: str, *, at: int) -> bytes:
    """The first bytes only; where `at` is negative, all but the last."""
    return compress(join(pieces))[:at]


def append_to_gzip(pieces: list[Piece], scratch: str, *, content: Arguments) -> bytes:
    whole = compress(join(pieces))
    if content == "itself":
        return whole * 2
    return whole + (compress(b"") if content == "an empty gzip member" else to_bytes(content))


def prepend(pieces: list[Piece], scratch: str, *, content: Arguments) -> bytes:
    return to_bytes(content) + compress(join(pieces))


def replace_gzip_header(pieces: list[Piece], scratch: str, *, header: Arguments) -> bytes:
    return to_bytes(header) + compress(join(pieces))[len(GZIP_HEADER) :]


def change_gzip_trailer(pieces: list[Piece], scratch: str, *, position: int) -> bytes:
    """One byte of checksum (-8 to -5) or size (-4 to -1) is another."""
    whole = bytearray(compress(join(pieces)))
    whole[position] ^= 0xFF
    return bytes(whole)


def split_gzip(pieces: list[Piece], scratch: str, *, at: int) -> bytes:
    """One tar in two gzip members, as `cat a.gz b.gz` makes it."""
    tar = join(pieces)
    return compress(tar[:at]) + compress(tar[at:])


def recompress(pieces: list[Piece], scratch: str, *, level: int, flush_every: int | None = None) -> bytes:
    """The same tar through another compressor; `flush_every` puts empty blocks between."""
    tar = join(pieces)
    compressor = zlib.compressobj(level, zlib.DEFLATED, -zlib.MAX_WBITS)
    step = flush_every or len(tar)
    parts = [
        compressor.compress(tar[start : start + step]) + (compressor.flush(zlib.Z_SYNC_FLUSH) if flush_every else b"")
        for start in range(0, len(tar), step)
    ]
    trailer = zlib.crc32(tar).to_bytes(4, "little") + (len(tar) % 2**32).to_bytes(4, "little")
    return GZIP_HEADER + b"".join(parts) + compressor.flush() + trailer


def nested_gzip(pieces: list[Piece], scratch: str, *, times: int) -> bytes:
    content = join(pieces)
    for _ in range(times):
        content = compress(content)
    return content


def other_file(pieces: list[Piece], scratch: str, *, content: Arguments) -> bytes:
    return to_bytes(content)


def bomb(pieces: list[Piece], scratch: str, *, megabytes: int) -> bytes:
    """Zeros without end, instead of a tar."""
    return compress(bytes(megabytes * 2**20))


def as_zip(pieces: list[Piece], scratch: str) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for piece in pieces:
            archive.writestr(piece.path, piece.content)
    return stream.getvalue()


def gzip_and_zip(pieces: list[Piece], scratch: str) -> bytes:
    """A polyglot: a gzip reader sees the bundle, a zip reader, which begins at the end, sees the zip."""
    return compress(join(pieces)) + as_zip(pieces, scratch)


def as_tar(pieces: list[Piece], scratch: str) -> bytes:
    return join(pieces)


def as_gnu_gzip(pieces: list[Piece], scratch: str) -> bytes:
    """What `gzip` itself writes: with a time, and with a name where there is one."""
    stream = io.BytesIO()
    with gzip.GzipFile("bundle.tar", "wb", fileobj=stream, mtime=1) as file:
        file.write(join(pieces))
    return stream.getvalue()


def cve_2025_4517(pieces: list[Piece], scratch: str, *, target: str) -> bytes:
    """Long folders behind short links until the path is longer than PATH_MAX, a link that climbs, a link through it."""
    folder, steps = "d" * 247, "abcdefghijklmnop"
    members: list[Arguments] = []
    path = ""
    for step in steps:
        members += [
            pax_member(f"{path}{folder}", kind="5"),
            pax_member(f"{path}{step}", kind="2", link=folder),
        ]
        path += f"{folder}/"
    short = "/".join(steps)
    members += [
        pax_member(f"{short}/{'l' * 254}", kind="2", link="../" * len(steps)),
        pax_member("escape", kind="2", link=f"{short}/{'l' * 254}/../{target}"),
        pax_member("through", kind="1", link="escape"),
        pax_member("through", kind="0") | {"content": "overwritten"},
    ]
    return insert_members(pieces, scratch, members=members)


def pax_member(name: str, *, kind: str, link: str = "") -> dict[str, Arguments]:
    """Return a member whose name and link stand in a PAX header."""
    records = [["path", name], *([["linkpath", link]] if link else [])]
    return {"name": name, "type": kind, "fields": {"linkname": link}, "extensions": [{"type": "x", "records": records}]}


GENERATORS: dict[str, Callable[..., bytes]] = {
    generator.__name__: generator
    for generator in (
        untouched,
        insert_members,
        replace_member,
        move_member,
        drop_member,
        list_members,
        put_manifest,
        cut_tar,
        append_to_tar,
        end_tar_with,
        cut_gzip,
        append_to_gzip,
        prepend,
        replace_gzip_header,
        change_gzip_trailer,
        split_gzip,
        recompress,
        nested_gzip,
        other_file,
        bomb,
        as_zip,
        gzip_and_zip,
        as_tar,
        as_gnu_gzip,
        cve_2025_4517,
    )
}
