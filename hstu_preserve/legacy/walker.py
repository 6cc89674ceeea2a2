"""Read an archive as any `tar czf` writes it (the tolerant profile), in one pass; take only files and folders.

Order, owner, mode, time, a leading `./`, folders, GNU long names, PAX headers and tape padding are all accepted. What a
reader could be tricked with is refused and named: links, special and sparse files, unsafe, repeated or colliding names,
damage, bytes after the end, bombs. A companion that macOS's tar writes for a folder itself is passed over: `._.` is no
name that a file can have on every system.
"""

import hashlib
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from hstu_preserve.bundle.compression import GzipReader
from hstu_preserve.bundle.content import ContentReader
from hstu_preserve.bundle.damage import DamagedError
from hstu_preserve.bundle.found_headers import DIRECTORY, FoundHeader, read_header
from hstu_preserve.bundle.headers import BLOCK_BYTES, END_OF_ARCHIVE, make_padding
from hstu_preserve.primitives.byte_sources import ByteSource
from hstu_preserve.primitives.files import CHUNK_BYTES, open_stream
from hstu_preserve.primitives.paths import COMPANION_PREFIX, fold, require_inside_bundle
from hstu_preserve.primitives.voice import ByteProgress, Voice
from hstu_preserve.primitives.wording import printable
from hstu_preserve.records.contents import Finding, FindingClass
from hstu_preserve.records.legacy.outcomes import LegacyFile

MAX_FINDINGS = 1000
MAX_TAPE_PADDING = 3072 * BLOCK_BYTES
"""Zeros at the end: tar fills its last record, of 20 blocks or as many as `--blocking-factor` says. They hide nothing;
the limit is only against bombs."""
REGULAR_KINDS = frozenset({b"0", b"\0"})
SPARSE_PREFIX = "GNU.sparse."
FOLDER_COMPANION = f"{COMPANION_PREFIX}."
PLACING_NAMES = frozenset({"path", "linkpath", "size"})
"""PAX names that decide what a member is: in a global header they would change every later member."""


@dataclass(frozen=True, kw_only=True)
class LegacyLimits:
    """Beyond what an archive is taken for a bomb."""

    members: int = 100_000
    total_bytes: int = 64 * 2**30
    """Of the decompressed archive."""
    ratio: int = 100
    """Decompressed to compressed bytes; weights do not compress, logs and configs less than tenfold."""
    free_bytes: int = 64 * 2**20
    """Decompressed size up to which no ratio is asked for."""


DEFAULT_LIMITS = LegacyLimits()


@dataclass(frozen=True, kw_only=True)
class LegacyMember:
    """A regular file of the archive, and its content as it arrives."""

    path: str
    """Without a leading `./`."""
    size: int
    chunks: Iterator[bytes]


def ignore_position(position: int) -> None:
    """Listen to nothing."""


class HashingSource:
    """Counts the bytes that are read from a stream, and takes their md5."""

    def __init__(self, stream: BinaryIO) -> None:
        self.stream = stream
        self.digest = hashlib.md5(usedforsecurity=False)
        self.size = 0

    def read(self, size: int = -1, /) -> bytes:
        """Read from the stream."""
        chunk = self.stream.read(size)
        self.digest.update(chunk)
        self.size += len(chunk)
        return chunk


class LegacyWalker:
    """Reads a legacy archive once, front to back, in memory that only the number of members adds to.

    Iterate over `members()`; the content of each may be consumed, what is not is read all the same. `files`, `findings`
    and the companions of folders that were `passed_over` are complete when the iteration has ended.
    """

    def __init__(
        self,
        stream: BinaryIO,
        *,
        source: str,
        limits: LegacyLimits = DEFAULT_LIMITS,
        listen: Callable[[int], None] = ignore_position,
    ) -> None:
        self.source = source
        self.limits = limits
        self.listen = listen
        self.input = HashingSource(stream)
        self.reader = GzipReader(self.input, source=source)  # type: ignore[arg-type]  # it only reads
        self.reader.limit = 2 * limits.total_bytes  # a backstop; _require_modest names the limits
        self.findings: list[Finding] = []
        self.files: list[LegacyFile] = []
        self.passed_over: list[str] = []
        self._kinds_by_name: dict[str, tuple[str, bool]] = {}
        self._num_members = 0
        self._content = ContentReader(self.reader, guard=self._take_stock)

    @property
    def is_whole(self) -> bool:
        """Whether the end of the file was reached and everything before it could be read."""
        return self.reader.transport_sha256 is not None

    @property
    def sha256(self) -> str | None:
        """Of the archive file, once its end was reached."""
        return self.reader.transport_sha256

    @property
    def md5(self) -> str | None:
        """Of the archive file, once its end was reached."""
        return self.input.digest.hexdigest() if self.is_whole else None

    def close(self) -> None:
        """End the reading ahead; the stream stays open."""
        self.reader.close()

    def members(self) -> Iterator[LegacyMember]:
        """Yield each regular file that may be taken, in the archive's order.

        Raises:
            UnavailableError: The stream cannot be read.
        """
        try:
            while (header := self._read_next_header()) is not None:
                yield from self._read_member(header)
            self._read_end()
            self.listen(self.input.size)
        except DamagedError as damage:
            self.findings.append(damage.finding)

    def _read_next_header(self) -> FoundHeader | None:
        """Read a header, or None at the end marks."""
        self.reader.place = self.source
        if len(self.findings) > MAX_FINDINGS:
            raise self.reader.damage(FindingClass.TRUNCATED, expected=None, found="too many findings to go on")
        self._require_modest()
        header = read_header(self.reader)
        if header is None:
            return None
        if header.damage:
            raise self.reader.damage(FindingClass.NOT_CANONICAL, expected="a tar header", found=header.damage)
        if header.disputed:
            raise self.reader.damage(
                FindingClass.NOT_CANONICAL, expected="a header that every reader reads the same", found=header.disputed
            )
        # Legal PAX, but one header at the beginning could give every later member another name or size.
        if moving := header.global_names & PLACING_NAMES:
            found = f"a global header that sets {', '.join(sorted(moving))} of every later member"
            raise self.reader.damage(FindingClass.NOT_CANONICAL, expected="a header of its own", found=found)
        self._num_members += 1
        if self._num_members > self.limits.members:
            expected = f"at most {self.limits.members} members"
            raise self.reader.damage(FindingClass.TOO_LARGE, expected=expected, found="more")
        return header

    def _read_member(self, header: FoundHeader) -> Iterator[LegacyMember]:
        """Yield the member if it is a file that may be taken; read past its content in any case."""
        path = strip_dot_folder(header.name)
        self.reader.place = printable(path or header.name)
        is_taken = self._is_acceptable(header, path=path)
        if header.kind == DIRECTORY:
            return
        sha256, md5 = hashlib.sha256(), hashlib.md5(usedforsecurity=False)
        # A migrated bundle has sha256 digests; the published lists give md5 only. One pass gives both.
        chunks = self._content.chunks(header.content_size, digests=(sha256, md5))
        if is_taken:
            yield LegacyMember(path=path, size=header.size, chunks=chunks)
        self._content.exhaust(chunks)
        if any(self.reader.read_exactly(len(make_padding(header.content_size)))):
            self._report(FindingClass.NOT_CANONICAL, expected="zeros as padding", found="data")
        if is_taken:
            self.files.append(LegacyFile(path=path, size=header.size, md5=md5.hexdigest(), sha256=sha256.hexdigest()))

    def _is_acceptable(self, header: FoundHeader, *, path: str) -> bool:
        """Whether it is a file or folder that may be taken; report why another may not."""
        is_folder = header.kind == DIRECTORY
        if header.kind not in REGULAR_KINDS and not is_folder:
            self._report(FindingClass.WRONG_TYPE, expected="a file or a folder", found=header.describe())
        elif any(name.startswith(SPARSE_PREFIX) for name in header.overrides):
            self._report(FindingClass.WRONG_TYPE, expected="a file or a folder", found="a sparse file (PAX)")
        elif is_folder and header.size:
            raise self.reader.damage(
                FindingClass.WRONG_TYPE, expected="a folder", found=f"a folder with {header.size} bytes of content"
            )
        elif is_folder and not path:
            return True
        elif PurePosixPath(path).name == FOLDER_COMPANION:
            if self._is_safe(path.removesuffix(FOLDER_COMPANION) + "x"):
                self.passed_over.append(path)
        else:
            return self._is_safe(path) and self._is_new(path, is_file=not is_folder)
        return False

    def _is_safe(self, path: str) -> bool:
        """Whether the path names the same place inside on every system; report it otherwise."""
        try:
            require_inside_bundle(path)
        except ValueError as error:
            self._report(FindingClass.UNSAFE_NAME, expected="a portable path", found=printable(str(error)))
            return False
        return True

    def _is_new(self, path: str, *, is_file: bool) -> bool:
        """Whether no system takes the path, or a folder above it, for something that came before; report otherwise."""
        above = [str(folder) for folder in PurePosixPath(path).parents if str(folder) != "."]
        for name, names_file in [*((folder, False) for folder in reversed(above)), (path, is_file)]:
            spelling, was_file = self._kinds_by_name.setdefault(fold(name), (name, names_file))
            is_first = spelling is name
            if not is_first and (spelling != name or was_file or names_file):
                found = f"{name} after the {'file' if was_file else 'folder'} {spelling}"
                self._report(FindingClass.DUPLICATE, expected="names that differ on every system", found=found)
                return False
        return True

    def _take_stock(self) -> None:
        """Say how much of the archive was read, and raise if it has become a bomb."""
        self.listen(self.input.size)
        self._require_modest()

    def _require_modest(self) -> None:
        """Raise if the archive has become a bomb."""
        size, limits = self.reader.position, self.limits
        if size > limits.total_bytes:
            expected = f"at most {limits.total_bytes} bytes of tar"
            raise self.reader.damage(FindingClass.TOO_LARGE, expected=expected, found="more")
        if size > max(limits.free_bytes, limits.ratio * self.input.size):
            expected = f"at most {limits.ratio} times the compressed size"
            found = f"{size} bytes from {self.input.size}"
            raise self.reader.damage(FindingClass.TOO_LARGE, expected=expected, found=found)

    def _read_end(self) -> None:
        """Require zeros that may fill a tape record, and nothing after them."""
        self.reader.place = self.source
        size = BLOCK_BYTES
        while chunk := self.reader.read(CHUNK_BYTES):
            size += len(chunk)
            if any(chunk):
                expected, found = "nothing but zeros after the end marks", "data"
                raise self.reader.damage(FindingClass.TRAILING_BYTES, expected=expected, found=found)
            if size > MAX_TAPE_PADDING:
                expected = f"at most {MAX_TAPE_PADDING} zeros at the end"
                raise self.reader.damage(FindingClass.TRAILING_BYTES, expected=expected, found="more")
        if size < len(END_OF_ARCHIVE) or size % BLOCK_BYTES:
            self._report(FindingClass.TRUNCATED, expected="two zero blocks at the end", found=f"{size} zeros")

    def _report(self, kind: FindingClass, *, expected: str | None, found: str | None) -> None:
        """Add a finding of the member that is being read."""
        found = None if found is None else printable(found)
        self.findings.append(Finding(finding_class=kind, path=self.reader.place, expected=expected, found=found))


def strip_dot_folder(name: str) -> str:
    """Return a member's name without the leading `./` that `tar czf X .` writes; the folder itself has none left."""
    while name.startswith("./"):
        name = name[2:]
    return "" if name == "." else name


@contextmanager
def open_legacy(
    path: Path | ByteSource,
    *,
    limits: LegacyLimits = DEFAULT_LIMITS,
    listen: Callable[[int], None] = ignore_position,
) -> Iterator[LegacyWalker]:
    """Open an archive for one walk in the tolerant profile.

    Args:
        path: The archive.
        limits: Beyond them, it is taken for a bomb.
        listen: Hears during the walk how many bytes of the archive file were read.

    Raises:
        MissingPathError: There is no such file.
        UnavailableError: It cannot be read.
    """
    if isinstance(path, ByteSource):
        with (
            path.open() as remote,
            closing(LegacyWalker(remote, source=path.place, limits=limits, listen=listen)) as walker,
        ):
            yield walker
        return
    with (
        open_stream(path) as stream,
        closing(LegacyWalker(stream, source=str(path), limits=limits, listen=listen)) as walker,
    ):
        yield walker


def show_reading(path: Path | ByteSource, activity: str, *, voice: Voice) -> Callable[[int], None]:
    """Return a listener for `open_legacy` that shows progress; of an archive elsewhere the size is not known."""
    if isinstance(path, ByteSource) or not path.is_file():
        return ignore_position
    return ByteProgress(activity, total=path.stat().st_size, voice=voice).reach
