"""Record the files that the Hub has, the files that were fetched from it, and who vouched for their bytes."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from hstu_preserve.errors import worst_exit_code
from hstu_preserve.primitives.digests import Sha256
from hstu_preserve.primitives.numbers import NaturalInt
from hstu_preserve.primitives.paths import BundlePath
from hstu_preserve.records.record import CheckedRecord, Record

CommitHash = Annotated[str, Field(pattern=r"^[0-9a-f]{40}$")]
SIGNED = "a signature lies beside it, which this did not check"


class DigestKind(StrEnum):
    """How a digest is made of a file's content."""

    SHA256 = "sha256"
    MD5 = "md5"
    GIT_BLOB = "git-blob"
    """The sha1 that git gives a file outside LFS."""


class KnownDigest(Record):
    """A digest that the bytes must have, and who says so."""

    kind: DigestKind
    hex: str
    source: str


class PublishedFile(Record):
    """A file of a repository, as the Hub lists it."""

    path: str
    size: Annotated[int, Field(ge=0, le=2**53 - 1)]
    etag: Annotated[str, Field(pattern=r"^[0-9a-f]{40}([0-9a-f]{24})?$")]
    """What the Hub names the content by: sha256 in LFS, else the git blob's sha1."""
    kind: DigestKind

    @property
    def known(self) -> KnownDigest:
        """What the Hub's own listing says of the content."""
        return KnownDigest(kind=self.kind, hex=self.etag, source="the Hub's metadata")


class Snapshot(Record):
    """A repository at one commit."""

    repository: str
    commit: CommitHash
    files: tuple[PublishedFile, ...]

    def find(self, path: str) -> PublishedFile | None:
        """Return the file at a path, None where there is none."""
        return next((file for file in self.files if file.path == path), None)


class Receipt(Record):
    """A file that was fetched whole and compared."""

    repository: str
    commit: CommitHash
    path: BundlePath
    size: NaturalInt
    sha256: Sha256
    vouched: tuple[KnownDigest, ...]
    """Every digest that the bytes were compared with, and have."""
    mtime_ns: Annotated[str, Field(pattern=r"^-?[0-9]+$")] | None = None
    """When the file was last written, as its disk has it; another time may mean that somebody changed it.

    In digits, as the numbers of JSON end before it; None where it was not noted."""


class DownloadedFile(Record):
    """One file of a download, or why it is not here."""

    target: str
    """The id or path that asked for it."""
    path: str
    size: NaturalInt | None
    received: NaturalInt
    """Bytes that came over the network in this call; 0 where the file was already here."""
    place: str | None
    """Where it lies; None in a dry run and after an error."""
    receipt: Receipt | None
    note: str | None
    """Why it has no place, though nothing failed."""
    error: str | None
    exit_code: int


class DownloadReport(CheckedRecord):
    """What `download` did, or would do."""

    repository: str
    commit: CommitHash
    is_dry_run: bool
    files: tuple[DownloadedFile, ...]
    missing_bytes: NaturalInt
    """What was not here when the call began."""
    notice: str | None
    """That the Hub could not be asked and the commit may be an old one."""
    notes: tuple[str, ...]
    """What was left out, or passed over."""

    @property
    def exit_code(self) -> int:
        """The lowest of 3 to 6 that occurred, else 2 where that occurred, else 0."""
        return worst_exit_code(file.exit_code for file in self.files)
