"""Fetch a file of a repository into the cache, and compare it with every digest that is known of it."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from hstu_preserve.errors import ContentError, UnavailableError, VerificationError
from hstu_preserve.hub.cache import Copy, make_receipt
from hstu_preserve.hub.content_digests import describe_differing, hash_file
from hstu_preserve.hub.partial_files import PartialFile
from hstu_preserve.hub.repository import is_offline
from hstu_preserve.hub.transfer import Transfer
from hstu_preserve.library.identities import require_identity
from hstu_preserve.library.repository import Repository, require_agreement
from hstu_preserve.library.vouching import NOTHING, Expectation
from hstu_preserve.primitives.files import refuse_unwritable
from hstu_preserve.primitives.voice import count_nothing
from hstu_preserve.records.downloads import DigestKind, KnownDigest, PublishedFile


def fetch_file(
    file: PublishedFile,
    *,
    repository: Repository,
    expected: Expectation = NOTHING,
    count: Callable[[int], None] = count_nothing,
) -> Copy:
    """Return a file on this machine, compared with every digest; fetch the bytes that are missing.

    Args:
        file: As the Hub lists it.
        repository: The repository that holds it.
        expected: The digests and identity that the repository's lists and the catalog give for it.
        count: Is told of bytes as they are hashed; a negative number if the file begins again.

    Raises:
        VerificationError: It is another bundle than the catalog names.
        ContentError: It does not have the digests that it must have.
        UnavailableError: It cannot be fetched or kept.
    """
    require_agreement(file, expected.listed)  # before gigabytes are fetched that cannot be right
    order = Order(file=file, repository=repository, expected=expected)
    here = order.take_here()
    if here is not None:
        return here
    order.require_online()
    cache, policy = repository.cache, repository.policy
    with cache.open_part(file, pause=policy.pause, voice=repository.voice) as part:
        here = order.take_here()  # another process may have brought it while this one waited
        if here is not None:
            part.remove()
            return here
        return order.bring(part, count=count)


@dataclass(frozen=True, kw_only=True)
class Order:
    """One file that must be on this machine, fetched only if it is not here yet.

    Attributes:
        file: As the Hub lists it.
        repository: The repository that holds it.
        expected: The digests and identity that others than the Hub give for it.
    """

    file: PublishedFile
    repository: Repository
    expected: Expectation

    @property
    def source(self) -> str:
        """The file's name for messages."""
        return f"{self.repository.snapshot.repository}/{self.file.path}"

    @property
    def known(self) -> list[KnownDigest]:
        """Every digest that the file must have."""
        return [self.file.known, *self.expected.listed]

    def require_online(self) -> None:
        """Raise if nothing may be fetched; tell the user if a modified copy will be fetched again.

        Raises:
            ContentError: HF_HUB_OFFLINE is set, and the copy that is here was changed.
            UnavailableError: HF_HUB_OFFLINE is set, and there is no copy.
        """
        snapshot = self.repository.snapshot
        before = self.repository.cache.look_up(snapshot.repository, snapshot.commit, self.file.path)
        if is_offline() and before is not None:
            raise ContentError(f"{before.describe_change()}; HF_HUB_OFFLINE is set")
        if is_offline():
            raise UnavailableError(f"{self.source}: HF_HUB_OFFLINE is set, and it is not on this machine yet")
        if before is not None and not before.is_intact:
            sentence = f"{before.path}: changed since it was fetched, so it is not used and fetched again"
            self.repository.voice.say(sentence)

    def bring(self, part: PartialFile, *, count: Callable[[int], None]) -> Copy:
        """Fetch the bytes that the part lacks, compare the whole file with its digests and keep it.

        Raises:
            VerificationError: It is another bundle than the catalog names.
            ContentError: It does not have the digests that it must have.
            UnavailableError: It cannot be fetched or kept.
        """
        repository = self.repository
        fetched = Transfer(
            self.file,
            hub=repository.hub,
            snapshot=repository.snapshot,
            part=part,
            known=self.expected.listed,
            policy=repository.policy,
            listen=count,
        ).complete()
        try:
            require_identity(part.path, self.expected.identity, source=self.source)
        except VerificationError:
            part.discard()  # these are the bytes that the Hub holds: fetching them again would change nothing
            raise
        sha256 = fetched.digests[DigestKind.SHA256]
        receipt = make_receipt(self.file, snapshot=repository.snapshot, sha256=sha256, vouched=self.known)
        return replace(repository.cache.keep(part, receipt), received=fetched.received)

    def take_here(self) -> Copy | None:
        """Return the file under its name if its content is here and right; remove a damaged one.

        Raises:
            VerificationError: It is another bundle than the catalog names.
            ContentError: It has the Hub's digest, but not one that a list gives.
        """
        repository = self.repository
        for place in (repository.find_here(self.file), repository.cache.find_content(self.file)):
            sha256 = None if place is None else self.compare(place)
            if place is not None and sha256 is not None:
                require_identity(place, self.expected.identity, source=self.source)
                receipt = make_receipt(self.file, snapshot=repository.snapshot, sha256=sha256, vouched=self.known)
                return repository.cache.name(place, receipt)
        return None

    def compare(self, place: Path) -> str | None:
        """Return the sha256 of a content that has every known digest; remove it if it lacks even the Hub's digest.

        Raises:
            ContentError: It has the Hub's digest, but not one that a list gives.
        """
        heed = partial(self.repository.policy.require_going, self.source)
        hasher = hash_file(place, kinds=[one.kind for one in self.known], heed=heed)
        differing = hasher.find_differing(self.known)
        if not differing:
            return hasher.digests()[DigestKind.SHA256]
        # The Hub holds exactly these bytes: removing them and fetching again would change nothing.
        if self.file.known not in [one for one, _ in differing]:
            raise ContentError(f"{self.source}: {describe_differing(differing)}")
        with refuse_unwritable(place):
            place.unlink(missing_ok=True)
        return None
