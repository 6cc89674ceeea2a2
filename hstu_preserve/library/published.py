"""What a repository on the Hub holds, what vouches for it, and a file of it on this machine."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path

from hstu_preserve.digest_lists.digest_list import MAX_LIST_BYTES
from hstu_preserve.digest_lists.matching import FilePlace, ReadList, read_list
from hstu_preserve.errors import ContentError, UnavailableError, UnreachableError, VerificationError
from hstu_preserve.hub.cache import Cache
from hstu_preserve.hub.content_digests import ContentHasher, describe_differing, hash_file
from hstu_preserve.hub.remote_stream import read_remote
from hstu_preserve.hub.repository import DEFAULT_REVISION, Hub, find_home, is_offline
from hstu_preserve.hub.retries import RetryPolicy
from hstu_preserve.hub.transfer import Transfer
from hstu_preserve.library.vouching import NOTHING, Expectation, find_in_catalog, require_identity
from hstu_preserve.primitives.archive_names import ARCHIVE_SUFFIXES
from hstu_preserve.primitives.files import refuse_unwritable
from hstu_preserve.primitives.voice import SILENT, Voice
from hstu_preserve.records.downloads import DigestKind, KnownDigest, PublishedFile, Receipt, Snapshot

LISTS = ("MANIFEST.md", "SHA256SUMS", "MD5SUMS", "MANIFEST.json")
"""Files of a repository that may give digests of its others."""
CACHE_FOLDER = "hstu-preserve"

Count = Callable[[int], None]


def count_nothing(num_bytes: int) -> None:
    """Listen to nothing."""


def open_cache() -> Cache:
    """Return the cache beside those of the Hub's other tools."""
    return Cache(find_home() / CACHE_FOLDER)


@dataclass(frozen=True, kw_only=True)
class Obtained:
    """A file on this machine.

    Attributes:
        place: Where, below the name that it has in the repository.
        receipt: What it was compared with.
        received: Bytes that came over the network for it in this call.
    """

    place: Path
    receipt: Receipt
    received: int = 0


@dataclass(frozen=True, kw_only=True)
class Intact:
    """A content that was here and is still right.

    Attributes:
        place: Where.
        sha256: Its digest.
    """

    place: Path
    sha256: str


@dataclass(kw_only=True)
class Published:
    """A repository at one commit, and what is here of it.

    Attributes:
        snapshot: What it holds.
        hub: Where.
        cache: What is here.
        policy: How patient to be.
        notice: Why the snapshot may be an old one; None where the Hub was asked, or need not be.
        voice: Says what the user should know while it works.
        revision: What was asked for.
        is_remembered: Whether the snapshot is what the revision meant earlier, as nobody was asked or answered.
    """

    snapshot: Snapshot
    hub: Hub
    cache: Cache
    policy: RetryPolicy = field(default_factory=RetryPolicy)
    notice: str | None = None
    voice: Voice = SILENT
    revision: str = DEFAULT_REVISION
    is_remembered: bool = False

    @property
    def is_unanswered(self) -> bool:
        """Whether the Hub is not asked or does not answer, so that what is here has to do."""
        return self.notice is not None or is_offline()

    @cached_property
    def lists(self) -> dict[str, ReadList]:
        """The lists of digests that the repository holds, by name; each is read where it is, and not kept."""
        present = [file for name in LISTS if (file := self.snapshot.find(name)) is not None]
        return {file.path: read_list(self.read(file), name=file.path) for file in present}

    def remember(self) -> None:
        """Keep what the revision means, for days without network; who only reads needs no place to write."""
        if not self.is_remembered:
            with suppress(UnavailableError):
                self.cache.write_snapshot(self.snapshot, revision=self.revision)

    def read(self, file: PublishedFile) -> bytes:
        """Return a small file's content, compared with the Hub's digest; nothing is written.

        Raises:
            ContentError: It is larger than what is read at once, or not what the Hub lists.
            UnavailableError: It is not here and cannot be asked for.
        """
        source = f"{self.snapshot.repository}/{file.path}"
        if file.size > MAX_LIST_BYTES:
            raise ContentError(f"{source}: {file.size} bytes, where a list has at most {MAX_LIST_BYTES}")
        for place in (self.find_here(file), self.cache.find_content(file)):
            if place is not None and (content := read_if_right(place, file)) is not None:
                return content
        if is_offline():
            raise UnavailableError(f"{source}: HF_HUB_OFFLINE is set, and it is not on this machine yet")
        return read_remote(file, hub=self.hub, snapshot=self.snapshot, policy=self.policy)

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
        """Return what the repository's lists and the catalog say of a file.

        Raises:
            ContentError: A list contradicts itself.
        """
        known = find_in_catalog(self.snapshot.repository, file.path)
        return replace(known, listed=(*self.list_known(file), *known.listed))

    def find_here(self, file: PublishedFile) -> Path | None:
        """Return the file if it is here already."""
        return self.cache.find(self.snapshot.repository, self.snapshot.commit, file.path)

    def count_missing(self, file: PublishedFile) -> int:
        """Return how many bytes are still to be fetched."""
        is_here = self.find_here(file) or self.cache.find_content(file)
        return 0 if is_here else file.size - self.cache.count_partial_bytes(file)

    def obtain(
        self, file: PublishedFile, *, expected: Expectation = NOTHING, listen: Count = count_nothing
    ) -> Obtained:
        """Return the file on this machine, compared with every digest; fetch what is missing.

        Raises:
            VerificationError: It is another bundle than the catalog names.
            ContentError: It is not what the digests say.
            UnavailableError: It cannot be fetched or kept.
        """
        listed, source = expected.listed, f"{self.snapshot.repository}/{file.path}"
        require_agreement(file, listed)
        known = [file.known, *listed]
        before = self.cache.look_up(self.snapshot.repository, self.snapshot.commit, file.path)
        here = self.take_here(file, expected=expected, known=known)
        if here is not None:
            return here
        if is_offline() and before is not None:
            raise ContentError(f"{before.describe_change()}; HF_HUB_OFFLINE is set")
        if is_offline():
            raise UnavailableError(f"{source}: HF_HUB_OFFLINE is set, and it is not on this machine yet")
        if before is not None and not before.is_intact:
            self.voice.say(f"{before.place}: changed since it was fetched, so it is not used and fetched again")
        with self.cache.open_part(file, pause=self.policy.pause, voice=self.voice) as part:
            here = self.take_here(file, expected=expected, known=known)  # another process may have brought it meanwhile
            if here is not None:
                part.remove()
                return here
            fetched = Transfer(
                file,
                hub=self.hub,
                snapshot=self.snapshot,
                part=part,
                known=listed,
                policy=self.policy,
                listen=listen,
            ).complete()
            try:
                require_identity(part.path, expected.identity, source=source)
            except VerificationError:
                part.discard()  # these are the bytes that the Hub holds: fetching them again would change nothing
                raise
            receipt = self.make_receipt(file, sha256=fetched.digests[DigestKind.SHA256], known=known)
            kept = self.cache.keep(part, receipt)
            return Obtained(place=kept.place, receipt=kept.receipt, received=fetched.received)

    def take_here(self, file: PublishedFile, *, expected: Expectation, known: Sequence[KnownDigest]) -> Obtained | None:
        """Return the file if it is here and right, under its name."""
        intact = self.find_intact(file, known=known)
        if intact is None:
            return None
        require_identity(intact.place, expected.identity, source=f"{self.snapshot.repository}/{file.path}")
        receipt = self.make_receipt(file, sha256=intact.sha256, known=known)
        named = self.cache.name(intact.place, receipt)
        return Obtained(place=named.place, receipt=named.receipt)

    def find_intact(self, file: PublishedFile, *, known: Sequence[KnownDigest]) -> Intact | None:
        """Return a fetched file whose content is still what was fetched; what is damaged is removed.

        Raises:
            ContentError: It is what the Hub holds, but not what a list says.
        """
        source = f"{self.snapshot.repository}/{file.path}"
        heed = partial(self.policy.require_going, source)
        for place in (self.find_here(file), self.cache.find_content(file)):
            if place is None:
                continue
            hasher = hash_file(place, kinds=[one.kind for one in known], heed=heed)
            differing = hasher.find_differing(known)
            if not differing:
                return Intact(place=place, sha256=hasher.digests()[DigestKind.SHA256])
            if file.known not in [one for one, _ in differing]:
                raise ContentError(f"{source}: {describe_differing(differing)}")
            with refuse_unwritable(place):
                place.unlink(missing_ok=True)
        return None

    def make_receipt(self, file: PublishedFile, *, sha256: str, known: Sequence[KnownDigest]) -> Receipt:
        """Return what is remembered of a file that was compared."""
        return Receipt(
            repository=self.snapshot.repository,
            commit=self.snapshot.commit,
            path=file.path,
            size=file.size,
            sha256=sha256,
            vouched=tuple(known),
        )


def open_published(
    repository: str, *, revision: str | None, policy: RetryPolicy | None = None, voice: Voice = SILENT
) -> Published:
    """Resolve a revision once; every file of one call comes from that commit.

    Where nobody answers, and the revision was asked for before, what it meant then is taken after one attempt. Nothing
    is written; `remember` does.

    Raises:
        UnavailableError: The Hub cannot be asked, or has no such repository or revision.
    """
    revision, hub, cache, policy = revision or DEFAULT_REVISION, Hub(), open_cache(), policy or RetryPolicy()
    known = cache.read_snapshot(repository, revision=revision)
    make = partial(Published, hub=hub, cache=cache, voice=voice, revision=revision)
    if known is None:
        return make(snapshot=hub.read_snapshot(repository, revision=revision, policy=policy), policy=policy)
    if known.commit == revision or is_offline():
        return make(snapshot=known, policy=policy, is_remembered=True)
    policy = replace(policy, attempts_to_connect=1)
    try:
        return make(snapshot=hub.read_snapshot(repository, revision=revision, policy=policy), policy=policy)
    except UnreachableError as error:
        notice = f"{error}; used what is on this machine, as {revision} was at commit {known.commit}"
        return make(snapshot=known, policy=policy, notice=notice, is_remembered=True)


def read_if_right(place: Path, file: PublishedFile) -> bytes | None:
    """Return a content that is here, None where it is not what the Hub lists."""
    try:
        content = place.read_bytes()
    except OSError:
        return None
    hasher = ContentHasher(size=len(content), kinds=[file.kind])
    hasher.update(content)
    return None if hasher.find_differing([file.known]) else content


def require_agreement(file: PublishedFile, listed: Sequence[KnownDigest]) -> None:
    """Raise ContentError where two who vouch for a file contradict each other, before anything is fetched."""
    by_kind = {file.kind: file.known}
    for one in listed:
        other = by_kind.setdefault(one.kind, one)
        if other.hex != one.hex:
            raise ContentError(
                f"{file.path}: {one.kind} is {other.hex} by {other.source} and {one.hex} by {one.source}; "
                "the published file is not the listed one"
            )


def is_archive(path: str) -> bool:
    """Whether a file of a repository is an archive."""
    return path.endswith(ARCHIVE_SUFFIXES)
