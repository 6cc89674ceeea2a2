"""Fetch a published data set's file from its publisher or a mirror, and compare it with the published checksum."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO
from urllib.parse import unquote, urlsplit

from hstu_preserve.errors import ContentError, UnavailableError, UsageError
from hstu_preserve.hub.content_digests import ContentHasher, hash_file
from hstu_preserve.hub.repository import Answer, Hub, describe_refusal
from hstu_preserve.hub.retries import PASSING_STATUSES, DiscardError, PassingError, RetryPolicy, parse_retry_after
from hstu_preserve.hub.settings import find_url_problem
from hstu_preserve.hub.transfer import CONTENT_RANGE, find_strong_etag
from hstu_preserve.primitives.file_kinds import BEGINNING_BYTES, describe_beginning
from hstu_preserve.primitives.files import new_file_writer
from hstu_preserve.primitives.urls import hide_login
from hstu_preserve.primitives.voice import SILENT, Progress, Voice
from hstu_preserve.records.downloads import DigestKind

MAX_BYTES = 2**31
"""Of one file; the largest edition with a checksum has 262 MB. A server that sends without end is left."""
ZIP_MAGIC = b"PK\x03\x04"


@dataclass(frozen=True, kw_only=True)
class FetchedZip:
    """A zip that is here whole; `received` counts the bytes that came over the network, 0 if it was here before."""

    size: int
    digests: dict[DigestKind, str]
    received: int


def fetch_zip(
    url: str, destination: Path, *, md5: str | None, policy: RetryPolicy | None = None, voice: Voice = SILENT
) -> FetchedZip:
    """Return the zip at `destination`, fetched unless it is there; it appears whole and compared, or not at all.

    Args:
        url: Where it is served.
        destination: Its new path.
        md5: What its publisher says that it has; None if the publisher says nothing that lasts.
        policy: How often to try again.
        voice: Shows progress in bytes; says that and why a request is repeated.

    Raises:
        UsageError: The address is none, or another file stands at `destination`.
        ContentError: Other bytes than the published ones, or no zip.
        UnavailableError: Network or disk.
    """
    if (problem := find_url_problem(url)) is not None:
        raise UsageError(f"{hide_login(url)}: {problem}; it begins with https:// and names a server")
    if destination.exists():
        return compare_with_present(destination, md5=md5)
    with new_file_writer(destination) as stream:
        order = Order(url, stream=stream, md5=md5, policy=policy or RetryPolicy(voice=voice), voice=voice)
        return order.complete()


def compare_with_present(path: Path, *, md5: str | None) -> FetchedZip:
    """Return what stands at a path if it is the published file.

    Raises:
        UsageError: It is something else, or nobody can tell.
    """
    digests = hash_file(path, kinds=[DigestKind.MD5]).digests() if path.is_file() else {}
    if md5 is None:
        raise UsageError(f"{path}: exists, and no published md5 tells whether it is the file; name another --output")
    if digests.get(DigestKind.MD5) != md5:
        raise UsageError(f"{path}: exists and is not the file, whose md5 is {md5}; name another --output")
    return FetchedZip(size=path.stat().st_size, digests=digests, received=0)


class Order:
    """One file on its way from its publisher into a new file."""

    def __init__(self, url: str, *, stream: IO[bytes], md5: str | None, policy: RetryPolicy, voice: Voice) -> None:
        self.url, self.stream, self.md5, self.policy, self.voice = url, stream, md5, policy, voice
        self.source = hide_login(url)
        self.name = unquote(PurePosixPath(urlsplit(url).path).name) or self.source
        self.hub = Hub()
        self.received = self.furthest = 0
        self.size: int | None = None
        self.begin_anew()

    def begin_anew(self) -> None:
        """Drop what arrived."""
        self.stream.seek(0)
        self.stream.truncate()
        self.beginning = b""
        self.etag: str | None = None
        self.hasher = ContentHasher(size=0, kinds=[DigestKind.MD5])

    @property
    def position(self) -> int:
        """How many bytes are here."""
        return self.hasher.position

    def complete(self) -> FetchedZip:
        """Receive until the file is whole; a connection that breaks goes on where it broke if the server can.

        Raises:
            ContentError: Other bytes than the published ones, or no zip.
            UnavailableError: The server cannot be reached, refuses, or breaks off again and again.
        """
        failures = restarts = 0
        while True:
            before = self.furthest
            try:
                self.receive()
                break
            except PassingError as problem:
                failures = problem.count(failures, has_progressed=self.furthest > before)
                self.policy.wait(problem, failures=failures, source=self.source)
            except DiscardError as problem:
                self.begin_anew()
                restarts += 1
                if restarts > self.policy.restarts:
                    raise problem.error from None
        self.require_published()
        return FetchedZip(size=self.position, digests=self.hasher.digests(), received=self.received)

    def receive(self) -> None:
        """Receive missing bytes until the connection ends."""
        asked = {"Range": f"bytes={self.position}-", "If-Range": self.etag} if self.etag and self.position else {}
        with self.hub.open(self.url, headers=asked, source=self.source) as answer:
            self.accept(answer)
            for chunk in answer.chunks:
                self.policy.require_going(self.source)
                self.add(chunk)
        if self.size is not None and self.position != self.size:
            raise PassingError(f"the connection ended after {self.position} of {self.size} bytes")

    def accept(self, answer: Answer) -> None:
        """Look at an answer before its body is taken.

        Raises:
            PassingError: It may be better the next time.
            DiscardError: The server sends another part than was asked for.
            UnavailableError: It was refused for good.
        """
        if answer.status in PASSING_STATUSES:
            after = parse_retry_after(answer.headers.get("retry-after"))
            raise PassingError(f"{answer.server} answers {answer.status}", retry_after_seconds=after)
        if answer.status == 206:
            self.require_rest(answer.headers)
            return
        if answer.status != 200:
            raise UnavailableError(f"{self.source}: {describe_refusal(answer.status)}")
        self.begin_anew()
        length = answer.headers.get("content-length", "")
        self.size = int(length) if length.isascii() and length.isdigit() else None
        self.etag = find_strong_etag(answer.headers)

    def require_rest(self, headers: Mapping[str, str]) -> None:
        """Raise DiscardError unless the answer brings exactly the missing bytes."""
        found = CONTENT_RANGE.match(headers.get("content-range", ""))
        if not found or not self.position or int(found["first"]) != self.position or int(found["size"]) != self.size:
            raise DiscardError(UnavailableError(f"{self.source}: the server sends another part than was asked for"))

    def add(self, chunk: bytes) -> None:
        """Take in bytes.

        Raises:
            ContentError: More bytes than any data set has.
        """
        if self.position + len(chunk) > MAX_BYTES:
            raise ContentError(
                f"{self.source}: more than {MAX_BYTES >> 20} MiB, so it is not the file; nothing is kept"
            )
        if len(self.beginning) < BEGINNING_BYTES:
            self.beginning += chunk[: BEGINNING_BYTES - len(self.beginning)]
        self.stream.write(chunk)
        self.hasher.update(chunk)
        self.received += len(chunk)
        self.furthest = max(self.furthest, self.position)
        total = max(self.size or 0, self.position)
        self.voice.show(Progress(activity=self.name, completed=self.position, total=total, in_bytes=True))

    def require_published(self) -> None:
        """Raise ContentError unless the bytes are those of the publisher, or at least a zip's."""
        found = self.hasher.digests()[DigestKind.MD5]
        if self.md5 in {None, found} and self.beginning.startswith(ZIP_MAGIC):
            return
        what = "" if self.beginning.startswith(ZIP_MAGIC) else f"; it is {describe_beginning(self.beginning)}"
        wanted = "a zip" if self.md5 is None else f"the published file: its md5 is {found}, published is {self.md5}"
        raise ContentError(f"{self.source}: not {wanted}{what}; nothing is kept")
