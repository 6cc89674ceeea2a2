"""Keep fetched files by digest, so that nothing is fetched twice and work goes on without a network.

objects/<sha256>                                     contents, read-only
blobs/<git's sha1>                                   those outside LFS, by the name that the Hub lists
parts/<etag>.part, .json                             unfinished downloads
repositories/<owner>--<name>/refs/<revision>         the commit that a branch or tag last meant
repositories/<owner>--<name>/<commit>/snapshot.json  the files that the Hub lists at the commit
repositories/<owner>--<name>/<commit>/receipts/…     the digests of fetched files, and who vouched
repositories/<owner>--<name>/<commit>/files/…        the same contents under their names

The user's files are links to the same contents, so that an editor that writes in place changes the cache, too. Before
a file from here is used, its time of writing is compared with the receipt, and its digest if that time differs.
"""

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from stat import S_ISREG
from urllib.parse import quote

from hstu_preserve.errors import ContentError, UnavailableError
from hstu_preserve.hub.content_digests import hash_file
from hstu_preserve.hub.disk_space import is_there, is_writable, require_space
from hstu_preserve.hub.partial_files import PartialFile, open_partial
from hstu_preserve.hub.repository import find_home
from hstu_preserve.hub.second_names import give
from hstu_preserve.primitives.files import write_atomically
from hstu_preserve.primitives.paths import require_inside_bundle
from hstu_preserve.primitives.voice import Voice
from hstu_preserve.records.downloads import DigestKind, KnownDigest, PublishedFile, Receipt, Snapshot

CACHE_FOLDER = "hstu-preserve"
CONTENT_FOLDERS = {DigestKind.SHA256: "objects", DigestKind.GIT_BLOB: "blobs"}


@dataclass(frozen=True, kw_only=True)
class Copy:
    """A file of the Hub on this machine, and the digests that it had when it was fetched.

    Attributes:
        path: Its path in the cache, which ends with its path in the repository if the cache can be written.
        receipt: Its digests then, and who vouched for them.
        received: Bytes that came over the network for it in this call.
        notice: A sentence saying that it is from another commit than was asked for; None if its content is the same.
    """

    path: Path
    receipt: Receipt
    received: int = 0
    notice: str | None = None

    @cached_property
    def is_intact(self) -> bool:
        """Whether it is unmodified since it was fetched; it is read only if its modification time differs."""
        try:
            found = self.path.stat()
            if not S_ISREG(found.st_mode) or found.st_size != self.receipt.size:
                return False
            return str(found.st_mtime_ns) == self.receipt.mtime_ns or self.has_digest()
        except OSError:
            return False

    def has_digest(self) -> bool:
        """Whether its bytes are those of the receipt."""
        try:
            return hash_file(self.path, kinds=()).digests()[DigestKind.SHA256] == self.receipt.sha256
        except UnavailableError:
            return False

    def describe_change(self) -> str:
        """Say that it was modified since it was fetched, and which command repairs that."""
        name = f"{self.receipt.repository}/{self.receipt.path}"
        return (
            f"{self.path}: changed since it was fetched (sha256 {self.receipt.sha256} then), perhaps through a link "
            f"to it; 'hstu-preserve download hf://{name}' fetches it again"
        )


class Cache:
    """A folder of fetched files."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def folder(self, repository: str) -> Path:
        """Return the folder that holds everything fetched from a repository."""
        return self.root / "repositories" / repository.replace("/", "--")

    def write_snapshot(self, snapshot: Snapshot, *, revision: str) -> None:
        """Remember the commit that a revision resolved to, and the files listed in it."""
        folder = self.folder(snapshot.repository)
        write_atomically(folder / snapshot.commit / "snapshot.json", snapshot.to_json())
        write_atomically(folder / "refs" / quote(revision, safe=""), snapshot.commit.encode())

    def read_snapshot(self, repository: str, *, revision: str) -> Snapshot | None:
        """Return the commit and files that a revision resolved to last time, None if it never was resolved."""
        folder = self.folder(repository)
        ref = folder / "refs" / quote(revision, safe="")
        try:
            commit = ref.read_text(encoding="utf-8") if ref.is_file() else revision
            content = (folder / quote(commit, safe="") / "snapshot.json").read_bytes()
            return Snapshot.from_json(content, source=f"{repository}@{revision}")
        except (OSError, UnicodeError, ContentError):  # absent, or damaged and so asked for again
            return None

    def find(self, repository: str, commit: str, path: str) -> Path | None:
        """Return the path of a fetched file; None if it was not fetched or was modified since."""
        found = self.look_up(repository, commit, path)
        return found.path if found is not None and found.is_intact else None

    def look_up(self, repository: str, commit: str, path: str) -> Copy | None:
        """Return a file that was fetched, even if it was modified since."""
        receipt = self.read_receipt(repository, commit, path)
        place = self.folder(repository) / commit / "files" / require_safe(path)
        return Copy(path=place, receipt=receipt) if receipt is not None else None

    def list_copies(self, repository: str, path: str) -> list[Copy]:
        """Return a file at every commit that it was fetched of, the last fetched first."""
        found: dict[int, list[Copy]] = {}
        for commit in list_names(self.folder(repository)):
            copy = self.look_up(repository, commit, path)
            if copy is not None:
                place = self.receipt_path(repository, commit, path)
                found.setdefault(place.stat().st_mtime_ns, []).append(copy)
        return [one for time in sorted(found, reverse=True) for one in found[time]]

    def read_receipt(self, repository: str, commit: str, path: str) -> Receipt | None:
        """Return the receipt of a fetched file, None if there is none."""
        place = self.receipt_path(repository, commit, path)
        try:
            return Receipt.from_json(place.read_bytes(), source=str(place))
        except (OSError, ContentError):
            return None

    def receipt_path(self, repository: str, commit: str, path: str) -> Path:
        """Return the path of a file's receipt."""
        return self.folder(repository) / commit / "receipts" / f"{require_safe(path)}.json"

    def find_content(self, file: PublishedFile) -> Path | None:
        """Return the path of a file's content if it was fetched, under this name or another; None if it was not."""
        place = self.root / CONTENT_FOLDERS[file.kind] / file.etag
        return place if is_there(place) else None

    def open_part(
        self, file: PublishedFile, *, pause: Callable[[float], None], voice: Voice
    ) -> AbstractContextManager[PartialFile]:
        """Open the bytes of a file that an earlier run left; files of the same content share one part."""
        return open_partial(self.part_path(file), pause=pause, voice=voice)

    def part_path(self, file: PublishedFile) -> Path:
        """Return the path of a file's unfinished download."""
        return self.root / "parts" / f"{quote(file.etag, safe='')}.part"

    def count_partial_bytes(self, file: PublishedFile) -> int:
        """Return how many bytes of a file an earlier run left."""
        path = self.part_path(file)
        return min(path.stat().st_size, file.size) if is_there(path) else 0

    def keep(self, part: PartialFile, receipt: Receipt) -> Copy:
        """Give a whole and right file its names."""
        place = self.root / "objects" / receipt.sha256
        part.move_to(place)
        return self.name(place, receipt)

    def name(self, place: Path, receipt: Receipt) -> Copy:
        """Give an object the name that it has in a repository; in a cache that only others may write it has none."""
        named = self.folder(receipt.repository) / receipt.commit / "files" / receipt.path
        places = (named.parent, self.receipt_path(receipt.repository, receipt.commit, receipt.path).parent)
        if not all(map(is_writable, places)):
            return Copy(path=place, receipt=receipt)
        for one in receipt.vouched:
            if one.kind is DigestKind.GIT_BLOB:
                give(place, self.root / CONTENT_FOLDERS[one.kind] / one.hex, sha256=receipt.sha256)
        give(place, named, sha256=receipt.sha256)
        receipt = receipt.model_copy(update={"mtime_ns": str(named.stat().st_mtime_ns)})
        write_atomically(self.receipt_path(receipt.repository, receipt.commit, receipt.path), receipt.to_json())
        return Copy(path=named, receipt=receipt)

    def require_space(self, num_bytes: int) -> None:
        """Raise UnavailableError if the disk cannot take so many bytes more."""
        require_space(self.root, num_bytes, advice="make room, or name another disk with HF_HOME")


def open_cache() -> Cache:
    """Return the cache beside those of the Hub's other tools, below `HF_HOME`."""
    return Cache(find_home() / CACHE_FOLDER)


def make_receipt(
    file: PublishedFile, *, snapshot: Snapshot, sha256: str, vouched: Iterable[KnownDigest] = ()
) -> Receipt:
    """Return the receipt to keep of a fetched file; if nobody else vouched for it, the Hub's metadata did."""
    return Receipt(
        repository=snapshot.repository,
        commit=snapshot.commit,
        path=file.path,
        size=file.size,
        sha256=sha256,
        vouched=tuple(vouched) or (file.known,),
    )


def list_names(folder: Path) -> list[str]:
    """Return the names in a folder; none if the folder is missing or cannot be read."""
    try:
        return sorted(one.name for one in folder.iterdir())
    except OSError:
        return []


def require_safe(path: str) -> str:
    """Return a repository's path if it may become a path here.

    Raises:
        ContentError: It would lead out of the folder, or be another name elsewhere.
    """
    try:
        return require_inside_bundle(path)
    except ValueError as error:
        raise ContentError(f"the repository holds a file of an unsafe name: {error}") from None
