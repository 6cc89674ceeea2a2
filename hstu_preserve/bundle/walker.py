"""Walk a packed bundle once, front to back; verification and unpacking both consume this walk."""

import hashlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from hstu_preserve.bundle.compression import GZIP_HEADER, GzipReader
from hstu_preserve.bundle.content import ContentReader
from hstu_preserve.bundle.damage import DamagedError
from hstu_preserve.bundle.found_headers import FoundHeader, describe_differences, read_header
from hstu_preserve.bundle.headers import BLOCK_BYTES, END_OF_ARCHIVE, make_header, make_padding, measure_member
from hstu_preserve.bundle.layout import MAX_MANIFEST_BYTES, Member, StoredManifest, find_misplaced, list_members
from hstu_preserve.errors import ContentError, VerificationError
from hstu_preserve.primitives.byte_sources import ByteSource
from hstu_preserve.primitives.files import CHUNK_BYTES, open_stream
from hstu_preserve.primitives.voice import SILENT, ByteProgress, Voice, count_nothing
from hstu_preserve.primitives.wording import printable
from hstu_preserve.records.contents import Finding, FindingClass, describe_bytes
from hstu_preserve.records.manifest import MANIFEST_NAME, read_manifest
from hstu_preserve.records.verification import Verification

MAX_FINDINGS = 1000
LEGACY_HINT = "; a legacy archive is read from a file that is named, not from a stream"
ALLOWANCE_BYTES = MAX_MANIFEST_BYTES + 2**20
"""How many bytes beyond those that the manifest announces are read, to name what they are."""


@dataclass(frozen=True, kw_only=True)
class MemberContent:
    """An expected member whose header was as expected, and its content as it arrives."""

    member: Member
    chunks: Iterator[bytes]


class BundleWalker:
    """Reads a bundle once and compares every member with the manifest.

    Args:
        stream: A packed bundle.
        source: Its name, for messages.
        known: The manifest as it was read before; the same bytes are not parsed again.
        count: Is told of compressed bytes as they are read.

    Iterate over `members()`; the content of each may be consumed, and is read and hashed all the same if it is not.
    Only expected members come out, each at most once and never longer than announced. Differences gather in `findings`;
    those of a member are complete when the next one is asked for.
    """

    def __init__(
        self,
        stream: BinaryIO,
        *,
        source: str,
        known: StoredManifest | None = None,
        count: Callable[[int], None] = count_nothing,
    ) -> None:
        self.source = source
        self.known = known
        self.reader = GzipReader(stream, source=source, count=count)
        self.reader.limit = ALLOWANCE_BYTES
        self.stored: StoredManifest | None = None
        self.findings: list[Finding] = []
        self.members_checked = 0
        self.bytes_checked = 0
        self._expected: list[Member] = []
        self._seen: set[str] = set()
        self._furthest = -1
        self._is_resynchronising = False
        self._content = ContentReader(self.reader, guard=lambda: None)

    def members(self) -> Iterator[MemberContent]:
        """Yield each expected member in the archive's order; the manifest, already read, is the first.

        Raises:
            UnavailableError: The stream cannot be read.
        """
        try:
            self.stored = self._read_manifest()
            self._expected = list_members(self.stored)
            self._seen, self._furthest = {MANIFEST_NAME}, 0
            self.findings += find_misplaced(self.stored.contents)
            self.reader.limit = ALLOWANCE_BYTES + sum(measure_member(m.path, size=m.size) for m in self._expected)
            yield MemberContent(member=self._expected[0], chunks=iter([self.stored.content]))
            yield from self._walk_members()
            self._report_missing()
            self._read_end()
        except DamagedError as damage:
            self.findings.append(damage.finding)

    def close(self) -> None:
        """Stop reading ahead; the stream stays open."""
        self.reader.close()

    def verification(self) -> Verification:
        """Return the findings and counts of the walk as a record."""
        return Verification(
            source=self.source,
            identity=self.stored.identity if self.stored else None,
            transport_sha256=self.reader.transport_sha256,
            manifest=self.stored.record if self.stored else None,
            findings=tuple(self.findings),
            members_checked=self.members_checked,
            bytes_checked=self.bytes_checked,
        )

    def verification_error(self) -> VerificationError:
        """Return the findings of the walk as an error."""
        return VerificationError(self.verification().describe(), findings=self.findings)

    def _read_manifest(self) -> StoredManifest:
        """Read the first member, the manifest, which lists all the others."""
        header = read_header(self.reader)
        if self.reader.header_found != GZIP_HEADER:
            found = f"header {self.reader.header_found.hex()}"
            self._report(FindingClass.NOT_CANONICAL, self.source, expected=f"header {GZIP_HEADER.hex()}", found=found)
        self.reader.place = MANIFEST_NAME
        if header is None or header.damage or header.name != MANIFEST_NAME:
            found = "an empty archive" if header is None else header.damage or f"{printable(header.name)}{LEGACY_HINT}"
            raise self.reader.damage(
                FindingClass.BAD_MANIFEST, expected=f"{MANIFEST_NAME} as first member", found=found
            )
        if not header.is_regular or header.size > MAX_MANIFEST_BYTES:
            expected = f"a regular file of at most {MAX_MANIFEST_BYTES} bytes"
            raise self.reader.damage(FindingClass.BAD_MANIFEST, expected=expected, found=header.describe())
        self._require_canonical(header, path=MANIFEST_NAME)
        content = self.reader.read_exactly(header.size)
        self._read_padding(header.size)
        self._count(len(content))
        if self.known is not None and self.known.content == content:
            return self.known
        try:
            record = read_manifest(content, source=MANIFEST_NAME)
        except ContentError as error:
            # Ends the walk: without a manifest there is nothing to compare the rest with.
            raise self.reader.damage(FindingClass.BAD_MANIFEST, expected=None, found=str(error)) from None
        return StoredManifest(content=content, record=record)

    def _walk_members(self) -> Iterator[MemberContent]:
        """Yield each member after the manifest, up to the zero block."""
        positions = {member.path: position for position, member in enumerate(self._expected)}
        while (header := self._read_next_header()) is not None:
            position = self._guess_position(header) if header.damage else positions.get(header.name)
            if position is None:
                self._report(FindingClass.UNEXPECTED, header.name, expected=None, found=header.describe())
                self._skip(header)
                continue
            member = self._expected[position]
            self.reader.place = member.path
            if member.path in self._seen:
                self._report(FindingClass.DUPLICATE, member.path, expected="once", found=header.describe())
                self._skip(header)
                continue
            self._seen.add(member.path)
            self._require_order(position)
            yield from self._read_member(member, header)

    def _read_next_header(self) -> FoundHeader | None:
        """Read a header, or None at the end; give up if there are too many findings."""
        if len(self.findings) > MAX_FINDINGS:
            raise self.reader.damage(FindingClass.TRUNCATED, expected=None, found="too many findings to go on")
        following = self._furthest + 1
        self.reader.place = self._expected[following].path if following < len(self._expected) else self.source
        return read_header(self.reader)

    def _guess_position(self, header: FoundHeader) -> int:
        """Return the position of the next expected member, which must be the one whose header is damaged."""
        position = self._furthest + 1
        # Two damaged headers in a row: the place in the archive is lost, and every further finding would be a guess.
        if self._is_resynchronising or position == len(self._expected):
            raise self.reader.damage(FindingClass.NOT_CANONICAL, expected="a tar header", found=header.damage)
        member = self._expected[position]
        self._report(FindingClass.NOT_CANONICAL, member.path, expected="its tar header", found=header.damage)
        self.reader.read_exactly(max(0, len(make_header(member.path, size=member.size)) - len(header.raw)))
        return position

    def _require_order(self, position: int) -> None:
        """Report a member that comes after one that it should precede."""
        if position < self._furthest:
            path, after = self._expected[position].path, self._expected[self._furthest].path
            self._report(FindingClass.OUT_OF_ORDER, path, expected=f"before {after}", found=f"after {after}")
        self._furthest = max(self._furthest, position)

    def _read_member(self, member: Member, header: FoundHeader) -> Iterator[MemberContent]:
        """Yield the member if its header announces the expected type and size, and check its content."""
        self._is_resynchronising = header.damage is not None
        if header.damage is None and not header.is_regular:
            found = header.describe()
            self._report(FindingClass.WRONG_TYPE, member.path, expected="a regular file", found=found)
            self._skip(header)
            return
        size = member.size if header.damage else header.size
        if header.damage is None and size == member.size:
            self._require_canonical(header, path=member.path)
        digest = hashlib.sha256()
        chunks = self._content.chunks(size, digests=(digest,))
        if size == member.size:
            yield MemberContent(member=member, chunks=chunks)
        self._content.exhaust(chunks)
        self._read_padding(size)
        self._count(size)
        if (size, digest.hexdigest()) != (member.size, member.sha256):
            expected, found = (
                describe_bytes(member.sha256, size=member.size),
                describe_bytes(digest.hexdigest(), size=size),
            )
            self._report(FindingClass.CHANGED, member.path, expected=expected, found=found)

    def _skip(self, header: FoundHeader) -> None:
        """Read past the content that a header announces."""
        self._content.exhaust(self._content.chunks(header.content_size, digests=()))
        self.reader.read_exactly(len(make_padding(header.content_size)))

    def _read_padding(self, size: int) -> None:
        """Read to the next block, and report padding that is not zeros, since it could hide data."""
        if any(self.reader.read_exactly(len(make_padding(size)))):
            self._report(FindingClass.NOT_CANONICAL, self.reader.place, expected="zeros as padding", found="data")

    def _require_canonical(self, header: FoundHeader, *, path: str) -> None:
        """Report a header that is not, byte for byte, the one that path and size have."""
        if header.raw != make_header(path, size=header.size):
            found = describe_differences(header, path=path)
            self._report(FindingClass.NOT_CANONICAL, path, expected="the canonical tar header", found=found)

    def _report_missing(self) -> None:
        """Report every expected member that did not come."""
        for member in self._expected:
            if member.path not in self._seen:
                expected = describe_bytes(member.sha256, size=member.size)
                self._report(FindingClass.MISSING, member.path, expected=expected, found=None)

    def _read_end(self) -> None:
        """Require the rest of the end of the archive, and nothing after it."""
        self.reader.place = self.source
        rest = self.reader.read_exactly(len(END_OF_ARCHIVE) - BLOCK_BYTES)
        if any(rest):
            self._report(FindingClass.NOT_CANONICAL, self.source, expected="two zero blocks at the end", found="one")
        size, only_zeros = 0, True
        while chunk := self.reader.read(CHUNK_BYTES):
            size += len(chunk)
            only_zeros = only_zeros and not any(chunk)
        if size:
            found = f"{size} bytes of {'zeros' if only_zeros else 'data'} after it"
            self._report(FindingClass.TRAILING_BYTES, self.source, expected="the end of the archive", found=found)

    def _report(self, kind: FindingClass, path: str, *, expected: str | None, found: str | None) -> None:
        """Add a finding."""
        self.findings.append(Finding(finding_class=kind, path=printable(path), expected=expected, found=found))

    def _count(self, size: int) -> None:
        """Count a member whose content was hashed."""
        self.members_checked += 1
        self.bytes_checked += size


@contextmanager
def walk_bundle(
    source: Path | BinaryIO | ByteSource, *, known: StoredManifest | None = None, voice: Voice = SILENT
) -> Iterator[BundleWalker]:
    """Open a bundle for one walk; a stream is not closed.

    Args:
        source: A file here or on the Hub, or a stream.
        known: The manifest as it was read before; the same bytes are not parsed again.
        voice: Shows how many of the compressed bytes were read; the size of a stream is unknown.

    Raises:
        MissingPathError: There is no such file.
        UnavailableError: It cannot be read.
    """
    with ExitStack() as stack:
        count = count_nothing
        if isinstance(source, ByteSource):
            stream, name, size = stack.enter_context(source.open()), source.place, source.size
            count = ByteProgress(f"reading {source.name}", total=size, voice=voice).advance
        elif isinstance(source, Path):
            stream, name = stack.enter_context(open_stream(source)), str(source)
            count = ByteProgress(f"reading {source.name}", total=source.stat().st_size, voice=voice).advance
        else:
            stream, name = source, "-"
        yield stack.enter_context(closing(BundleWalker(stream, source=name, known=known, count=count)))
