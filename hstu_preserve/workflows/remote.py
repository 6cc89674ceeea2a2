"""Targets on the Hub: read where they are, or fetched into the cache where the work needs a file."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath

from hstu_preserve.errors import UnavailableError
from hstu_preserve.hub.remote_stream import open_remote
from hstu_preserve.primitives.byte_sources import ByteSource
from hstu_preserve.records.downloads import PublishedFile
from hstu_preserve.workflows.kept import find_kept
from hstu_preserve.workflows.legacy import LIST_NAME
from hstu_preserve.workflows.progress import Announcer, Listener, Progress, ignore
from hstu_preserve.workflows.published import Published, open_published
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


def find_file(target: RemoteTarget, *, announce: Announcer) -> FoundFile:
    """Return the file that an address names.

    Raises:
        UnavailableError: The repository cannot be asked, or holds no such file.
    """
    published = open_published(target.repository, revision=target.revision, announce=announce)
    file = published.snapshot.find(target.path)
    if file is None:
        raise UnavailableError(
            f"{target.text}: {target.repository} holds no {target.path} at commit {published.snapshot.commit}"
        )
    return FoundFile(published=published, file=file)


def open_target(target: RemoteTarget, *, announce: Announcer) -> tuple[Path | ByteSource, Path | None]:
    """Return how to read a file on the Hub, from the cache where it is there, and the list that may vouch for it."""
    found = find_file(target, announce=announce)
    if found.published.notice is not None:
        announce(found.published.notice)
    here, published = found.published.find_here(found.file), found.published
    source = ByteSource(
        name=PurePosixPath(target.path).name,
        place=target.text,
        open=partial(open_remote, found.file, hub=published.hub, snapshot=published.snapshot, policy=published.policy),
    )
    return here or source, found.find_companion(LIST_NAME)


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
    found = find_file(remote, announce=announce)
    if found.published.notice is not None:
        announce(found.published.notice)
    missing = found.published.count_missing(found.file)
    found.published.cache.require_space(missing)
    if missing:
        announce(f"{text}: fetching {missing} bytes of {remote.path} from {remote.repository}")
    counter = Counter(found.file, listener=listener)
    found.published.obtain(found.file, expected=found.published.expect(found.file), listen=counter.add)
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
