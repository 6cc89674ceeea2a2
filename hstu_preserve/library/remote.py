"""Targets on the Hub: read where they are, or fetched into the cache where the work needs a file."""

import io
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath

from hstu_preserve.digest_lists.matching import FilePlace
from hstu_preserve.errors import UnavailableError
from hstu_preserve.hub.remote_stream import open_remote
from hstu_preserve.legacy.md5_lists import LIST_NAME
from hstu_preserve.library.kept import find_kept, find_same
from hstu_preserve.library.published import Published, open_published, require_agreement
from hstu_preserve.library.targets import REMOTE_PREFIX, LocalTarget, RemoteTarget, locate_bundle, resolve_target
from hstu_preserve.library.vouching import find_in_catalog, require_expected, require_identity
from hstu_preserve.primitives.byte_sources import ByteSource
from hstu_preserve.primitives.voice import Progress, Voice
from hstu_preserve.records.downloads import DigestKind, PublishedFile, Receipt
from hstu_preserve.records.signature import SIGNATURE_SUFFIX


@dataclass(frozen=True, kw_only=True)
class FoundFile:
    """A file of a repository at one commit."""

    published: Published
    file: PublishedFile


@dataclass(frozen=True, kw_only=True)
class OpenedTarget:
    """A file on the Hub, to be read.

    Attributes:
        content: From the cache where it is there, else where it is.
        digest_list: What may vouch for it; None where the repository has no list.
        place: Where it lies as seen from the list.
        receipt: What it was when it was fetched; None where it was not.
    """

    content: Path | ByteSource
    digest_list: ByteSource | None
    place: FilePlace
    receipt: Receipt | None


def find_file(target: RemoteTarget, *, voice: Voice) -> FoundFile:
    """Return the file that an address names.

    Raises:
        UnavailableError: The repository cannot be asked, or holds no such file.
    """
    published = open_published(target.repository, revision=target.revision, voice=voice)
    if published.notice is not None:
        voice.say(published.notice)
    return find_in(published, target)


def find_in(published: Published, target: RemoteTarget) -> FoundFile:
    """Return the file of a repository that an address names.

    Raises:
        UnavailableError: There is none.
    """
    file = published.snapshot.find(target.path)
    if file is None:
        raise UnavailableError(
            f"{target.text}: {target.repository} holds no {target.path} at commit {published.snapshot.commit}"
        )
    return FoundFile(published=published, file=file)


def open_target(target: RemoteTarget, *, voice: Voice) -> OpenedTarget:
    """Return how to read a file on the Hub; nothing is kept but, where that can be, what the revision means.

    Raises:
        ContentError: The file is not what the catalog says of it, or what is here was changed since it was fetched and
            the Hub does not answer.
        UnavailableError: The repository cannot be asked, or holds no such file.
    """
    found = find_file(target, voice=voice)
    published = found.published
    published.remember()
    kept = (
        find_kept(target.repository, target.path, revision=target.revision)
        if published.is_unanswered
        else find_same(published.snapshot, target.path)
    )
    if kept is not None and kept.notice is not None:
        voice.say(kept.notice)
    source = ByteSource(
        name=PurePosixPath(target.path).name,
        place=target.text,
        open=partial(open_remote, found.file, hub=published.hub, snapshot=published.snapshot, policy=published.policy),
    )
    require_catalogued(found, source=source, here=kept.place if kept else None)
    return OpenedTarget(
        content=kept.place if kept else source,
        digest_list=open_list(published),
        place=FilePlace(path=found.file.path, others={file.path for file in published.snapshot.files} - {target.path}),
        receipt=kept.receipt if kept else None,
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


def open_list(published: Published) -> ByteSource | None:
    """Return how to read the list of a repository, None where it has none."""
    file = published.snapshot.find(LIST_NAME)
    if file is None:
        return None
    content = published.read(file)
    place = f"{REMOTE_PREFIX}{published.snapshot.repository}@{published.snapshot.commit}/{LIST_NAME}"
    return ByteSource(name=LIST_NAME, place=place, open=lambda: nullcontext(io.BytesIO(content)))


def fetch_missing(text: str, *, voice: Voice) -> None:
    """Bring the bundle that a target names into the cache if it is not on this machine, after saying how much it is.

    A branch is resolved anew; where the Hub cannot say what it means, what is here is used.

    Raises:
        UsageError: It has no bundle.
        ContentError: It is not what the digests say.
        UnavailableError: It cannot be fetched.
    """
    target = resolve_target(text)
    if isinstance(target, LocalTarget):
        return
    remote = locate_bundle(target)
    published = open_or_use_kept(remote, voice=voice)
    if published is None:
        return
    published.remember()
    found = find_in(published, remote)
    missing = published.count_missing(found.file)
    published.cache.require_space(missing)
    if missing:
        voice.say(f"{text}: fetching {missing} bytes of {remote.path} from {remote.repository}")
    if missing or published.find_here(found.file) is None:
        counter, expected = Counter(found.file, voice=voice), published.expect(found.file)
        for one in published.lists.values():
            if one.problem is not None:
                voice.say(f"{one.problem}; it names nothing that was wanted, and is passed over")
        published.obtain(found.file, expected=expected, listen=counter.add)
    fetch_companions(found)


def open_or_use_kept(remote: RemoteTarget, *, voice: Voice) -> Published | None:
    """Return the repository at the commit that the Hub names now; None where what is here has to do.

    Raises:
        ContentError: What is here was changed since it was fetched, and cannot be fetched again.
        UnavailableError: The Hub cannot be asked, and the bundle is not here.
    """
    try:
        published = open_published(remote.repository, revision=remote.revision, voice=voice)
    except UnavailableError as error:
        if find_kept(remote.repository, remote.path, revision=remote.revision) is None:
            raise
        voice.say(f"{error}; used what is on this machine")
        return None
    if published.notice is not None:
        voice.say(published.notice)
    if published.is_unanswered:
        return None if find_kept(remote.repository, remote.path, revision=remote.revision) else published
    if not published.is_remembered:
        voice.say(f"{remote.text}: {published.revision} is commit {published.snapshot.commit} of {remote.repository}")
    return published


def fetch_companions(found: FoundFile) -> None:
    """Bring the signature and the list of a file here; it can be worked on without them, so an error is only said.

    Raises:
        ContentError: One is not what the Hub lists, or was changed here and cannot be fetched again.
    """
    published = found.published
    for path in (LIST_NAME, f"{found.file.path}{SIGNATURE_SUFFIX}"):
        companion = published.snapshot.find(path)
        if companion is None or published.find_here(companion) is not None:
            continue
        try:
            published.obtain(companion)
        except UnavailableError as error:
            published.voice.say(f"{error}; going on without it")


def fetch_signature(bundle: LocalTarget, *, voice: Voice) -> None:
    """Bring the signature of a fetched bundle, too, for whoever needs to know who signed.

    Raises:
        UnavailableError: There is one and it cannot be fetched, or nobody can say whether there is one.
        ContentError: It is not what the Hub lists.
    """
    if bundle.receipt is None:
        return
    receipt = bundle.receipt
    published = open_published(receipt.repository, revision=receipt.commit, voice=voice)
    signature = published.snapshot.find(f"{receipt.path}{SIGNATURE_SUFFIX}")
    if signature is not None and published.find_here(signature) is None:
        published.obtain(signature)


class Counter:
    """Shows how much of one file is here."""

    def __init__(self, file: PublishedFile, *, voice: Voice) -> None:
        self.file, self.voice, self.completed = file, voice, 0

    def add(self, num_bytes: int) -> None:
        """Count bytes."""
        self.completed += num_bytes
        progress = Progress(activity=self.file.path, completed=self.completed, total=self.file.size, in_bytes=True)
        self.voice.show(progress)
