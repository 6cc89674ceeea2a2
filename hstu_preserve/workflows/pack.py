"""Pack a finished run into one bundle, and unpack it again."""

import re
from pathlib import Path

from hstu_preserve.bundle import archive, extraction
from hstu_preserve.bundle.layout import RUN_RECORD, strip_suffix
from hstu_preserve.bundle.legacy import require_native
from hstu_preserve.bundle.tree import read_tree_manifest
from hstu_preserve.bundle.verification import verify_bundle
from hstu_preserve.errors import MissingPathError, UsageError, VerificationError
from hstu_preserve.records.manifest import MANIFEST_NAME, AnyManifest, MigratedManifest
from hstu_preserve.records.results import PackResult, UnpackResult
from hstu_preserve.workflows.destinations import require_new
from hstu_preserve.workflows.obtaining import obtain_local
from hstu_preserve.workflows.progress import Announcer, Listener, ignore, say_nothing

BUNDLE_SUFFIX = ".tar.gz"
MIGRATED_SUFFIX = f".migrated{BUNDLE_SUFFIX}"


def pack(run: str | Path, *, output: Path | None = None) -> PackResult:
    """Write a run directory's one canonical archive.

    Args:
        run: The directory that `train` made, or an unpacked bundle.
        output: The bundle; None names it after `bundle.id` or the migrated archive, in the current directory.

    Raises:
        MissingPathError: There is no such directory.
        UsageError: It is no finished run, or the output exists.
        ContentError: The directory is not, or no longer, what its manifest says.
    """
    root = Path(run)
    if not root.exists():
        raise MissingPathError(f"{root}: no such directory")
    if not root.is_dir():
        raise UsageError(f"{root}: not a run directory; 'hstu-preserve train' makes one")
    if not (root / MANIFEST_NAME).exists():
        raise UsageError(describe_missing_manifest(root))
    stored = read_tree_manifest(root)
    destination = output or Path(choose_name(stored.record))
    require_new(destination, option="--output")
    return archive.pack(root, output=destination)


def choose_name(manifest: AnyManifest) -> str:
    """Return the file name that a bundle has unless the user gives another."""
    if isinstance(manifest, MigratedManifest):
        return name_migrated(manifest.source.name)
    return f"{manifest.run.bundle.id}{BUNDLE_SUFFIX}"


def name_migrated(name: str) -> str:
    """Return the file name that a bundle made from a legacy archive of this name has."""
    return f"{strip_suffix(name)}{MIGRATED_SUFFIX}"


def pack_and_verify(run: str | Path, *, output: Path | None = None) -> PackResult:
    """Pack as `pack` does, then read the finished file once more and verify it; a bad one is removed.

    Raises:
        VerificationError: What was written is not what was packed: a fault of disk or memory.
    """
    result = pack(run, output=output)
    verification = verify_bundle(result.path)
    if not verification.ok or verification.transport_sha256 != result.transport_sha256:
        result.path.unlink()
        raise VerificationError(verification.describe(), findings=verification.findings)
    return result


def describe_missing_manifest(root: Path) -> str:
    """Say why a directory without a manifest cannot be packed."""
    if (root / RUN_RECORD).exists():
        return f"{root}: the run did not finish (no {MANIFEST_NAME}); go on with it by 'hstu-preserve train … --resume'"
    return f"{root}: not a run directory (no {MANIFEST_NAME}); 'hstu-preserve train' makes one"


def unpack(
    target: str | Path,
    *,
    output: Path | None = None,
    identity: str | None = None,
    listener: Listener = ignore,
    announce: Announcer = say_nothing,
) -> UnpackResult:
    """Write a bundle's files into a new directory, if all of it is as packed.

    Args:
        target: A bundle, `sample`, a catalog id or an `hf://` address; what is not here is fetched.
        output: The new directory; None names it after the file, in the current directory.
        identity: The bundle that it must be: its manifest's sha256, with or without `sha256:` before; None for any.
        listener: Hears of what is fetched, in bytes.
        announce: Is told what will be fetched, and how much, before it is.

    Raises:
        UsageError: The output exists, the target is a directory, or the identity is no sha256.
        VerificationError: The bundle is not what its manifest says; nothing is left behind.
    """
    source = obtain_local(str(target), announce=announce, listener=listener).path
    destination = output or Path(source.name.removesuffix(BUNDLE_SUFFIX))
    expected = None if identity is None else read_identity(identity)
    require_native(source)
    verification = extraction.unpack(source, destination=destination, expected_identity=expected)
    assert verification.identity is not None
    return UnpackResult(path=destination, identity=verification.identity, members=verification.members_checked)


def read_identity(text: str) -> str:
    """Return the digest of an identity as people write it.

    Raises:
        UsageError: It is none.
    """
    digest = text.removeprefix("sha256:").lower()
    if not re.fullmatch(r"[0-9a-f]{64}", digest):
        raise UsageError(f"{text}: not an identity; it is 64 hexadecimal digits, as 'verify' and 'show' print it")
    return digest
