"""Pack a sealed run directory into its one canonical archive."""

from collections.abc import Iterator
from pathlib import Path
from typing import IO

from hstu_preserve.bundle.compression import GzipWriter
from hstu_preserve.bundle.hashing import BackgroundDigest, HashingThread
from hstu_preserve.bundle.headers import END_OF_ARCHIVE, make_header, make_padding
from hstu_preserve.bundle.layout import Member, StoredManifest, checksums_text, find_misplaced, list_members
from hstu_preserve.bundle.references import Additions
from hstu_preserve.bundle.tree import TreeListing, list_tree, read_chunks, read_tree_manifest
from hstu_preserve.errors import ContentError, UsageError, VerificationError
from hstu_preserve.primitives.files import CHUNK_BYTES, new_file_writer
from hstu_preserve.primitives.voice import SILENT, ByteProgress, Voice
from hstu_preserve.records.contents import FindingClass, describe_bytes, describe_findings
from hstu_preserve.records.manifest import CHECKSUMS_NAME, MANIFEST_NAME
from hstu_preserve.records.results import PackResult


class HashingSink:
    """Passes bytes on to a stream, and hashes and counts them."""

    def __init__(self, stream: IO[bytes], hashing: HashingThread) -> None:
        self.stream = stream
        self.digest = BackgroundDigest(hashing)

    def write(self, chunk: bytes, /) -> None:
        """Pass the bytes on."""
        self.stream.write(chunk)
        self.digest.update(chunk)


def pack(root: Path, *, output: Path, additions: Additions | None = None, voice: Voice = SILENT) -> PackResult:
    """Write the directory's canonical archive to `output`, whole or not at all.

    Args:
        root: The sealed directory.
        output: The archive.
        additions: Files beside those of the directory, which stays as it is, and the manifest of all; None if there
            are none.
        voice: Shows how many bytes of the files are packed, of how many.

    Raises:
        UsageError: `output` lies inside the directory, or came into being meanwhile.
        MissingPathError: The directory does not exist or was not sealed with a manifest.
        ContentError: The directory differs from its manifest, before or while it is read; every difference is named.
        UnavailableError: A file cannot be read, or `output` cannot be written.
    """
    if output.resolve().is_relative_to(root.resolve()):
        raise UsageError(f"{output}: lies inside {root}, which is being packed; choose another --output")
    stored = read_tree_manifest(root)
    require_complete(root, stored)  # names every difference at once, before any content is read
    if additions is not None:
        stored = additions.stored
    members = list_members(stored)
    progress = ByteProgress("packing", total=sum(member.size for member in members), voice=voice)
    with new_file_writer(output) as stream, HashingThread() as hashing:
        sink = HashingSink(stream, hashing)
        writer = GzipWriter(sink)
        for member in members:
            chunks = read_content(root, member, additions=additions)
            write_member(
                writer,
                chunks,
                root=root,
                member=member,
                digest=BackgroundDigest(hashing),
                progress=progress,
            )
        writer.write(END_OF_ARCHIVE)
        writer.finish()
        transport_sha256 = sink.digest.hexdigest()
    return PackResult(
        path=output,
        identity=stored.identity,
        transport_sha256=transport_sha256,
        size_bytes=sink.digest.size,
        members=len(members),
    )


def read_content(root: Path, member: Member, *, additions: Additions | None) -> Iterator[bytes]:
    """Yield the content of a member: one that was added, one that follows from the added, or the directory's file."""
    if additions is None:
        yield from read_chunks(root / member.path)
        return
    stored = additions.stored
    generated = {
        MANIFEST_NAME: stored.content,
        CHECKSUMS_NAME: checksums_text(stored.content, contents=stored.contents),
    }
    content = {**additions.files, **generated}.get(member.path)
    if content is None:
        yield from read_chunks(root / member.path)
        return
    for start in range(0, len(content), CHUNK_BYTES):
        yield content[start : start + CHUNK_BYTES]


def write_member(
    writer: GzipWriter,
    chunks: Iterator[bytes],
    *,
    root: Path,
    member: Member,
    digest: BackgroundDigest,
    progress: ByteProgress,
) -> None:
    """Write one member, and hash its content again on the way.

    Raises:
        ContentError: The file's content does not, or no longer does, have the digest in the manifest.
    """
    writer.write(make_header(member.path, size=member.size))  # from the manifest: the file is checked against it below
    for chunk in chunks:
        digest.update(chunk)
        if digest.size > member.size:  # a file that still grows might never end
            break
        writer.write(chunk)
        progress.advance(len(chunk))
    size = digest.size
    if (size, digest.hexdigest()) != (member.size, member.sha256):
        expected, found = describe_bytes(member.sha256, size=member.size), describe_bytes(digest.hexdigest(), size=size)
        raise ContentError(
            f"{root / member.path}: changed after the manifest was written (expected {expected}, found {found})"
        )
    writer.write(make_padding(size))


def require_complete(root: Path, stored: StoredManifest) -> None:
    """Raise VerificationError if the directory's files differ from the manifest in path, type or size."""
    listing = list_tree(root)
    listing.findings += find_misplaced(stored.contents)
    sizes = {member.path: member.size for member in list_members(stored)}
    for path in sorted(sizes.keys() | listing.sizes.keys()):
        compare_size(listing, path=path, expected=sizes.get(path))
    if listing.findings:
        headline = f"{root}: not what its manifest says"
        raise VerificationError(describe_findings(headline, listing.findings), findings=listing.findings)


def compare_size(listing: TreeListing, *, path: str, expected: int | None) -> None:
    """Add a finding to the listing if a file is missing, unexpected or of another size."""
    found = listing.sizes.get(path)
    if expected == found:
        return
    kind = FindingClass.CHANGED
    if found is None:
        kind = FindingClass.MISSING
    elif expected is None:
        kind = FindingClass.UNEXPECTED
    listing.refuse(
        kind,
        path,
        expected=None if expected is None else f"{expected} bytes",
        found=None if found is None else f"{found} bytes",
    )
