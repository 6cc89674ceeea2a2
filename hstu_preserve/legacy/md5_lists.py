"""Find and read the list of digests that a legacy archive is looked up in."""

from dataclasses import dataclass
from pathlib import Path

from hstu_preserve.digest_lists.digest_list import LIST_NAME, MAX_LIST_BYTES, DigestList
from hstu_preserve.digest_lists.matching import FilePlace, find_listing, locate
from hstu_preserve.digest_lists.parsing import parse_list
from hstu_preserve.errors import ContentError
from hstu_preserve.primitives.byte_sources import ByteSource
from hstu_preserve.primitives.digests import sha256_of_bytes
from hstu_preserve.primitives.files import read_small
from hstu_preserve.records.legacy.outcomes import ListedFile


@dataclass(frozen=True, kw_only=True)
class Md5List:
    """A list that gives digests of archives.

    Attributes:
        path: Where it is.
        sha256: Of the bytes that the digests were read from.
        digests: Its entries.
    """

    path: Path | ByteSource
    sha256: str
    digests: DigestList

    def find(self, archive: Path | ByteSource, *, place: FilePlace | None) -> ListedFile | None:
        """Return the entry of an archive; None if the list has none.

        Args:
            archive: The archive.
            place: Where the archive lies as seen from the list; None if both are on this machine.

        Raises:
            ContentError: Several entries are about the archive and contradict each other.
        """
        return find_listing(place or self.locate(archive), self.digests)

    def locate(self, archive: Path | ByteSource) -> FilePlace:
        """Return where an archive lies as seen from this list."""
        if isinstance(archive, Path) and isinstance(self.path, Path):
            return locate(archive, digest_list=self.path)
        return FilePlace(path=archive.name)


def read_md5_list(archive: Path | ByteSource, md5_list: Path | ByteSource | None) -> Md5List | None:
    """Return the list that the user named, else the one beside the archive; None if there is none with digests.

    Raises:
        ContentError: The named list holds no digest, or a list contradicts itself.
    """
    chosen = md5_list or find_list_beside(archive)
    if chosen is None:
        return None
    content = read_content(chosen)
    digests = parse_list(content, source=str(chosen))
    if digests.files:
        return Md5List(path=chosen, sha256=sha256_of_bytes(content), digests=digests)
    # Somebody's MANIFEST.md may be about something else. A list that the user named must serve.
    if md5_list is not None and (isinstance(md5_list, Path) or md5_list.name != LIST_NAME):
        raise ContentError(f"{chosen}: no line gives a file's md5")
    return None


def find_list_beside(archive: Path | ByteSource) -> Path | None:
    """Return the `MANIFEST.md` in the folder of an archive on this machine; None if there is none."""
    if not isinstance(archive, Path):
        return None
    beside = archive.parent / LIST_NAME
    return beside if beside.is_file() else None


def read_content(source: Path | ByteSource) -> bytes:
    """Return all bytes of a list here or elsewhere.

    Raises:
        MissingPathError: There is no such file.
        ContentError: It is larger than a list may be.
        UnavailableError: It cannot be read.
    """
    if isinstance(source, Path):
        return read_small(source, max_bytes=MAX_LIST_BYTES)
    if source.size > MAX_LIST_BYTES:
        raise ContentError(f"{source}: larger than the {MAX_LIST_BYTES} bytes that are read of it")
    with source.open() as stream:
        return stream.read()
