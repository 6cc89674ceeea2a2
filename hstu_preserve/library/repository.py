"""Open a repository of the Hub at one commit: its files, its lists of digests, and the copies on this machine."""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path

from hstu_preserve.digest_lists.digest_list import MAX_LIST_BYTES
from hstu_preserve.digest_lists.matching import FilePlace, ReadList, read_list
from hstu_preserve.errors import ContentError, UnavailableError, UnreachableError
from hstu_preserve.hub.cache import Cache, open_cache
from hstu_preserve.hub.content_digests import ContentHasher
from hstu_preserve.hub.remote_stream import read_remote
from hstu_preserve.hub.repository import DEFAULT_REVISION, Hub, is_offline
from hstu_preserve.hub.retries import RetryPolicy
from hstu_preserve.library.vouching import Expectation, find_in_catalog
from hstu_preserve.primitives.voice import SILENT, Voice
from hstu_preserve.records.downloads import DigestKind, KnownDigest, PublishedFile, Snapshot

LISTS = ("MANIFEST.md", "SHA256SUMS", "MD5SUMS", "MANIFEST.json")
"""Files of a repository that may give digests of its others."""
NOT_COMPARED = "what it says of other files was not compared"


@dataclass(kw_only=True)
class Repository:
    """A repository of the Hub at one commit, its lists of digests, and the cache of its files.

    Attributes:
        snapshot: The commit, and the files that the Hub lists in it.
        hub: The Hub that holds it.
        cache: The copies on this machine.
        policy: How often, and after which time, a failed request is repeated.
        notice: Why the snapshot may be an old one; None if the Hub answered, or need not be asked.
        voice: Tells the user about the work while it goes on.
        revision: The branch, tag or commit that was asked for.
        is_remembered: Whether the snapshot was read from the cache, because the Hub was not asked or did not answer.
        unread: The lists and signatures that could not be looked at, by path; each with a sentence that says why.
    """

    snapshot: Snapshot
    hub: Hub
    cache: Cache
    policy: RetryPolicy = field(default_factory=RetryPolicy)
    notice: str | None = None
    voice: Voice = SILENT
    revision: str = DEFAULT_REVISION
    is_remembered: bool = False
    unread: dict[str, str] = field(default_factory=dict)

    @property
    def is_unanswered(self) -> bool:
        """Whether the Hub is not asked or does not answer, so that only the copies on this machine can be used."""
        return self.notice is not None or is_offline()

    @cached_property
    def lists(self) -> dict[str, ReadList]:
        """The lists of digests that the repository holds, by name; each is read, but not kept.

        Those that cannot be looked at are in `unread` instead.
        """
        contents = {name: self.read_digest_list(name) for name in LISTS}
        return {name: read_list(content, name=name) for name, content in contents.items() if content is not None}

    def read_digest_list(self, name: str) -> bytes | None:
        """Return the content of a list of digests; None if there is none, or it cannot be looked at (see `unread`).

        What is on this machine can be worked on without a list that nobody can be asked for: its bytes were compared
        with the Hub's digest when they were fetched, and with every list that named them.

        Raises:
            ContentError: It does not have the digest that the Hub lists.
            UnavailableError: The Hub answers, but does not give it.
        """
        file = self.snapshot.find(name)
        if file is None:
            return None
        if file.size > MAX_LIST_BYTES:
            why = f"{file.size} bytes, and a list is read up to {MAX_LIST_BYTES}"
            self.unread[name] = f"{self.snapshot.repository}/{name}: {why}; {NOT_COMPARED}"
            return None
        try:
            return self.read(file)
        except UnreachableError as error:
            if not (self.is_unanswered or self.is_remembered):
                raise
            source = f"{self.snapshot.repository}/{name}: "
            self.unread[name] = f"{source}{str(error).removeprefix(source)}; {NOT_COMPARED}"
            return None

    def list_passed_over(self) -> Iterator[str]:
        """Yield a sentence for each list or signature that says nothing here: it was not looked at, or is none."""
        for one in self.lists.values():
            if one.notice is not None:
                yield one.notice
        yield from self.unread.values()

    def remember(self) -> None:
        """Remember which commit the revision resolved to, for offline use; ignored if the cache is read-only."""
        if not self.is_remembered:
            with suppress(UnavailableError):
                self.cache.write_snapshot(self.snapshot, revision=self.revision)

    def read(self, file: PublishedFile) -> bytes:
        """Return a small file's content, compared with the Hub's digest; nothing is written.

        Raises:
            ContentError: It does not have the digest that the Hub lists.
            UnavailableError: It is not here and cannot be asked for.
        """
        source = f"{self.snapshot.repository}/{file.path}"
        for place in (self.find_here(file), self.cache.find_content(file)):
            if place is not None and (content := read_if_right(place, file)) is not None:
                return content
        if self.is_unanswered:
            why = "HF_HUB_OFFLINE is set" if is_offline() else "the Hub does not answer"
            raise UnreachableError(f"{source}: {why}, and it is not on this machine yet")
        # What was remembered may do without it: no need to be patient.
        policy = replace(self.policy, attempts_to_connect=1) if self.is_remembered else self.policy
        return read_remote(file, hub=self.hub, snapshot=self.snapshot, policy=policy)

    def list_known(self, file: PublishedFile) -> list[KnownDigest]:
        """Return the digests that the repository's lists give a file.

        Raises:
            ContentError: A list contradicts itself on the file, or names it and cannot be read.
        """
        known = []
        place = FilePlace(path=file.path, others={other.path for other in self.snapshot.files} - {file.path})
        for name, one in self.lists.items():
            listed = one.find(place)
            if listed is not None:
                source = f"{name} ({listed.place}) of {self.snapshot.repository}"
                pairs = ((DigestKind.MD5, listed.md5), (DigestKind.SHA256, listed.sha256))
                known += [KnownDigest(kind=kind, hex=one, source=source) for kind, one in pairs if one]
        return known

    def expect(self, file: PublishedFile) -> Expectation:
        """Return the digests that the repository's lists and the catalog give a file.

        Raises:
            ContentError: A list contradicts itself.
        """
        known = find_in_catalog(self.snapshot.repository, file.path)
        return replace(known, listed=(*self.list_known(file), *known.listed))

    def find_here(self, file: PublishedFile) -> Path | None:
        """Return the file's path in the cache; None if it is not there or was modified since."""
        return self.cache.find(self.snapshot.repository, self.snapshot.commit, file.path)

    def count_missing(self, file: PublishedFile) -> int:
        """Return how many bytes are still to be fetched."""
        is_here = self.find_here(file) or self.cache.find_content(file)
        return 0 if is_here else file.size - self.cache.count_partial_bytes(file)


def open_repository(
    repository: str, *, revision: str | None, policy: RetryPolicy | None = None, voice: Voice = SILENT
) -> Repository:
    """Resolve a revision once; every file of one call comes from that commit.

    If the Hub does not answer the first attempt, and the revision was resolved before, the earlier commit is used.
    Nothing is written; `remember` does that.

    Raises:
        UnavailableError: The Hub cannot be asked, or has no such repository or revision.
    """
    revision, hub, cache, policy = revision or DEFAULT_REVISION, Hub(), open_cache(), policy or RetryPolicy(voice=voice)
    known = cache.read_snapshot(repository, revision=revision)
    make = partial(Repository, hub=hub, cache=cache, voice=voice, revision=revision)
    if known is None:
        return make(snapshot=hub.read_snapshot(repository, revision=revision, policy=policy), policy=policy)
    if known.commit == revision or is_offline():  # a commit never changes
        return make(snapshot=known, policy=policy, is_remembered=True)
    policy = replace(policy, attempts_to_connect=1)  # the remembered commit will do: no need to be patient
    try:
        return make(snapshot=hub.read_snapshot(repository, revision=revision, policy=policy), policy=policy)
    except UnreachableError as error:
        notice = f"{error}; used what is on this machine, as {revision} was at commit {known.commit}"
        return make(snapshot=known, policy=policy, notice=notice, is_remembered=True)


def read_if_right(place: Path, file: PublishedFile) -> bytes | None:
    """Return the content of a copy on this machine, or None if it lacks the digest that the Hub lists."""
    try:
        content = place.read_bytes()
    except OSError:
        return None
    hasher = ContentHasher(size=len(content), kinds=[file.kind])
    hasher.update(content)
    return None if hasher.find_differing([file.known]) else content


def require_agreement(file: PublishedFile, listed: Sequence[KnownDigest]) -> None:
    """Raise ContentError if two known digests of a file contradict each other; called before anything is fetched."""
    by_kind = {file.kind: file.known}
    for one in listed:
        other = by_kind.setdefault(one.kind, one)
        if other.hex != one.hex:
            raise ContentError(
                f"{file.path}: {one.kind} is {other.hex} by {other.source} and {one.hex} by {one.source}; "
                "the published file is not the listed one"
            )
