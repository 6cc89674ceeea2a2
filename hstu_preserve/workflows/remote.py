"""Targets on the Hub: read where they are, or fetched into the cache where the work needs a file."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath

from hstu_preserve.errors import UnavailableError
from hstu_preserve.hub.remote_stream import open_remote
from hstu_preserve.primitives.byte_sources import ByteSource
from hstu_preserve.records.downloads import DigestKind, PublishedFile
from hstu_preserve.workflows.expectations import find_in_catalog, require_expected, require_identity
from hstu_preserve.workflows.legacy import LIST_NAME
from hstu_preserve.workflows.listed_files import FilePlace
from hstu_preserve.workflows.progress import Announcer, Listener, Progress, ignore
from hstu_preserve.workflows.published import Published, find_kept, open_published, require_agreement
from hstu_preserve.workflows.signing import SIGNATURE_SUFFIX
from hstu_preserve.workflows.targets import LocalTarget, RemoteTarget, locate_bundle, resolve_target


@dataclass(frozen=True, kw_only=True)
class FoundFile:
    """A file of a repository at one commit."""

    published: Published
    file: PublishedFile

    def find_companion(self, path: str) -> Path | None:
        """Return another, small file of the repository on this machine, None where there is none."""
        companion = self.published.snapshot.find(path)
        return self.published.obtain(companion).place if companion is not None else None


def find_file(target: RemoteTarget) -> FoundFile:
    """Return the file that an address names.

    Raises:
        UnavailableError: The repository cannot be asked, or holds no such file.
    """
    published = open_published(target.repository, revision=target.revision)
    file = published.snapshot.find(target.path)
    if file is None:
        raise UnavailableError(
            f"{target.text}: {target.repository} holds no {target.path} at commit {published.snapshot.commit}"
        )
    return FoundFile(published=published, file=file)


@dataclass(frozen=True, kw_only=True)
class OpenedTarget:
    """A file on the Hub that can be read.

    Attributes:
        content: From the cache where it is there.
        digest_list: What may vouch for it, on this machine; None where the repository has no list.
        place: Where it lies as seen from the list.
    """

    content: Path | ByteSource
    digest_list: Path | None
    place: FilePlace


def open_target(target: RemoteTarget, *, announce: Announcer) -> OpenedTarget:
    """Return how to read a file on the Hub, and the list that may vouch for it.

    Raises:
        ContentError: It is not what the catalog says of it.
        UnavailableError: It cannot be asked for.
    """
    found = find_file(target)
    if found.published.notice is not None:
        announce(found.published.notice)
    here, published = found.published.find_here(found.file), found.published
    source = ByteSource(
        name=PurePosixPath(target.path).name,
        place=target.text,
        open=partial(open_remote, found.file, hub=published.hub, snapshot=published.snapshot, policy=published.policy),
    )
    require_catalogued(found, source=source, here=here)
    return OpenedTarget(
        content=here or source,
        digest_list=found.find_companion(LIST_NAME),
        place=FilePlace(path=found.file.path, others={file.path for file in published.snapshot.files} - {target.path}),
    )


def require_catalogued(found: FoundFile, *, source: ByteSource, here: Path | None) -> None:
    """Raise where a file that will be read where it is, or was kept, is not what the catalog says.

    Whoever reads it on the Hub gets the bytes that the Hub lists, or an error: its digest is held against the
    catalog's. What is outside LFS has none of the same kind, and is fetched.
    """
    expected = find_in_catalog(found.published.snapshot.repository, found.file.path)
    if here is not None:
        require_expected(here, expected, source=source.place)
    elif expected.listed and found.file.kind is not DigestKind.SHA256:
        found.published.obtain(found.file, expected=expected)
    else:
        require_agreement(found.file, expected.listed)
        require_identity(source, expected.identity, source=source.place)


def fetch_missing(text: str, *, announce: Announcer, listener: Listener = ignore) -> None:
    """Bring the bundle that a target names into the cache if it is not on this machine, after saying how much it is.

    Raises:
        UsageError: It has no bundle.
        ContentError: It is not what the digests say.
        UnavailableError: It cannot be fetched.
    """
    target = resolve_target(text)
    if isinstance(target, LocalTarget):
        return
    remote = locate_bundle(target)
    if find_kept(remote.repository, remote.path, revision=remote.revision) is not None:
        return
    found = find_file(remote)
    if found.published.notice is not None:
        announce(found.published.notice)
    missing = found.published.count_missing(found.file)
    found.published.cache.require_space(missing)
    if missing:
        announce(f"{text}: fetching {missing} bytes of {remote.path} from {remote.repository}")
    counter, expected = Counter(found.file, listener=listener), found.published.expect(found.file)
    for one in found.published.lists.values():
        if one.problem is not None:
            announce(f"{one.problem}; it names nothing that was wanted, and is passed over")
    found.published.obtain(found.file, expected=expected, listen=counter.add)
    found.find_companion(f"{remote.path}{SIGNATURE_SUFFIX}")


class Counter:
    """Tells a listener how much of one file is here."""

    def __init__(self, file: PublishedFile, *, listener: Listener) -> None:
        self.file, self.listener, self.completed = file, listener, 0

    def add(self, num_bytes: int) -> None:
        """Count bytes."""
        self.completed += num_bytes
        progress = Progress(activity=self.file.path, completed=self.completed, total=self.file.size, figures={})
        self.listener(progress)
