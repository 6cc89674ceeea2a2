"""The bundles that must be refused: cases as data in `negative_controls.json`, and how each bundle is made."""

import base64
import io
import json
import shutil
import tarfile
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hstu_preserve.bundle.compression import GzipReader, GzipWriter
from hstu_preserve.records.signature import Envelope
from hstu_preserve.signing.signer import signature_path
from hstu_preserve.verbs.keygen import keygen
from hstu_preserve.verbs.pack import pack
from hstu_preserve.verbs.signing import sign
from hstu_preserve.verbs.unpack import unpack
from tests.corpus.bundles import forgery

CASES = Path(__file__).with_name("negative_controls.json")
BLOCK = 512


@dataclass(frozen=True, kw_only=True)
class Case:
    """One bundle and what must be said of it.

    Attributes:
        id: Its name.
        kind: The class of ARCHIVE section 4.
        generator: The function that makes it, by name.
        arguments: What the function takes.
        command: What must refuse it: the command with its options.
        exit_code: With which exit code.
        says: What the output must hold.
        decided_by: The rung that refuses it, of commands that say one.
        is_slow: Whether it takes more than a few seconds, since the cause of other ranks is looked for.
    """

    id: str
    kind: str
    generator: str
    arguments: dict[str, Any]
    command: str
    exit_code: int
    says: str
    decided_by: str | None = None
    is_slow: bool = False

    def command_line(self, bundle: Path, material: "Material") -> list[str]:
        """Return the arguments of the command."""
        verb, *options = self.command.split()
        key = [str(material.public_key)] if "--public-key" in options else []
        return [verb, str(bundle), *options, *key]


@dataclass(frozen=True, kw_only=True)
class Material:
    """What every case starts from.

    Attributes:
        bundle: The sample as it is, and `bundle`.sig by `key`.
        tree: The sample unpacked, its evaluation recorded on this machine.
        recorded: The same, packed: what must be accepted.
        key: The trusted private key; `key`.pub beside it.
        other_key: Somebody else's.
    """

    bundle: Path
    tree: Path
    recorded: Path
    key: Path
    other_key: Path

    @property
    def public_key(self) -> Path:
        """The trusted public key."""
        return Path(f"{self.key}.pub")


def read_cases() -> list[Case]:
    """Return every case."""
    return [Case(kind=value.pop("class"), **value) for value in json.loads(CASES.read_text(encoding="utf-8"))]


def count_cases() -> dict[str, int]:
    """Return the number of cases of each class."""
    return dict(Counter(case.kind for case in read_cases()))


def make_material(folder: Path) -> Material:
    """Make keys, the signed sample and the unpacked tree below a folder."""
    from hstu_preserve.library.sources import find_here

    tree, bundle, recorded = folder / "tree", folder / "sample.tar.gz", folder / "recorded.tar.gz"
    shutil.copyfile(find_here("sample").path, bundle)
    unpack("sample", output=tree)
    edited = forgery.Forgery.begin(tree)
    forgery.record_here(edited)
    edited.finish()
    pack(tree, output=recorded)
    material = Material(bundle=bundle, tree=tree, recorded=recorded, key=folder / "key", other_key=folder / "other-key")
    for key in (material.key, material.other_key):
        keygen(key)
    for signed in (bundle, recorded):
        sign(signed, key=material.key)
    return material


def build(case: Case, material: Material, *, folder: Path) -> Path:
    """Make the case's bundle in a folder and return its path."""
    if case.generator in TREE_GENERATORS:
        return pack_forgery(case.generator, case.arguments, material, output=folder / f"{case.id}.tar.gz")
    bundle = folder / f"{case.id}.tar.gz"
    FILE_GENERATORS[case.generator](material, bundle, **case.arguments)
    return bundle


def pack_forgery(generator: str, arguments: dict[str, Any], material: Material, *, output: Path) -> Path:
    """Change a copy of the tree, make the digests fit, pack it."""
    tree = output.with_suffix(".tree")
    shutil.copytree(material.tree, tree)
    edited = forgery.Forgery.begin(tree)
    TREE_GENERATORS[generator](edited, **arguments)
    edited.finish()
    pack(tree, output=output)
    return output


def flip_byte(material: Material, bundle: Path, *, member: str, at: str) -> None:
    """Flip one bit of a member's content, `first`, `middle` or `last` byte, or of its `header` or `padding`."""
    tar = bytearray(decompress(material.bundle))
    info = find_member(tar, member)
    end = info.offset_data + info.size
    place = {
        "first": info.offset_data,
        "middle": info.offset_data + info.size // 2,
        "last": end - 1,
        "header": info.offset_data - BLOCK + 105,
        "padding": end,
    }[at]
    assert at != "padding" or info.size % BLOCK
    tar[place] ^= 1
    bundle.write_bytes(compress(tar))


def flip_compressed_byte(material: Material, bundle: Path, *, from_end: int) -> None:
    """Flip one bit of the compressed file itself."""
    content = bytearray(material.bundle.read_bytes())
    content[-from_end] ^= 1
    bundle.write_bytes(content)


def strip_signature(material: Material, bundle: Path) -> None:
    """The bundle as it is, its signature taken away."""
    shutil.copyfile(material.recorded, bundle)


def sign_with_other_key(material: Material, bundle: Path) -> None:
    """The bundle as it is, signed by somebody else."""
    shutil.copyfile(material.recorded, bundle)
    sign(bundle, key=material.other_key)


def claim_trusted_key(material: Material, bundle: Path) -> None:
    """Somebody else's signature that names the trusted key."""
    sign_with_other_key(material, bundle)
    trusted = read_envelope(material.recorded).signatures[0].keyid
    edit_signature(bundle, keyid=trusted)


def damage_signature(material: Material, bundle: Path) -> None:
    """The trusted key's signature with one bit flipped."""
    copy_with_signature(material, bundle)
    content = bytearray(base64.b64decode(read_envelope(bundle).signatures[0].sig))
    content[0] ^= 1
    edit_signature(bundle, sig=base64.b64encode(content).decode())


def truncate_signature(material: Material, bundle: Path) -> None:
    """Half a signature file."""
    copy_with_signature(material, bundle)
    content = signature_path(bundle).read_bytes()
    signature_path(bundle).write_bytes(content[: len(content) // 2])


def reformat_signature(material: Material, bundle: Path) -> None:
    """The signature file as a JSON text that is not the canonical one."""
    copy_with_signature(material, bundle)
    path = signature_path(bundle)
    path.write_text(json.dumps(json.loads(path.read_bytes()), indent=1))


def replay_signature(material: Material, bundle: Path) -> None:
    """The signature of the true bundle beside one whose claim was edited and whose digests fit."""
    pack_forgery("edit_results", {"metric": "ndcg@10", "by": 0.05}, material, output=bundle)
    shutil.copyfile(signature_path(material.recorded), signature_path(bundle))


def exchange_payload(material: Material, bundle: Path) -> None:
    """The true signature over the manifest of an edited bundle."""
    replay_signature(material, bundle)
    sign(bundle.with_suffix(".tree"), key=material.other_key)
    forged = read_envelope(bundle.with_suffix(".tree"))
    signature_path(bundle).write_bytes(read_envelope(bundle).model_copy(update={"payload": forged.payload}).to_json())


def keep_signed_manifest(material: Material, bundle: Path) -> None:
    """The signed manifest, and its signature, over the last checkpoint with another one's bytes as far as they go."""
    copy_with_signature(material, bundle)
    tar = bytearray(decompress(material.recorded))
    names = sorted(info.name for info in list_tar(tar) if info.name.startswith("ckpts/"))
    earlier, later = find_member(tar, names[0]), find_member(tar, names[-1])
    size = min(earlier.size, later.size)
    tar[later.offset_data : later.offset_data + size] = tar[earlier.offset_data : earlier.offset_data + size]
    bundle.write_bytes(compress(tar))


def copy_with_signature(material: Material, bundle: Path) -> None:
    """The bundle as it is, with the trusted signature."""
    shutil.copyfile(material.recorded, bundle)
    shutil.copyfile(signature_path(material.recorded), signature_path(bundle))


def read_envelope(bundle: Path) -> Envelope:
    """Return the signature beside a bundle."""
    path = signature_path(bundle)
    return Envelope.from_json(path.read_bytes(), source=str(path))


def edit_signature(bundle: Path, **changes: str) -> None:
    """Change fields of the one signature beside a bundle."""
    envelope = read_envelope(bundle)
    one = envelope.signatures[0].model_copy(update=changes)
    signature_path(bundle).write_bytes(envelope.model_copy(update={"signatures": (one,)}).to_json())


def decompress(bundle: Path) -> bytes:
    """Return the bundle's tar."""
    with bundle.open("rb") as stream:
        reader = GzipReader(stream, source=str(bundle))
        reader.limit = 2**30
        return b"".join(iter(lambda: reader.read(2**20), b""))


def compress(tar: bytes | bytearray) -> bytes:
    """Return a tar as a bundle's file."""
    buffer = io.BytesIO()
    writer = GzipWriter(buffer)
    writer.write(bytes(tar))
    writer.finish()
    return buffer.getvalue()


def list_tar(tar: bytes | bytearray) -> list[tarfile.TarInfo]:
    """Return the members of a tar."""
    with tarfile.open(fileobj=io.BytesIO(bytes(tar))) as archive:
        return archive.getmembers()


def find_member(tar: bytes | bytearray, name: str) -> tarfile.TarInfo:
    """Return the one member whose path starts or ends so."""
    found = [info for info in list_tar(tar) if info.name.startswith(name) or info.name.endswith(name)]
    assert found, name
    return found[-1]


TREE_GENERATORS: dict[str, Callable[..., None]] = {
    "edit_results": forgery.edit_results,
    "edit_claim": forgery.edit_claim,
    "loosen_margin": forgery.loosen_margin,
    "forge_ranks": forgery.forge_ranks,
    "rank_wrong_split": forgery.rank_wrong_split,
    "name_earlier_checkpoint": forgery.name_earlier_checkpoint,
    "take_earlier_checkpoint": forgery.take_earlier_checkpoint,
    "take_other_seed": forgery.take_other_seed,
    "perturb_weights": forgery.perturb_weights,
    "move_one_weight": forgery.move_one_weight,
    "cut_events": forgery.cut_events,
    "drop_events": forgery.drop_events,
    "reorder_data": forgery.reorder_data,
}
FILE_GENERATORS: dict[str, Callable[..., None]] = {
    "flip_byte": flip_byte,
    "flip_compressed_byte": flip_compressed_byte,
    "strip_signature": strip_signature,
    "sign_with_other_key": sign_with_other_key,
    "claim_trusted_key": claim_trusted_key,
    "damage_signature": damage_signature,
    "truncate_signature": truncate_signature,
    "reformat_signature": reformat_signature,
    "replay_signature": replay_signature,
    "exchange_payload": exchange_payload,
    "keep_signed_manifest": keep_signed_manifest,
}
