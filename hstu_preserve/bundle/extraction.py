"""Unpacks a bundle: verified while it is written, and there in whole or not at all."""

import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from hstu_preserve.bundle.layout import BundleIdentity
from hstu_preserve.bundle.verification import open_bundle
from hstu_preserve.bundle.walker import BundleWalker
from hstu_preserve.errors import MissingPathError, UnavailableError, UsageError, VerificationError
from hstu_preserve.primitives.files import FOLDER_FLAGS, current_umask, flush_directory
from hstu_preserve.records.contents import Finding, FindingClass, describe_findings
from hstu_preserve.records.manifest import MANIFEST_NAME
from hstu_preserve.records.verification import Verification

FILE_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
FILE_MODE = 0o644


def unpack(
    source: Path | BinaryIO, *, destination: Path, expected_identity: BundleIdentity | None = None
) -> Verification:
    """Write the members of a bundle into the new directory `destination`, if all of it is as packed.

    Args:
        source: A packed bundle, or a stream of one.
        destination: The new directory.
        expected_identity: The bundle that it must be, None for any: of another one, no byte is written.

    Raises:
        UsageError: `destination` exists, or `source` is a directory.
        MissingPathError: There is no such bundle, or no directory to put the destination in.
        VerificationError: The bundle is not what its manifest says; nothing is left behind.
        UnavailableError: The bundle cannot be read or the destination cannot be written; nothing is left behind.
    """
    if os.path.lexists(destination):
        raise UsageError(f"{destination}: exists; choose another --output")
    if isinstance(source, Path) and source.is_dir():
        raise UsageError(f"{source}: a directory, not a packed bundle")
    with open_bundle(source) as walker, fresh_directory(destination) as root:
        for content in walker.members():
            require_identity(walker, expected_identity)
            if not walker.findings:
                write_file(root, path=content.member.path, chunks=content.chunks)
        if walker.findings:
            raise walker.verification_error()
    return walker.verification()


def require_identity(walker: BundleWalker, expected: BundleIdentity | None) -> None:
    """Raise VerificationError where the bundle, whose manifest was just read, is another one than expected."""
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
    parent = destination.parent
    try:
        temporary = tempfile.mkdtemp(prefix=f".{destination.name[:100]}.", suffix=".tmp", dir=parent)
    except FileNotFoundError:
        raise MissingPathError(f"{parent}: no such directory") from None
    except OSError as error:
        raise UnavailableError(f"{destination}: cannot be written ({error.strerror})") from None
    try:
        root = os.open(temporary, FOLDER_FLAGS)
        try:
            yield root
            os.fchmod(root, 0o777 & ~current_umask())
            is_replaced = not os.path.samestat(os.fstat(root), os.lstat(temporary))
        finally:
            os.close(root)
        if is_replaced:
            raise UnavailableError(f"{destination}: the folder that was unpacked into was replaced meanwhile")
        if os.path.lexists(destination):
            raise UsageError(f"{destination}: came into being while it was unpacked")
        Path(temporary).rename(destination)
    except OSError as error:
        raise UnavailableError(f"{destination}: cannot be written ({error.strerror or error})") from None
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    flush_directory(parent)


def write_file(root: int, *, path: str, chunks: Iterable[bytes]) -> None:
    """Write one new file below the directory with descriptor `root`, following no link."""
    *folders, name = path.split("/")
    with open_folder(root, folders=folders) as folder:
        descriptor = os.open(name, FILE_FLAGS, FILE_MODE, dir_fd=folder)
        with os.fdopen(descriptor, "wb") as stream:
            stream.writelines(chunks)
            stream.flush()
            os.fsync(stream.fileno())


@contextmanager
def open_folder(root: int, *, folders: Iterable[str]) -> Iterator[int]:
    """Yield the descriptor of a folder below `root`, made where it is missing."""
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
