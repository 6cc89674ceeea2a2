"""Choose the files of a bundle's commit: bundle, what lies beside it and card, unless they are there already."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from hstu_preserve.hub.commits import LocalFile, is_published
from hstu_preserve.primitives.digests import sha256_of_bytes
from hstu_preserve.records.downloads import PublishedFile, Snapshot

CARD = "README.md"


@dataclass(frozen=True, kw_only=True)
class Change:
    """The files of one commit; if it is empty, no commit is made.

    Attributes:
        files: To be added or replaced.
        deletions: Paths that go.
    """

    files: tuple[LocalFile, ...]
    deletions: tuple[str, ...]

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to push."""
        return not self.files and not self.deletions


def find_change(wanted: Sequence[LocalFile], *, stale: Collection[str], present: Mapping[str, PublishedFile]) -> Change:
    """Return the change that publishes a bundle, without the card.

    Args:
        wanted: The bundle and what lies beside it.
        stale: Paths of what would be about bytes that go.
        present: What is in the repository, by path.
    """
    files = tuple(file for file in wanted if not is_published(file, present.get(file.path)))
    return Change(files=files, deletions=tuple(path for path in stale if path in present))


def make_file(path: str, content: bytes) -> LocalFile:
    """Return a small file whose content is in memory."""
    return LocalFile(path=path, content=content, size=len(content), sha256=sha256_of_bytes(content))


def list_archives(snapshot: Snapshot, *, suffixes: Sequence[str]) -> list[PublishedFile]:
    """Return the files at the root of a repository that may be bundles."""
    return [file for file in snapshot.files if "/" not in file.path and file.path.endswith(tuple(suffixes))]
