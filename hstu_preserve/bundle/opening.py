"""Open a bundle as a directory on disk: unpacked, or copied, by the pass that verifies it."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from hstu_preserve.bundle.extraction import open_root, unpack_into, write_file
from hstu_preserve.bundle.layout import StoredManifest
from hstu_preserve.bundle.tree import read_tree_manifest
from hstu_preserve.bundle.verification import verify_tree
from hstu_preserve.errors import ContentError, VerificationError
from hstu_preserve.primitives.temporary_folders import scratch_folder
from hstu_preserve.primitives.voice import SILENT, Voice
from hstu_preserve.records.verification import Verification


@dataclass(frozen=True, kw_only=True)
class VerifiedTree:
    """A bundle on disk, every byte of which was compared with its manifest.

    Attributes:
        root: The folder of its files; all of them are there only if nothing differs.
        verification: The differences that were found.
    """

    root: Path
    verification: Verification


@contextmanager
def open_verified(path: Path, *, known: StoredManifest | None, voice: Voice = SILENT) -> Iterator[VerifiedTree]:
    """Yield a bundle with its verification, even if files differ; the pass that verifies it also unpacks or copies it.

    A directory is copied, too: somebody may write to it, and what is judged must be what was verified.

    Args:
        path: A packed bundle, an unpacked one or a run directory.
        known: The manifest as it was read before.
        voice: Shows how many bytes were read.

    Raises:
        ContentError: The manifest is another than the known one.
        UnavailableError: The bundle cannot be read, or there is no room to unpack it.
    """
    # One pass, not `verify` and then `unpack`: inflating and hashing take most of the time of either.
    with scratch_folder() as root:
        take = copy_into if path.is_dir() else unpack_into
        verification = take(root, path, known=known, voice=voice)
        require_same(verification.identity, known, path=path)
        yield VerifiedTree(root=root, verification=verification)


def copy_into(folder: Path, source: Path, *, known: StoredManifest | None, voice: Voice) -> Verification:
    """Copy the files of a directory into an empty folder, and return the verification of the bytes that were copied.

    Raises:
        MissingPathError: There is no such directory.
        UnavailableError: It cannot be read, or the folder cannot be written.
    """
    with open_root(folder, label=folder) as root:

        def keep(path: str, chunks: Iterator[bytes]) -> None:
            write_file(root, path=path, chunks=chunks)

        return verify_tree(source, known=known, keep=keep, voice=voice)


@contextmanager
def open_tree(path: Path, *, known: StoredManifest | None, voice: Voice = SILENT) -> Iterator[Path]:
    """Yield the folder of a bundle's files: a directory as it is, unverified, or an archive, unpacked and verified.

    Raises:
        VerificationError: The archive differs from its manifest.
        ContentError: The manifest is another than the known one.
        UnavailableError: The bundle cannot be read, or there is no room to unpack it.
    """
    if path.is_dir():
        require_same(read_tree_manifest(path, known=known).identity, known, path=path)
        yield path
        return
    with open_verified(path, known=known, voice=voice) as tree:
        if not tree.verification.ok:
            raise VerificationError(tree.verification.describe(), findings=tree.verification.findings)
        yield tree.root


def require_same(identity: str | None, known: StoredManifest | None, *, path: Path) -> None:
    """Raise ContentError if the manifest is another than the one that was read before by the same command."""
    if known is not None and identity is not None and identity != known.identity:
        raise ContentError(f"{path}: changed while it was worked on (manifest {known.identity}, now {identity})")
