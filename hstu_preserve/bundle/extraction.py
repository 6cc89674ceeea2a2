"""Unpack a bundle: compare it while it is written, and let its folder appear whole or not at all."""

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from hstu_preserve.bundle.layout import BundleIdentity, StoredManifest
from hstu_preserve.bundle.walker import BundleWalker, walk_bundle
from hstu_preserve.errors import MissingPathError, UnavailableError, UsageError, VerificationError
from hstu_preserve.primitives.files import flush_file, refuse_unwritable
from hstu_preserve.primitives.temporaries import FOLDER_FLAGS
from hstu_preserve.primitives.temporary_folders import whole_folder
from hstu_preserve.primitives.voice import SILENT, Voice
from hstu_preserve.records.contents import Finding, FindingClass, describe_findings
from hstu_preserve.records.manifest import MANIFEST_NAME
from hstu_preserve.records.verification import Verification

# Exclusive and never through a link: unlike tarfile's extraction, which wrote outside its folder (CVE-2025-4517).
FILE_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
FILE_MODE = 0o644


def unpack(
    source: Path | BinaryIO,
    *,
    destination: Path,
    expected_identity: BundleIdentity | None = None,
    known: StoredManifest | None = None,
    voice: Voice = SILENT,
) -> Verification:
    """Write the members of a bundle into the new directory `destination`, if every byte is the packed one.

    Args:
        source: A packed bundle, or a stream of one.
        destination: The new directory.
        expected_identity: The identity that the bundle must have, None for any; of another bundle, nothing is written.
        known: The bundle's manifest as it was read before.
        voice: Shows how many bytes were read.

    Raises:
        UsageError: `destination` exists, or `source` is a directory.
        MissingPathError: There is no such bundle, or no directory to put the destination in.
        VerificationError: The bundle differs from its manifest; nothing is left behind.
        UnavailableError: The bundle cannot be read or the destination cannot be written; nothing is left behind.
    """
    if os.path.lexists(destination):
        raise UsageError(f"{destination}: exists; choose another --output")
    if isinstance(source, Path) and source.is_dir():
        raise UsageError(f"{source}: a directory, not a packed bundle")
    with walk_bundle(source, known=known, voice=voice) as walker, fresh_directory(destination) as root:
        write_members(walker, root, expected_identity=expected_identity)
        if walker.findings:
            raise walker.verification_error()
    return walker.verification()


def unpack_into(
    folder: Path, source: Path, *, known: StoredManifest | None = None, voice: Voice = SILENT
) -> Verification:
    """Write the members of a bundle into an empty folder, and return the verification that the same pass made.

    From the first difference on nothing more is written, though all of it is still compared.

    Raises:
        MissingPathError: There is no such bundle.
        UnavailableError: The bundle cannot be read or the folder cannot be written.
    """
    with walk_bundle(source, known=known, voice=voice) as walker, open_root(folder, label=folder) as root:
        write_members(walker, root, expected_identity=None)
        return walker.verification()


def write_members(walker: BundleWalker, root: int, *, expected_identity: BundleIdentity | None) -> None:
    """Walk a bundle to its end and write its members below the directory with descriptor `root`.

    After the first difference nothing more is written.

    Raises:
        VerificationError: It is another bundle than expected.
        OSError: A member cannot be written.
    """
    for content in walker.members():
        require_expected_bundle(walker, expected_identity)  # from the first member on, which is the manifest
        if not walker.findings:
            write_file(root, path=content.member.path, chunks=content.chunks)


def require_expected_bundle(walker: BundleWalker, expected: BundleIdentity | None) -> None:
    """Raise VerificationError if the bundle, whose manifest was just read, is not the expected one."""
    assert walker.stored is not None
    if expected is None or walker.stored.identity == expected:
        return
    finding = Finding(
        finding_class=FindingClass.CHANGED,
        path=MANIFEST_NAME,
        expected=f"identity sha256:{expected}",
        found=f"sha256:{walker.stored.identity}",
    )
    raise VerificationError(describe_findings(f"{walker.source}: another bundle", [finding]), findings=[finding])


@contextmanager
def fresh_directory(destination: Path) -> Iterator[int]:
    """Yield the descriptor of a new directory that becomes `destination` when the block ends without an error.

    Raises:
        MissingPathError: There is no directory to put it in.
        UnavailableError: Something cannot be written.
        UsageError: `destination` came into being meanwhile.
    """
    if not destination.parent.exists():
        raise MissingPathError(f"{destination.parent}: no such directory")

    def require_free() -> None:
        if os.path.lexists(destination):
            raise UsageError(f"{destination}: came into being while it was unpacked")

    with whole_folder(destination, require_free=require_free) as temporary:
        with open_root(temporary, label=destination) as root:
            yield root
            # Somebody may have put another folder under the temporary name: that one must not be renamed.
            is_replaced = not os.path.samestat(os.fstat(root), os.lstat(temporary))
        if is_replaced:
            raise UnavailableError(f"{destination}: the folder that was unpacked into was replaced meanwhile")


@contextmanager
def open_root(folder: Path, *, label: Path) -> Iterator[int]:
    """Yield the descriptor of the folder that everything is written below, whatever becomes of its name.

    Args:
        folder: An empty folder.
        label: Its name for messages.

    Raises:
        UnavailableError: It, or something below it, cannot be written.
    """
    with refuse_unwritable(label):
        root = os.open(folder, FOLDER_FLAGS)
        try:
            yield root
        finally:
            os.close(root)


def write_file(root: int, *, path: str, chunks: Iterable[bytes]) -> None:
    """Write one new file below the directory with descriptor `root`, following no link."""
    *folders, name = path.split("/")
    with open_folder(root, folders=folders) as folder:
        descriptor = os.open(name, FILE_FLAGS, FILE_MODE, dir_fd=folder)
        with os.fdopen(descriptor, "wb") as stream:
            stream.writelines(chunks)
            stream.flush()
            flush_file(stream.fileno())


@contextmanager
def open_folder(root: int, *, folders: Iterable[str]) -> Iterator[int]:
    """Yield the descriptor of a folder below `root`; missing folders are made."""
    current = os.dup(root)
    try:
        for name in folders:
            with suppress(FileExistsError):
                os.mkdir(name, dir_fd=current)
            below = os.open(name, FOLDER_FLAGS, dir_fd=current)
            os.close(current)
            current = below
        yield current
    finally:
        os.close(current)
