"""Compare every byte of a bundle with its manifest, without unpacking it."""

from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import BinaryIO

from hstu_preserve.bundle.layout import (
    GENERATED_NAMES,
    Member,
    StoredManifest,
    checksums_text,
    find_misplaced,
    list_members,
    role_of,
)
from hstu_preserve.bundle.tree import (
    Keep,
    TreeListing,
    drop,
    hash_files,
    list_tree,
    read_at_most,
    read_tree_manifest,
    require_directory,
)
from hstu_preserve.bundle.walker import walk_bundle
from hstu_preserve.errors import (
    ContentError,
    MissingPathError,
    UnknownNameError,
    UsageError,
    VerificationError,
)
from hstu_preserve.primitives.byte_sources import ByteSource
from hstu_preserve.primitives.digests import sha256_of_bytes
from hstu_preserve.primitives.voice import SILENT, ByteProgress, Voice
from hstu_preserve.records.contents import Finding, FindingClass, compare, describe_bytes, describe_findings
from hstu_preserve.records.manifest import CHECKSUMS_NAME, MANIFEST_NAME, Manifest
from hstu_preserve.records.verification import Verification


def verify_bundle(
    source: Path | BinaryIO | ByteSource, *, known: StoredManifest | None = None, voice: Voice = SILENT
) -> Verification:
    """Compare a packed bundle, a stream of one or an unpacked tree with its manifest, in one pass and flat memory.

    Args:
        source: The bundle.
        known: Its manifest as it was read before; the same bytes are not parsed again.
        voice: Shows how many bytes were read.

    Raises:
        MissingPathError: There is no such file.
        UnavailableError: It cannot be read.
    """
    if isinstance(source, Path) and source.is_dir():
        return verify_tree(source, known=known, voice=voice)
    with walk_bundle(source, known=known, voice=voice) as walker:
        for _ in walker.members():
            pass
        return walker.verification()


def verify_tree(
    root: Path, *, known: StoredManifest | None = None, keep: Keep = drop, voice: Voice = SILENT
) -> Verification:
    """Compare an unpacked bundle or run directory with its manifest; see `verify_bundle`.

    Args:
        root: The directory.
        known: Its manifest as it was read before.
        keep: Takes the very bytes that are compared, file by file, of files that the manifest lists with their size.
        voice: Shows how many bytes were read.

    Raises:
        MissingPathError: There is no such directory.
        UnavailableError: It cannot be read.
    """
    listing, stored = TreeListing(), None
    require_directory(root)
    try:
        stored = read_tree_manifest(root, known=known)
        listing = list_tree(root)
    except MissingPathError:
        # Without a manifest there is nothing to compare the files with, and they may be a whole disk: none is listed.
        expected = "the manifest of a run or of an unpacked bundle"
        listing.refuse(FindingClass.MISSING, MANIFEST_NAME, expected=expected, found="a directory without it")
    except ContentError as error:
        listing = list_tree(root)
        listing.refuse(FindingClass.BAD_MANIFEST, MANIFEST_NAME, expected=None, found=str(error))
    progress = ByteProgress(
        f"reading {root.name}", total=sum(size for path, size in listing.sizes.items() if role_of(path)), voice=voice
    )
    records = []
    if stored:
        contents = stored.contents
        sizes = {file.path: file.size for file in contents.files}

        def keep_listed(path: str, chunks: Iterator[bytes]) -> None:
            (keep if sizes.get(path) == listing.sizes[path] else drop)(path, chunks)

        keep(MANIFEST_NAME, iter([stored.content]))
        keep(CHECKSUMS_NAME, iter([checksums_text(stored.content, contents=contents)]))
        records = list(hash_files(root, listing, count=progress.advance, keep=keep_listed))
        listing.findings += [*find_misplaced(contents), *compare(contents.files, records)]
        compare_checksums(root, stored=stored, listing=listing)
    # Compared above, as an archive's are: the manifest gives the identity, and the checksums follow from it.
    generated = [listing.sizes[name] for name in GENERATED_NAMES if stored and name in listing.sizes]
    return Verification(
        source=str(root),
        identity=stored.identity if stored else None,
        transport_sha256=None,
        manifest=stored.record if stored else None,
        findings=tuple(listing.findings),
        members_checked=len(records) + len(generated),
        bytes_checked=sum(record.size for record in records) + sum(generated),
    )


def compare_checksums(root: Path, *, stored: StoredManifest, listing: TreeListing) -> None:
    """Add a finding if the tree's `SHA256SUMS` is not the one that follows from the manifest."""
    want = checksums_text(stored.content, contents=stored.contents)
    expected = describe_bytes(sha256_of_bytes(want), size=len(want))
    if CHECKSUMS_NAME not in listing.sizes:
        listing.refuse(FindingClass.MISSING, CHECKSUMS_NAME, expected=expected, found=None)
        return
    if listing.sizes[CHECKSUMS_NAME] != len(want):  # a file of another size is not even read
        found = f"{listing.sizes[CHECKSUMS_NAME]} bytes"
        listing.refuse(FindingClass.CHANGED, CHECKSUMS_NAME, expected=expected, found=found)
        return
    have = read_at_most(root / CHECKSUMS_NAME, max_bytes=len(want))
    if have != want:
        found = describe_bytes(sha256_of_bytes(have), size=len(have))
        listing.refuse(FindingClass.CHANGED, CHECKSUMS_NAME, expected=expected, found=found)


def read_manifest_of(path: Path) -> Manifest:
    """Return the manifest of a run, packed or not; of a bundle, only the beginning is read.

    Raises:
        UsageError: It is no run but a migrated legacy archive.
        MissingPathError: There is no such file or directory, or the directory has no manifest.
        ContentError: It is not a bundle.
    """
    return read_stored_manifest(path).manifest


def read_stored_manifest(source: Path | BinaryIO | ByteSource) -> StoredManifest:
    """Return the manifest with its bytes, and so the bundle's identity; see `read_manifest_of`."""
    if isinstance(source, Path) and source.is_dir():
        return read_tree_manifest(source)
    with walk_bundle(source) as walker:
        next(walker.members(), None)
        if walker.stored is None:
            raise walker.verification_error()
        return walker.stored


def read_member(path: Path | ByteSource, *, member: str, max_bytes: int) -> bytes:
    """Return the content of one member of a bundle or tree, compared with the manifest.

    Of a packed bundle, nothing after the member is read.

    Raises:
        MissingPathError: There is no such bundle.
        UnknownNameError: The manifest lists no such member.
        UsageError: The member is larger than `max_bytes`.
        ContentError: The bundle is damaged before or in this member, or the member is not there.
    """
    if isinstance(path, Path) and path.is_dir():
        expected = find_listed(read_tree_manifest(path), member=member, max_bytes=max_bytes, source=path)
        content = read_at_most(path / member, max_bytes=max_bytes)
    else:
        with walk_bundle(path) as walker:
            walk = walker.members()
            first = next(walk, None)
            if first is None or walker.stored is None:
                raise walker.verification_error()
            expected = find_listed(walker.stored, member=member, max_bytes=max_bytes, source=path)
            pieces = (b"".join(found.chunks) for found in chain([first], walk) if found.member == expected)
            content = next(pieces, b"")
            if walker.findings:
                raise walker.verification_error()
    require_content(content, expected=expected, source=path)
    return content


def find_listed(stored: StoredManifest, *, member: str, max_bytes: int, source: Path | ByteSource) -> Member:
    """Return size and digest that the manifest gives a member, which will be read into memory."""
    listed = {each.path: each for each in list_members(stored)}
    if member not in listed:
        raise UnknownNameError(kind=f"member of {source}", name=member, known=listed)
    if listed[member].size > max_bytes:
        raise UsageError(f"{member} of {source}: {listed[member].size} bytes, more than the {max_bytes} read here")
    return listed[member]


def require_content(content: bytes, *, expected: Member, source: Path | ByteSource) -> None:
    """Raise VerificationError if the content does not have the member's digest."""
    found = sha256_of_bytes(content)
    if found != expected.sha256:
        finding = Finding(
            finding_class=FindingClass.CHANGED,
            path=expected.path,
            expected=describe_bytes(expected.sha256, size=expected.size),
            found=describe_bytes(found, size=len(content)),
        )
        headline = f"{source}: not what its manifest says"
        raise VerificationError(describe_findings(headline, [finding]), findings=[finding])
