"""Ask the Hub for the files of a repository at one commit and for a file's storage address, and open that."""

import re
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote, urljoin, urlsplit

from huggingface_hub import constants, get_hf_file_metadata, hf_hub_url
from huggingface_hub.errors import (
    EntryNotFoundError,
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.utils import (  # type: ignore[attr-defined]  # re-exported
    build_hf_headers,
    hf_raise_for_status,
    httpx,
    validate_repo_id,
)
from pydantic import ValidationError

from hstu_preserve.errors import ContentError, UnavailableError, UsageError
from hstu_preserve.hub.answers import parse_bounded, read_bounded, within
from hstu_preserve.hub.bodies import SlowBodyError, read_body
from hstu_preserve.hub.client import find_token, open_client
from hstu_preserve.hub.retries import PASSING_STATUSES, PassingError, RetryPolicy, parse_retry_after, retry
from hstu_preserve.hub.settings import advise_network, find_url_problem
from hstu_preserve.primitives.urls import hide_login
from hstu_preserve.primitives.validation import describe_validation_error
from hstu_preserve.records.downloads import DigestKind, PublishedFile, Snapshot

DEFAULT_REVISION = "main"
COMMIT = re.compile("[0-9a-f]{40}")
MAX_REDIRECTS = 5
REDIRECTS = frozenset({301, 302, 303, 307, 308})


@dataclass(frozen=True, kw_only=True)
class Answer:
    """An answer whose body is still to come.

    Attributes:
        status: The HTTP status.
        server: Who answers.
        headers: In any case of letters.
        chunks: The body as it arrives, never decoded; raises PassingError if it breaks off.
    """

    status: int
    server: str
    headers: Mapping[str, str]
    chunks: Iterator[bytes]


class Hub:
    """One Hub, or a mirror of it, as one user sees it."""

    def __init__(self, *, endpoint: str | None = None, token: str | None = None) -> None:
        """Take the user's own settings (HF_ENDPOINT, HF_TOKEN, HF_HOME) if none are given.

        Raises:
            UsageError: The endpoint is no URL.
        """
        self.endpoint = endpoint.rstrip("/") if endpoint else find_endpoint()
        if find_url_problem(self.endpoint) is not None:
            raise UsageError(f"{hide_login(self.endpoint)}: no URL; it begins with https:// and names a server")
        self.token = token

    def read_snapshot(self, repository: str, *, revision: str, policy: RetryPolicy) -> Snapshot:
        """Resolve a branch, tag or commit to a commit, and list the files of the repository in it.

        Raises:
            ContentError: A commit was asked for and the Hub, or a mirror of it, answers with another one.
            UnavailableError: Unreachable, missing, private or gated; the message tells which.
            UsageError: No name that a repository can have.
        """
        source = f"{repository}@{revision}"

        def ask() -> Snapshot:
            with explained(source), understood(source):
                validate_repo_id(repository)
                url = f"{self.endpoint}/api/models/{repository}/revision/{quote(revision, safe='')}?blobs=true"
                listing = parse_bounded(self.ask_whole(url, source=source), source=source)
                return make_snapshot(listing, repository=repository)

        snapshot = retry(ask, policy=policy, source=source)
        if COMMIT.fullmatch(revision) and snapshot.commit != revision:
            raise ContentError(
                f"{source}: the server answers with commit {snapshot.commit}, another one than was asked for; "
                f"nothing of it is used; is HF_ENDPOINT right?"
            )
        return snapshot

    def ask_whole(self, url: str, *, source: str) -> bytes:
        """Return the body of one of the Hub's own pages.

        Raises:
            HfHubHTTPError: The Hub refuses.
            UnavailableError: The answer is too large, or arrives too slowly.
        """
        seconds = constants.HF_HUB_ETAG_TIMEOUT
        client = open_client()
        request = client.build_request("GET", url, headers=self.list_headers(url), timeout=seconds)
        response = within(
            lambda: client.send(request, stream=True, follow_redirects=True), seconds=seconds, source=source
        )
        try:
            body = read_bounded(response, source=source)
        finally:
            response.close()
        # The client would read the body of a refusal itself, without a bound, and unpack one that is compressed.
        headers = {name: text for name, text in response.headers.items() if not name.endswith("-encoding")}
        hf_raise_for_status(
            httpx.Response(response.status_code, headers=headers, content=body, request=response.request)
        )
        return body

    def locate(self, snapshot: Snapshot, file: PublishedFile) -> str:
        """Return the address of a file's bytes, which may be signed and expire.

        Raises:
            PassingError: It may work the next time.
            UnavailableError: It will not.
            ContentError: The Hub now names another content.
        """
        source = f"{snapshot.repository}/{file.path}"
        url = hf_hub_url(snapshot.repository, file.path, revision=snapshot.commit, endpoint=self.endpoint)
        seconds = constants.HF_HUB_ETAG_TIMEOUT
        with explained(source):
            open_client()
            token = self.choose_token() or False
            ask = partial(get_hf_file_metadata, url, token=token, endpoint=self.endpoint, timeout=seconds)
            found = within(ask, seconds=seconds, source=source)
        if found.commit_hash != snapshot.commit or found.etag != file.etag or found.size not in {None, file.size}:
            raise ContentError(
                f"{source}: listed at commit {snapshot.commit} as {file.etag} ({file.size} bytes), "
                f"served as {found.etag} ({found.size} bytes, commit {found.commit_hash})"
            )
        return found.location

    @contextmanager
    def open(self, url: str, *, headers: Mapping[str, str], source: str) -> Iterator[Answer]:
        """Ask for bytes; the token goes to the Hub's own origin only, whatever the redirects.

        Raises:
            PassingError: No answer.
        """
        with ExitStack() as stack:
            for _ in range(MAX_REDIRECTS):
                with explained(source):
                    response = stack.enter_context(
                        open_client().stream(
                            "GET",
                            url,
                            headers={**self.list_headers(url), **headers},
                            timeout=httpx.Timeout(constants.HF_HUB_DOWNLOAD_TIMEOUT),
                            follow_redirects=False,
                        )
                    )
                if response.status_code not in REDIRECTS or "location" not in response.headers:
                    body = read_body(response, timeout_seconds=constants.HF_HUB_DOWNLOAD_TIMEOUT)
                    chunks = iterate(body, source=source)
                    server = response.request.url.host
                    yield Answer(status=response.status_code, server=server, headers=response.headers, chunks=chunks)
                    return
                with explained(source):
                    url = urljoin(url, response.headers["location"])
            raise UnavailableError(f"{source}: more than {MAX_REDIRECTS} redirects")

    def list_headers(self, url: str) -> dict[str, str]:
        """Return the headers of every request to this address."""
        token = self.choose_token() if origin_of(url) == origin_of(self.endpoint) else None
        return {**build_hf_headers(token=token or False, library_name="hstu-preserve"), "Accept-Encoding": "identity"}

    def choose_token(self) -> str | None:
        """Return the token to send to the Hub, None for none; the client is never left to look for one itself.

        Raises:
            UnreachableError: It cannot be read or sent.
        """
        if self.token is not None or constants.HF_HUB_DISABLE_IMPLICIT_TOKEN:
            return self.token
        return find_token()


def make_snapshot(listing: dict[str, Any], *, repository: str) -> Snapshot:
    """Return the listing as a record.

    Raises:
        ContentError: It lists something that no repository can hold.
        ValueError, TypeError, KeyError, AttributeError: It has not the shape of a listing.
    """
    try:
        return Snapshot(
            repository=repository,
            commit=listing["sha"],
            files=tuple(make_file(file) for file in listing["siblings"]),
        )
    except ValidationError as error:
        raise ContentError(f"{repository}: the Hub's listing is none ({describe_validation_error(error)})") from None


def make_file(listed: dict[str, Any]) -> PublishedFile:
    """Return one line of the listing as a record."""
    lfs = listed.get("lfs")
    return PublishedFile(
        path=listed["rfilename"],
        size=listed["size"],
        etag=lfs["sha256"] if lfs else listed["blobId"],
        kind=DigestKind.SHA256 if lfs else DigestKind.GIT_BLOB,
    )


@contextmanager
def understood(source: str) -> Iterator[None]:
    """Turn the client's stumbling over an answer that is no Hub's into one sentence."""
    try:
        yield
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        if isinstance(error, HFValidationError):
            raise
        raise UnavailableError(
            f"{source}: the answer is not a Hub's ({type(error).__name__}); is HF_ENDPOINT right?"
        ) from None


def find_endpoint() -> str:
    """Return the address of the Hub that the user's settings name (HF_ENDPOINT)."""
    return str(constants.ENDPOINT).rstrip("/")


def find_home() -> Path:
    """Return the folder in which the Hub's tools keep fetched files (HF_HOME)."""
    return Path(constants.HF_HOME)


def is_offline() -> bool:
    """Whether the user asked that nothing be sent (HF_HUB_OFFLINE)."""
    return bool(constants.is_offline_mode())


def origin_of(url: str) -> tuple[str, str]:
    """Return scheme, host and port, within which a token may travel."""
    parts = urlsplit(url)
    return parts.scheme, parts.netloc


def iterate(chunks: Iterator[bytes], *, source: str) -> Iterator[bytes]:
    """Yield the chunks; a connection that breaks is a passing error."""
    while True:
        try:
            with explained(source):
                chunk = next(chunks, None)
        except SlowBodyError as error:
            raise PassingError(str(error), spends_location=True, is_slow=True) from None
        except OSError as error:
            raise PassingError(f"connection failed ({describe(error)})", spends_location=True) from None
        if chunk is None:
            return
        yield chunk


@contextmanager
def explained(source: str) -> Iterator[None]:
    """Turn the client's exceptions into ours."""
    try:
        yield
    except OfflineModeIsEnabled:
        raise UnavailableError(f"{source}: HF_HUB_OFFLINE is set, and it is not on this machine yet") from None
    except HFValidationError:
        raise UsageError(f"{source}: not the name of a repository, which is OWNER/NAME") from None
    except HfHubHTTPError as error:
        raise explain_status(error, source=source) from None
    except (httpx.ConnectError, httpx.ConnectTimeout) as error:
        reason = f"{name_server(error)} cannot be reached ({describe(error)}); {advise_network()}"
        raise PassingError(reason, spends_location=True, is_unreachable=True) from None
    except (httpx.HTTPError, httpx.StreamError, httpx.InvalidURL) as error:
        reason = f"connection failed ({describe(error)}, asking {name_server(error)})"
        raise PassingError(reason, spends_location=True) from None
    except (ValueError, OverflowError) as error:  # http://[bad, or a port that no machine has
        raise PassingError(
            f"the server names an address that is none ({describe(error)})", spends_location=True
        ) from None


def explain_status(error: HfHubHTTPError, *, source: str) -> PassingError | UnavailableError:
    """Return the error that a refusal of the Hub means."""
    match error:
        case GatedRepoError():
            return UnavailableError(f"{source}: gated; accept its terms on the Hub, then sign in with HF_TOKEN")
        case RepositoryNotFoundError():
            return UnavailableError(f"{source}: no such repository, or a private one; sign in with HF_TOKEN")
        case RevisionNotFoundError():
            return UnavailableError(f"{source}: the repository has no such revision")
        case EntryNotFoundError():
            return UnavailableError(f"{source}: the repository has no such file at this revision")
    status = error.response.status_code if error.response is not None else 0
    if status in PASSING_STATUSES:
        after = parse_retry_after(error.response.headers.get("retry-after"))
        return PassingError(f"{error.response.request.url.host} answers {status}", retry_after_seconds=after)
    return UnavailableError(f"{source}: {describe_refusal(status)}")


def describe_refusal(status: int) -> str:
    """Return a sentence that tells the user what a lasting refusal means."""
    meanings = {
        401: "not signed in, or the token is not valid (HF_TOKEN)",
        403: "access denied; the token may not read this, or the address has expired",
        404: "not found",
        412: "precondition failed",
    }
    return f"the server answers {status}" + (f": {meanings[status]}" if status in meanings else "")


def name_server(error: Exception) -> str:
    """Return the server that a failed request was sent to; the rest of an address may hold a signature."""
    try:
        url = error.request.url if isinstance(error, httpx.RequestError) else None
    except RuntimeError:  # the client says so of an error that belongs to no request
        url = None
    if url is None:
        return "the server"
    return url.host + (f":{url.port}" if url.port else "")


def describe(error: Exception) -> str:
    """Return an exception of the transport in words, without addresses."""
    return str(error) if "://" not in str(error) and str(error) else type(error).__name__
