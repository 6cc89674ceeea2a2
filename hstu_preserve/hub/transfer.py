"""Fetch one file of the Hub into a partial file: resume it, hash it while it arrives, and refuse wrong bytes."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Never

from hstu_preserve.errors import ContentError, UnavailableError
from hstu_preserve.hub.content_digests import ContentHasher, describe_differing, hashing_behind
from hstu_preserve.hub.partial_files import PartialFile, PartRecord
from hstu_preserve.hub.repository import Answer, Hub, describe_refusal
from hstu_preserve.hub.retries import PASSING_STATUSES, DiscardError, PassingError, RetryPolicy, parse_retry_after
from hstu_preserve.primitives.file_kinds import LFS_POINTER
from hstu_preserve.records.downloads import DigestKind, KnownDigest, PublishedFile, Snapshot

CONTENT_RANGE = re.compile(r"bytes (?P<first>\d+)-(?P<last>\d+)/(?P<size>\d+)\Z")
EXPIRED = frozenset({400, 401, 403, 404, 410})
"""The answers of storage once a signed address has expired; a fresh address is asked for."""


@dataclass(frozen=True, kw_only=True)
class Transferred:
    """A file that arrived whole and right.

    Attributes:
        digests: Of its content.
        received: Bytes that came over the network; those that an earlier run left are not counted.
    """

    digests: dict[DigestKind, str]
    received: int


class Transfer:
    """A file on its way from the Hub into a partial file on this machine."""

    def __init__(
        self,
        file: PublishedFile,
        *,
        hub: Hub,
        snapshot: Snapshot,
        part: PartialFile,
        known: Sequence[KnownDigest],
        policy: RetryPolicy,
        listen: Callable[[int], None],
    ) -> None:
        """Prepare the transfer; nothing is read or asked yet.

        Args:
            file: The file to fetch.
            hub: The Hub that has it.
            snapshot: The commit it belongs to.
            part: The bytes that are here already; the rest is added to them.
            known: The digests it must have; the Hub's own is always among them.
            policy: How often to try again.
            listen: Hears how many bytes arrived or were found.
        """
        self.file, self.hub, self.snapshot, self.part, self.policy, self.listen = (
            file, hub, snapshot, part, policy, listen,
        )  # fmt: skip
        self.known = (file.known, *known)
        self.source = f"{snapshot.repository}/{file.path}"
        self.received = self.furthest = self.restarts = 0
        self.location: str | None = None
        self.storage_etag: str | None = None
        self.hasher = self.new_hasher()

    def complete(self) -> Transferred:
        """Fetch the missing bytes of the file, and compare the whole with every known digest.

        Raises:
            ContentError: Wrong bytes arrived, twice over; the partial file is emptied.
            UnavailableError: Network, permission or disk; the partial file is kept.
        """
        self.begin()
        self.run()
        return Transferred(digests=self.hasher.digests(), received=self.received)

    def new_hasher(self) -> ContentHasher:
        """Return a hasher that has seen nothing."""
        return ContentHasher(size=self.file.size, kinds=[one.kind for one in self.known])

    def begin(self) -> None:
        """Resume from the bytes that an earlier run left, or begin anew if they are of another file."""
        record = self.part.read_record()
        is_same = record is not None and (record.etag, record.size) == (self.file.etag, self.file.size)
        if record is None or not is_same or self.part.size > self.file.size:
            self.restart()
            self.note_storage(None)
            return
        self.storage_etag = record.storage_etag
        self.furthest = self.part.size
        # The state of a hash cannot be stored with the part, so that the bytes are hashed again.
        for chunk in self.part.chunks():
            self.policy.require_going(self.source)
            self.hasher.update(chunk)
            self.listen(len(chunk))

    def run(self) -> None:
        """Receive until the file is whole and right.

        Progress is a byte further than ever before: storage that begins anew at every request sends many bytes that
        were here already, and would be asked for ever.
        """
        failures = 0
        while True:
            before = self.furthest
            try:
                self.receive()
                self.require_digests()
            except PassingError as problem:
                failures = problem.count(failures, has_progressed=self.furthest > before)
                self.location = None if problem.spends_location else self.location
                self.policy.wait(problem, failures=failures, source=self.source)
            except DiscardError as problem:
                self.restart()
                self.location = None
                self.furthest = 0
                self.restarts += 1
                if self.restarts > self.policy.restarts:
                    raise problem.error from None
            else:
                return

    def receive(self) -> None:
        """Receive missing bytes until the connection ends."""
        if self.part.size == self.file.size and self.file.size:
            return
        self.location = self.location or self.hub.locate(self.snapshot, self.file)
        with self.hub.open(self.location, headers=self.list_range_headers(), source=self.source) as answer:
            self.accept(answer)
            with hashing_behind(self.hasher) as hash_later:
                for chunk in answer.chunks:
                    self.policy.require_going(self.source)
                    self.add(chunk, hash_later=hash_later)
        if self.part.size < self.file.size:
            raise PassingError(f"the connection ended after {self.part.size} of {self.file.size} bytes")

    def list_range_headers(self) -> dict[str, str]:
        """Return the headers that ask for the missing bytes only, and only if the content is still the same."""
        if not self.part.size:
            return {}
        asked = {"Range": f"bytes={self.part.size}-"}
        # Without If-Range, storage that has other content by now would send the end of another file.
        return {**asked, "If-Range": self.storage_etag} if self.storage_etag else asked

    def accept(self, answer: Answer) -> None:
        """Look at an answer before its body is taken.

        Raises:
            PassingError: It may be better the next time.
            DiscardError: The bytes that are here belong to something else.
            UnavailableError: It was refused for good.
        """
        if answer.status not in {200, 206}:
            refuse(answer, source=self.source)
        if answer.headers.get("content-encoding", "identity") != "identity":
            encoding = answer.headers["content-encoding"]
            raise DiscardError(
                UnavailableError(f"{self.source}: sent as {encoding}, though plain bytes were asked for")
            )
        etag = find_strong_etag(answer.headers)
        if answer.status == 206:
            self.require_range(answer.headers)
            if self.storage_etag and etag != self.storage_etag:
                raise DiscardError(UnavailableError(f"{self.source}: changes while it is fetched"))
            return
        self.require_whole(answer.headers)
        self.restart()
        self.note_storage(etag)

    def require_range(self, headers: Mapping[str, str]) -> None:
        """Raise DiscardError unless the answer brings exactly the missing bytes."""
        found = CONTENT_RANGE.match(headers.get("content-range", ""))
        wanted = (self.part.size, self.file.size - 1, self.file.size)
        if not found or not self.part.size or tuple(map(int, found.groups())) != wanted:
            raise DiscardError(
                UnavailableError(
                    f"{self.source}: bytes from {self.part.size} were asked for, "
                    f"the server sends {headers.get('content-range', 'a part without a Content-Range')!r}"
                )
            )

    def require_whole(self, headers: Mapping[str, str]) -> None:
        """Raise DiscardError if the server is about to send another number of bytes than the Hub lists."""
        length = headers.get("content-length")
        if length is not None and length != str(self.file.size):
            hint = " (a Git LFS pointer instead of the file?)" if int(length) < 1024 < self.file.size else ""
            raise DiscardError(
                ContentError(f"{self.source}: the Hub lists {self.file.size} bytes, the server sends {length}{hint}")
            )

    def add(self, chunk: bytes, *, hash_later: Callable[[bytes], None]) -> None:
        """Take in bytes."""
        if self.part.size + len(chunk) > self.file.size:
            raise DiscardError(ContentError(f"{self.source}: more bytes than the {self.file.size} that the Hub lists"))
        self.part.append(chunk)
        hash_later(chunk)
        self.received += len(chunk)
        self.furthest = max(self.furthest, self.part.size)
        self.listen(len(chunk))

    def restart(self) -> None:
        """Begin again with the first byte."""
        self.listen(-self.hasher.position)
        self.part.discard()
        self.hasher = self.new_hasher()
        self.storage_etag = None

    def note_storage(self, etag: str | None) -> None:
        """Remember which content the following bytes are of."""
        self.storage_etag = etag
        self.part.write_record(
            PartRecord(
                repository=self.snapshot.repository,
                path=self.file.path,
                commit=self.snapshot.commit,
                etag=self.file.etag,
                size=self.file.size,
                storage_etag=etag,
            )
        )

    def require_digests(self) -> None:
        """Raise DiscardError unless the content has every known digest."""
        differing = self.hasher.find_differing(self.known)
        if not differing:
            return
        start = next(self.part.chunks(), b"")
        hint = "; a Git LFS pointer was sent instead of the file" if start.startswith(LFS_POINTER) else ""
        error = ContentError(f"{self.source}: {describe_differing(differing)}{hint}")
        if self.file.known not in [one for one, _ in differing]:
            self.part.discard()  # these are the bytes that the Hub holds: fetching them again would change nothing
            raise error
        raise DiscardError(error)


def refuse(answer: Answer, *, source: str) -> Never:
    """Raise the error that a status without bytes means.

    Raises:
        PassingError: It may be better the next time.
        DiscardError: The bytes that are here belong to something else.
        UnavailableError: It was refused for good.
    """
    status = answer.status
    if status in PASSING_STATUSES:
        after = parse_retry_after(answer.headers.get("retry-after"))
        raise PassingError(f"{answer.server} answers {status}", retry_after_seconds=after)
    refusal = UnavailableError(f"{source}: {describe_refusal(status)}")
    if status in {412, 416}:
        raise DiscardError(refusal)
    if status in EXPIRED:
        raise PassingError(describe_refusal(status), spends_location=True)
    raise refusal


def find_strong_etag(headers: Mapping[str, str]) -> str | None:
    """Return the ETag if it is a strong one, which promises equal bytes."""
    etag = headers.get("etag", "")
    return etag if etag.startswith('"') else None
