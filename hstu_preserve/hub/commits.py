"""Write to a repository on the Hub: check the access, read the files that are there, push one commit."""

import hashlib
import re
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi
from huggingface_hub.errors import (
    HfHubHTTPError,
    HFValidationError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
)
from huggingface_hub.utils import disable_progress_bars, httpx, validate_repo_id  # type: ignore[attr-defined]

from hstu_preserve.errors import ContentError, PreserveError, UnavailableError, UsageError
from hstu_preserve.hub.client import find_token, open_client
from hstu_preserve.hub.commit_watch import watched
from hstu_preserve.hub.remote_stream import open_remote
from hstu_preserve.hub.repository import DEFAULT_REVISION, Hub
from hstu_preserve.hub.retries import PASSING_STATUSES, PassingError, RetryPolicy, parse_retry_after, retry
from hstu_preserve.primitives.byte_sources import ByteSource
from hstu_preserve.primitives.digests import sha256_of_bytes
from hstu_preserve.primitives.files import CHUNK_BYTES
from hstu_preserve.primitives.threads import require_threads
from hstu_preserve.primitives.urls import hide_login
from hstu_preserve.records.downloads import DigestKind, PublishedFile, Snapshot

Result = TypeVar("Result")

CLIENT_THREADS = 16
"""The client uploads by five, and by its own transport's beside them, which ends the process if it cannot have them."""
MAX_BYTES_IN_MEMORY = 16 * 2**20
"""Above what the Hub takes outside LFS; whatever is larger, it holds against the sha256 that it is pushed under."""
LOGIN_ADVICE = "set HF_TOKEN to a token with write permission, or log in with 'hf auth login'"
AGAIN = "run it again, what is there already is not sent twice"
ADVICE = {
    401: f"it does not accept the token; {LOGIN_ADVICE}",
    403: "this token may not write there; take one with write permission for this repository",
    412: "somebody pushed meanwhile; run it again, so that nothing of theirs is lost",
}


@dataclass(frozen=True, kw_only=True)
class LocalFile:
    """A file to be put into a repository.

    Attributes:
        path: In the repository.
        content: The bytes, or the file that holds them.
        size: Of the content.
        sha256: Of the content, as it was verified.
    """

    path: str
    content: bytes | Path
    size: int
    sha256: str


@dataclass(frozen=True, kw_only=True)
class MadeCommit:
    """A commit that the Hub took.

    Attributes:
        commit: Its id.
        url: The page that shows it.
    """

    commit: str
    url: str


class HubWriter:
    """One user's access to one repository on the Hub.

    Every method raises UnavailableError if the Hub cannot be reached or says no; no message holds the token. A call
    that only reads is repeated after a failure that may pass; one that writes is not, as it may have been carried out.
    """

    def __init__(self, repository: str) -> None:
        """Take the endpoint and the token that the environment, or the client's own login, gives.

        Raises:
            UsageError: The repository's name is none.
            UnavailableError: There is no token.
        """
        self.repository = require_repository_name(repository)
        self._token = require_token(repository)
        self._hub = Hub(token=self._token)
        self._api = HfApi(endpoint=self._hub.endpoint, token=self._token)
        self._policy = RetryPolicy(attempts=3)

    @property
    def url(self) -> str:
        """The page of the repository."""
        return f"{hide_login(self._hub.endpoint)}/{self.repository}"

    def exists(self) -> bool:
        """Whether the repository is there and this token may see it."""
        return self._read(lambda: self._api.repo_exists(self.repository), doing="looking for it")

    def is_private(self) -> bool:
        """Whether only its owner sees the repository."""
        return bool(self._read(lambda: self._api.model_info(self.repository), doing="looking at it").private)

    def create(self, *, is_private: bool) -> None:
        """Make the repository; one that is there already stays as it is."""
        with self._explained_for_good("creating it"):
            self._api.create_repo(self.repository, private=is_private, exist_ok=True)

    def require_write_access(self) -> None:
        """Ask whether this token may write, before any byte is sent."""
        self._read(lambda: self._api.auth_check(self.repository, write=True), doing="asking for write access")

    def read_snapshot(self) -> Snapshot:
        """Return the files that are in the repository now."""
        return self._hub.read_snapshot(self.repository, revision=DEFAULT_REVISION, policy=self._policy)

    def read_file(self, snapshot: Snapshot, file: PublishedFile) -> bytes:
        """Return the content of a small file.

        Raises:
            ContentError: It does not have the digest that the Hub lists.
        """
        try:
            with open_remote(file, hub=self._hub, snapshot=snapshot, policy=self._policy) as stream:
                return b"".join(iter(lambda: stream.read(CHUNK_BYTES), b""))
        except OSError as error:
            raise UnavailableError(f"{self.url}: {file.path} cannot be read ({error.strerror}); run it again") from None

    def make_source(self, snapshot: Snapshot, file: PublishedFile) -> ByteSource:
        """Return a file as a source that a reader reads as far as it needs."""
        return ByteSource(
            name=file.path,
            place=f"{self.url}: {file.path}",
            size=file.size,
            open=lambda: open_remote(file, hub=self._hub, snapshot=snapshot, policy=self._policy),
        )

    def commit(
        self, files: Sequence[LocalFile], *, deletions: Sequence[str], parent: str, title: str, description: str
    ) -> MadeCommit:
        """Push files as one commit onto `parent`: all of them, or none; then look whether they are there.

        Raises:
            ContentError: A file changed since it was verified, and nothing was pushed; or the commit holds another.
            UnavailableError: The system gives too few threads for the client, and nothing was pushed.
        """
        if not sys.stderr.isatty():
            disable_progress_bars()
        require_threads(CLIENT_THREADS, purpose=f"{self.url}: pushing to it")
        additions = [make_addition(file) for file in files]
        with warnings.catch_warnings(), self._explained_for_good("pushing to it"), watched(self.url):
            warnings.simplefilter("ignore", DeprecationWarning)  # between the client and its own transport
            made = self._api.create_commit(
                self.repository,
                operations=[*additions, *map(CommitOperationDelete, deletions)],
                commit_message=title,
                commit_description=description,
                revision=DEFAULT_REVISION,
                parent_commit=parent,
            )
        self._require_pushed(files, deletions=deletions, commit=made.oid)
        return MadeCommit(commit=made.oid, url=made.commit_url)

    def _require_pushed(self, files: Sequence[LocalFile], *, deletions: Sequence[str], commit: str) -> None:
        """Raise if a commit does not hold the verified bytes; the client's success does not prove that it does."""
        try:
            snapshot = self._hub.read_snapshot(self.repository, revision=commit, policy=self._policy)
            differing = [file.path for file in files if not self._holds(snapshot, file)]
        except PreserveError as error:
            kind = ContentError if isinstance(error, ContentError) else UnavailableError
            raise kind(f"{error}\n{self.url}: commit {commit} was made and could not be looked at; {AGAIN}") from None
        if differing:
            raise ContentError(
                f"{self.url}: commit {commit} was made, and what it holds of {', '.join(differing)} is not what was "
                "verified; look at it there, and run it again"
            )
        if left := [path for path in deletions if snapshot.find(path) is not None]:
            raise ContentError(f"{self.url}: commit {commit} was made, and {', '.join(left)} is still there")

    def _holds(self, snapshot: Snapshot, local: LocalFile) -> bool:
        """Whether a file lies there byte for byte as it was verified; the file here may be another by now."""
        remote = snapshot.find(local.path)
        if remote is None or remote.size != local.size:
            return False
        if remote.kind is DigestKind.SHA256:
            return remote.etag == local.sha256
        return sha256_of_bytes(self.read_file(snapshot, remote)) == local.sha256

    def _read(self, call: Callable[[], Result], *, doing: str) -> Result:
        """Return the result of a call that changes nothing; after a passing failure the call is repeated."""

        def attempt() -> Result:
            with self._explained(doing):
                return call()

        return retry(attempt, policy=self._policy, source=f"{self.url}: {doing}")

    @contextmanager
    def _explained_for_good(self, doing: str) -> Iterator[None]:
        """Turn the client's failures into ours inside the block, and repeat nothing."""
        try:
            with self._explained(doing):
                yield
        except PassingError as problem:
            raise UnavailableError(f"{self.url}: {doing}: {problem.reason}; {AGAIN}") from None

    @contextmanager
    def _explained(self, doing: str) -> Iterator[None]:
        """Turn the client's failures into ours; it wraps one in another, or lets the transport's through."""
        try:
            open_client()  # HfApi makes the same one, and would stumble over the settings that it cannot be made with
            yield
        except OfflineModeIsEnabled:
            raise UnavailableError(f"{self.url}: HF_HUB_OFFLINE is set, so nothing can be published") from None
        except HfHubHTTPError as error:
            raise self._explain_status(error, doing=doing) from None
        except (httpx.HTTPError, httpx.StreamError, OSError, RuntimeError, ValueError) as error:
            cause = error.__cause__ or error
            if isinstance(cause, PreserveError):
                raise cause from None
            if isinstance(cause, HfHubHTTPError):
                raise self._explain_status(cause, doing=doing) from None
            raise PassingError(f"{type(cause).__name__} ({self._redact(str(cause))})") from None

    def _explain_status(self, error: HfHubHTTPError, *, doing: str) -> PassingError | UnavailableError:
        """Return the error that an unsuccessful answer means."""
        status = error.response.status_code
        said = self._redact(error.server_message or "")
        answer = f"the Hub answers {status}{f' ({said})' if said else ''}"
        if isinstance(error, RepositoryNotFoundError) and status != 403:
            advice = "no such repository, or not one that this token may see; --create makes it"
        elif status in PASSING_STATUSES:
            return PassingError(
                answer, retry_after_seconds=parse_retry_after(error.response.headers.get("retry-after"))
            )
        else:
            advice = ADVICE.get(status, "nothing of this step was pushed")
        return UnavailableError(f"{self.url}: {doing}: {answer}; {advice}")

    def _redact(self, text: str) -> str:
        """Return the first line of a foreign message, without the token and without the signature in an address."""
        line = re.sub(r"(://[^\s?]*)\?\S*", r"\1", text.replace(self._token, "[token]")).strip().partition("\n")[0]
        return "".join(c for c in line if c.isprintable())[:300]


def require_repository_name(repository: str) -> str:
    """Return the name if a repository may have it.

    Raises:
        UsageError: It may not.
    """
    try:
        validate_repo_id(repository)
    except HFValidationError:
        pass
    else:
        if repository.count("/") == 1:
            return repository
    raise UsageError(f"--repo {repository!r}: not the name of a repository, which is OWNER/NAME")


def require_token(repository: str) -> str:
    """Return the user's token.

    Raises:
        UnavailableError: There is none, or it is none.
    """
    token = find_token()
    if not token:
        raise UnavailableError(f"{repository}: publishing needs a token of the Hugging Face Hub; {LOGIN_ADVICE}")
    return token


def make_addition(file: LocalFile) -> CommitOperationAdd:
    """Return the client's record of a file, once hashed by the client, too.

    Raises:
        ContentError: The file no longer holds the verified bytes.
    """
    try:
        addition = CommitOperationAdd(path_in_repo=file.path, path_or_fileobj=take_content(file))
    except (OSError, ValueError):
        raise UnavailableError(f"{file.path}: cannot be read any more; nothing of it was pushed") from None
    if addition.upload_info.sha256.hex() != file.sha256:
        raise ContentError(f"{file.path}: changed since it was verified; nothing of it was pushed")
    return addition


def take_content(file: LocalFile) -> bytes | str:
    """Return the bytes themselves if the client would otherwise read the file again after it was compared."""
    if isinstance(file.content, bytes):
        return file.content
    return file.content.read_bytes() if file.size <= MAX_BYTES_IN_MEMORY else str(file.content)


def is_content_of(file: PublishedFile, content: bytes) -> bool:
    """Whether these bytes are the file's."""
    return file.etag == (sha256_of_bytes(content) if file.kind is DigestKind.SHA256 else git_blob_id(content))


def is_published(local: LocalFile, remote: PublishedFile | None) -> bool:
    """Whether a file is in the repository already, byte for byte."""
    if remote is None or remote.size != local.size:
        return False
    if remote.kind is DigestKind.SHA256:
        return remote.etag == local.sha256
    return is_content_of(remote, local.content if isinstance(local.content, bytes) else local.content.read_bytes())


def git_blob_id(content: bytes) -> str:
    """Return git's id of a file with this content."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()
