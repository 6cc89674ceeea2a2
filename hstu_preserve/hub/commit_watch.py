"""Watch the Hub's responses during a commit; fail where huggingface_hub would skip a file or sleep in silence."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from logging import CRITICAL

from huggingface_hub.utils import (  # type: ignore[attr-defined]  # re-exported
    get_session,
    httpx,
    logging,
    parse_ratelimit_headers,
)

from hstu_preserve.errors import UnavailableError
from hstu_preserve.hub.retries import MAX_WAIT_SECONDS, PASSING_STATUSES, parse_retry_after

PREUPLOAD = "/preupload/"


@contextmanager
def watched(source: str) -> Iterator[None]:
    """Look at every answer that the client receives within the block, and keep the client from talking.

    Its warnings name the addresses that it asks, and those it uploads to are signed.

    Raises:
        UnavailableError: A file would be left out, or the Hub asks for more patience than there is.
    """
    client, verbosity = get_session(), logging.get_verbosity()
    hooks = client.event_hooks
    client.event_hooks = {**hooks, "response": [*hooks["response"], look_for(source)]}
    logging.set_verbosity(max(verbosity, CRITICAL))
    try:
        yield
    finally:
        client.event_hooks = hooks
        logging.set_verbosity(verbosity)


def look_for(source: str) -> Callable[[httpx.Response], None]:
    """Return a hook for the client that raises on an answer which the client would act upon without a word."""

    def look(response: httpx.Response) -> None:
        seconds = find_wait(response)
        if seconds > MAX_WAIT_SECONDS:
            raise UnavailableError(
                f"{source}: the Hub answers {response.status_code} and asks to wait {seconds:.0f} s; run it again then"
            )
        if PREUPLOAD in response.request.url.path and (ignored := list_ignored(response)):
            raise UnavailableError(
                f"{source}: the .gitignore there keeps {', '.join(ignored)} out; nothing was pushed; change it there"
            )

    return look


def find_wait(response: httpx.Response) -> float:
    """Return how long the client would wait after an answer because the Hub asks for it."""
    if response.status_code not in PASSING_STATUSES:
        return 0.0
    limit = parse_ratelimit_headers(response.headers) if response.status_code == 429 else None
    reset = float(limit.reset_in_seconds) if limit is not None and limit.remaining == 0 else 0.0
    return max(reset, parse_retry_after(response.headers.get("retry-after")) or 0.0)


def list_ignored(response: httpx.Response) -> list[str]:
    """Return the files that the client will leave out; none if the answer is malformed, which the client reports."""
    try:
        response.read()
        return [file["path"] for file in response.json()["files"] if file["shouldIgnore"]]
    except (ValueError, TypeError, KeyError):
        return []
