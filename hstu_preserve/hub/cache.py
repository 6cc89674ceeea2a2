"""What was fetched, by digest: nothing is fetched twice, and it can be worked on without a network.

objects/<sha256>                                     contents, read-only
parts/<etag>.part, .json                             what is not whole yet
repositories/<owner>--<name>/refs/<revision>         the commit that a branch or tag last meant
repositories/<owner>--<name>/<commit>/snapshot.json  what the Hub listed there
repositories/<owner>--<name>/<commit>/receipts/…     what was fetched of it, and who vouched
repositories/<owner>--<name>/<commit>/files/…        the same contents under their names
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from urllib.parse import quote

from hstu_preserve.errors import ContentError
from hstu_preserve.hub.disk_space import require_space
from hstu_preserve.hub.partial_files import PartialFile, open_partial
from hstu_preserve.hub.second_names import give
from hstu_preserve.primitives.files import write_atomically
from hstu_preserve.primitives.paths import require_inside_bundle
from hstu_preserve.records.downloads import DigestKind, PublishedFile, Receipt, Snapshot


class Cache:
    """A folder of fetched files."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def folder(self, repository: str) -> Path:
        """Return where everything of a repository is."""
        return self.root / "repositories" / repository.replace("/", "--")

    def write_snapshot(self, snapshot: Snapshot, *, revision: str) -> None:
        """Remember what a revision meant and what was there."""
        folder = self.folder(snapshot.repository)
        write_atomically(folder / snapshot.commit / "snapshot.json", snapshot.to_json())
        write_atomically(folder / "refs" / quote(revision, safe=""), snapshot.commit.encode())

    def read_snapshot(self, repository: str, *, revision: str) -> Snapshot | None:
        """Return what a revision meant when it was last asked for, None where it never was."""
        folder = self.folder(repository)
        ref = folder / "refs" / quote(revision, safe="")
        commit = ref.read_text(encoding="ascii") if ref.is_file() else revision
        try:
            content = (folder / quote(commit, safe="") / "snapshot.json").read_bytes()
            return Snapshot.from_json(content, source=f"{repository}@{revision}")
        except (OSError, ContentError):  # absent, or damaged and so asked for again
            return None

    def find(self, repository: str, commit: str, path: str) -> Path | None:
        """Return where a fetched file lies, None where it was not fetched or has another size since."""
        receipt = self.read_receipt(repository, commit, path)
        place = self.folder(repository) / commit / "files" / require_safe(path)
        is_here = receipt is not None and place.is_file() and place.stat().st_size == receipt.size
        return place if is_here else None

    def read_receipt(self, repository: str, commit: str, path: str) -> Receipt | None:
        """Return what is known of a fetched file."""
        place = self.receipt_path(repository, commit, path)
        try:
            return Receipt.from_json(place.read_bytes(), source=str(place))
        except (OSError, ContentError):
            return None

    def receipt_path(self, repository: str, commit: str, path: str) -> Path:
        """Return where a file's receipt lies."""
        return self.folder(repository) / commit / "receipts" / f"{require_safe(path)}.json"

    def find_content(self, file: PublishedFile) -> Path | None:
        """Return a content that was fetched under whatever name, None where it was not."""
        place = self.root / "objects" / file.etag
        return place if file.kind is DigestKind.SHA256 and place.is_file() else None

    def open_part(
        self, file: PublishedFile, *, pause: Callable[[float], None], announce: Callable[[str], None]
    ) -> AbstractContextManager[PartialFile]:
        """Open what there is of a file; the same content is the same part, whatever its name."""
        return open_partial(self.part_path(file), pause=pause, announce=announce)

    def part_path(self, file: PublishedFile) -> Path:
        """Return where what is not whole yet lies."""
        return self.root / "parts" / f"{quote(file.etag, safe='')}.part"

    def count_partial_bytes(self, file: PublishedFile) -> int:
        """Return how much of a file an earlier run left."""
        path = self.part_path(file)
        return min(path.stat().st_size, file.size) if path.is_file() else 0

    def keep(self, part: PartialFile, receipt: Receipt) -> Path:
        """Give a whole and right file its names."""
        place = self.root / "objects" / receipt.sha256
        part.move_to(place)
        return self.name(place, receipt)

    def name(self, place: Path, receipt: Receipt) -> Path:
        """Give an object the name that it has in a repository."""
        named = self.folder(receipt.repository) / receipt.commit / "files" / receipt.path
        give(place, named, sha256=receipt.sha256)
        write_atomically(self.receipt_path(receipt.repository, receipt.commit, receipt.path), receipt.to_json())
        return named

    def require_space(self, num_bytes: int) -> None:
        """Raise UnavailableError where the disk cannot take so many bytes more."""
        require_space(self.root, num_bytes, advice="make room, or name another disk with HF_HOME")


def require_safe(path: str) -> str:
    """Return a repository's path if it may become a path here.

    Raises:
        ContentError: It would lead out of the folder, or be another name elsewhere.
    """
    try:
        return require_inside_bundle(path)
    except ValueError as error:
        raise ContentError(f"the repository holds a file of an unsafe name: {error}") from None
