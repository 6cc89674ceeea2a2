"""List the files of a run directory or unpacked bundle, and seal it with its manifest."""

import errno
import hashlib
import os
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from hstu_preserve.bundle.layout import (
    GENERATED_NAMES,
    MAX_MANIFEST_BYTES,
    ROLE_OF_FILE,
    ROLE_OF_FOLDER,
    TOP_LEVEL,
    StoredManifest,
    checksums_text,
    role_of,
)
from hstu_preserve.errors import ContentError, MissingPathError, UnavailableError, UsageError
from hstu_preserve.primitives.files import CHUNK_BYTES, write_atomically
from hstu_preserve.primitives.paths import find_colliding, require_inside_bundle
from hstu_preserve.primitives.voice import count_nothing
from hstu_preserve.primitives.wording import printable
from hstu_preserve.records.contents import Contents, FileRecord, Finding, FindingClass, describe_findings
from hstu_preserve.records.manifest import CHECKSUMS_NAME, MANIFEST_NAME, AnyManifest, read_manifest


@dataclass(kw_only=True)
class TreeListing:
    """The size of every regular file below a directory, by path, and a finding for each entry a bundle cannot hold."""

    sizes: dict[str, int] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)

    def refuse(self, kind: FindingClass, path: str, *, expected: str | None, found: str | None) -> None:
        """Add one finding."""
        found = None if found is None else printable(found)
        self.findings.append(Finding(finding_class=kind, path=printable(path), expected=expected, found=found))


def seal(root: Path, *, manifest: AnyManifest) -> StoredManifest:
    """Write `MANIFEST.json` and `SHA256SUMS` into a run directory.

    Raises:
        UnavailableError: The directory cannot be written.
    """
    stored = StoredManifest(content=manifest.to_json(), record=manifest)
    write_seal(root, stored)
    return stored


def write_seal(root: Path, stored: StoredManifest) -> None:
    """Write a manifest as it is stored, and `SHA256SUMS`, into a directory.

    Raises:
        UnavailableError: The directory cannot be written.
    """
    write_atomically(root / MANIFEST_NAME, stored.content)
    write_atomically(root / CHECKSUMS_NAME, checksums_text(stored.content, contents=stored.contents))


def read_tree_manifest(root: Path, *, known: StoredManifest | None = None) -> StoredManifest:
    """Read the manifest of a run directory or unpacked bundle; the bytes of a known one are not parsed again.

    Raises:
        MissingPathError: The directory has no manifest.
        ContentError: The manifest is not one of ours, or not a regular file.
    """
    require_directory(root)
    path = root / MANIFEST_NAME
    if not os.path.lexists(path):
        raise MissingPathError(f"{root}: no bundle and no finished run ({MANIFEST_NAME}: no such file)")
    content = read_at_most(path, max_bytes=MAX_MANIFEST_BYTES)
    if known is not None and known.content == content:
        return known
    return StoredManifest(content=content, record=read_manifest(content, source=str(path)))


def record_files(root: Path) -> Contents:
    """Return size, digest and role of every file below `root`, except the manifest and the checksums.

    Raises:
        MissingPathError: There is no such directory.
        ContentError: The tree holds something that a bundle cannot; everything is named.
    """
    listing = list_tree(root)
    if listing.findings:
        raise ContentError(describe_findings(f"{root}: cannot become a bundle", listing.findings))
    return Contents(files=tuple(hash_files(root, listing)))


Keep: TypeAlias = Callable[[str, Iterator[bytes]], None]
"""Takes the path and the content of a file while it is hashed."""


def drop(path: str, chunks: Iterator[bytes]) -> None:
    """Keep nothing of a file."""
    for _ in chunks:
        pass


class HashedFile:
    """A file that is read once, whoever takes its content: so what is kept is what was hashed.

    Args:
        path: The file.
        size: Its size; from the first chunk beyond it on, nothing is read, since a growing file might never end.
        count: Is told of the bytes that were hashed.
    """

    def __init__(self, path: Path, *, size: int, count: Callable[[int], None]) -> None:
        self.digest = hashlib.sha256()
        self.size = 0
        self.chunks = self._read(path, size=size, count=count)

    def _read(self, path: Path, *, size: int, count: Callable[[int], None]) -> Iterator[bytes]:
        """Yield the content."""
        for chunk in read_chunks(path):
            self.digest.update(chunk)
            self.size += len(chunk)
            count(len(chunk))
            yield chunk
            if self.size > size:
                return


def hash_files(
    root: Path, listing: TreeListing, *, count: Callable[[int], None] = count_nothing, keep: Keep = drop
) -> Iterator[FileRecord]:
    """Yield the record of each listed file that has a role.

    Args:
        root: The folder of the files.
        listing: Which files it has.
        count: Is told of the bytes that were hashed.
        keep: Takes the content of each file whole.
    """
    for path in sorted(listing.sizes):
        role = role_of(path)
        if role is None:  # the manifest and the checksums: neither can list itself
            continue
        file = HashedFile(root / path, size=listing.sizes[path], count=count)
        keep(path, file.chunks)
        yield FileRecord(path=path, size=file.size, sha256=file.digest.hexdigest(), role=role)


def list_tree(root: Path) -> TreeListing:
    """Return the files below `root`, and every reason why it cannot become a bundle as it is.

    Raises:
        MissingPathError: There is no such directory.
        UnavailableError: A directory cannot be read.
    """
    require_directory(root)
    listing = TreeListing()
    try:
        for entry in scan_sorted(root):
            add_top_level(entry, listing)
    except OSError as error:
        raise UnavailableError(f"{error.filename}: cannot be read ({error.strerror})") from None
    for first, second in find_colliding(listing.sizes):
        listing.refuse(FindingClass.DUPLICATE, second, expected="names that differ on every system", found=first)
    return listing


def add_top_level(entry: os.DirEntry[str], listing: TreeListing) -> None:
    """Add a top-level entry and the files below it, if the layout has its name."""
    folders, files = set(ROLE_OF_FOLDER), set(ROLE_OF_FILE) | GENERATED_NAMES
    if entry.is_dir(follow_symlinks=False):
        known = folders
    elif entry.is_file(follow_symlinks=False):
        known = files
    else:
        known = folders | files
    if entry.name in known:
        add_entry(entry, path=entry.name, listing=listing)
    else:
        found = f"unknown top-level {describe_type(entry)}"
        listing.refuse(FindingClass.UNEXPECTED, entry.name, expected=f"one of {TOP_LEVEL}", found=found)


def add_entry(entry: os.DirEntry[str], *, path: str, listing: TreeListing) -> None:
    """Add one directory entry, and the files below it, to the listing."""
    try:
        require_inside_bundle(path)
    except ValueError as error:
        listing.refuse(FindingClass.NOT_CANONICAL, path, expected="a portable path", found=str(error))
        return
    if entry.is_dir(follow_symlinks=False):
        below = scan_sorted(Path(entry.path))
        if not below:
            # The archive has no directory members: packing would lose this one without a word.
            listing.refuse(FindingClass.WRONG_TYPE, path, expected="a file", found="an empty directory")
        for child in below:
            add_entry(child, path=f"{path}/{child.name}", listing=listing)
    elif entry.is_file(follow_symlinks=False):
        listing.sizes[path] = entry.stat(follow_symlinks=False).st_size
    else:
        listing.refuse(FindingClass.WRONG_TYPE, path, expected="a regular file", found=describe_type(entry))


def scan_sorted(directory: Path) -> list[os.DirEntry[str]]:
    """Return the directory's entries by name."""
    with os.scandir(directory) as entries:
        return sorted(entries, key=lambda entry: entry.name)


def describe_type(entry: os.DirEntry[str]) -> str:
    """Return the kind of an entry in words, e.g. `symbolic link`."""
    names = {
        stat.S_IFREG: "file",
        stat.S_IFDIR: "directory",
        stat.S_IFLNK: "symbolic link",
        stat.S_IFIFO: "named pipe",
        stat.S_IFSOCK: "socket",
        stat.S_IFCHR: "character device",
        stat.S_IFBLK: "block device",
    }
    return names.get(stat.S_IFMT(entry.stat(follow_symlinks=False).st_mode), "special file")


def read_chunks(path: Path) -> Iterator[bytes]:
    """Yield the content of a file, which must be a regular file now; it may have been replaced since it was listed.

    Raises:
        MissingPathError: There is no such file.
        ContentError: It is a link, a pipe or another special file.
        UnavailableError: It cannot be read.
    """
    try:
        # Without O_NONBLOCK, opening a named pipe would wait for somebody to write into it.
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb", buffering=0) as stream:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise ContentError(f"{path}: not a regular file")
            while chunk := stream.read(CHUNK_BYTES):
                yield chunk
    except FileNotFoundError:
        raise MissingPathError(f"{path}: no such file") from None
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:  # such a file cannot exist, like a signature beside a long name
            raise MissingPathError(f"{path}: no such file") from None
        if error.errno == errno.ELOOP:
            raise ContentError(f"{path}: not a regular file (symbolic link)") from None
        raise UnavailableError(f"{path}: cannot be read ({error.strerror})") from None


def read_at_most(path: Path, *, max_bytes: int) -> bytes:
    """Return a regular file's content.

    Raises:
        ContentError: The file is larger than `max_bytes`, or not a regular file.
    """
    content = bytearray()
    for chunk in read_chunks(path):
        content += chunk
        if len(content) > max_bytes:
            raise ContentError(f"{path}: larger than {max_bytes} bytes")
    return bytes(content)


def require_directory(root: Path) -> None:
    """Raise an error if `root` is not a directory."""
    if not root.exists():
        raise MissingPathError(f"{root}: no such directory")
    if not root.is_dir():
        raise UsageError(f"{root}: not a directory")
