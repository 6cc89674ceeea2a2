"""Read the address of a file or a repository on the Hub: `hf://…`, or as a browser shows it."""

import re
from dataclasses import dataclass
from pathlib import Path
from posixpath import normpath
from urllib.parse import SplitResult, quote, unquote, urlsplit

from hstu_preserve.errors import UsageError
from hstu_preserve.primitives.urls import hide_login

REMOTE_PREFIX = "hf://"
SCHEME = re.compile(r"[a-z][a-z0-9+.-]+://", re.IGNORECASE)
HUB_HOSTS = ("huggingface.co", "www.huggingface.co", "hf.co")
"""What the Hub's own pages are on, whatever HF_ENDPOINT names."""
REVISION = r"refs/(?:pr/[0-9]+|convert/[\w.-]+)(?=/|\Z)|[^/]+"
REMOTE = re.compile(rf"(?P<repository>[^/@]+/[^/@]+)(?:@(?P<revision>{REVISION}))?(?:/(?P<path>.*))?\Z", re.DOTALL)
VIEWED = re.compile(
    rf"(?P<view>resolve|blob|raw|blame|edit|tree|commits?)/(?P<revision>{REVISION})(?:/(?P<path>.*))?\Z", re.DOTALL
)
"""The end of a browser's address: how the file is shown, of which revision, and its path."""
MODELS = "models"
OTHER_TYPES = {"datasets": "a dataset", "spaces": "a Space", "kernels": "a kernel", "buckets": "a bucket"}
"""How the addresses of repositories that hold no models begin; no owner may have such a name."""


@dataclass(frozen=True, kw_only=True)
class Address:
    """A file of a repository on the Hub, a folder of it, or the repository itself.

    Attributes:
        text: For messages: an `hf://` address or id as the user typed it, a browser's address as `hf://`.
        repository: `owner/name`.
        revision: A branch, tag or commit; None is the main branch.
        path: Inside the repository; ends with a slash for a folder, and is empty for the repository.
    """

    text: str
    repository: str
    revision: str | None
    path: str

    @property
    def is_file(self) -> bool:
        """Whether it names a file, as far as its text tells."""
        return bool(self.path) and not self.path.endswith("/")

    def spell(self, path: str) -> str:
        """Return how a file of the same repository and revision is typed."""
        return spell_address(self.repository, self.revision, path)


def is_address(text: str) -> bool:
    """Whether a person who types this means a file on the Hub, or on another server."""
    if SCHEME.match(text):
        return True
    # A browser copies the address with its scheme, people type it without; wget makes a folder of that name.
    return text.casefold().startswith(tuple(f"{host}/" for host in HUB_HOSTS)) and not Path(text).exists()


def parse_address(text: str) -> Address:
    """Return what `hf://[models/]owner/repo[@revision]/path`, or a browser's address of it, names.

    A slash in a revision is written `%2F`, but for `refs/pr/N` and `refs/convert/X`, which the Hub's own tools take as
    they stand, too. Whatever is percent-encoded is decoded, in the path as well: a `%` itself is `%25`.

    Raises:
        UsageError: It is no such address, or one on another server than the Hub that the user's settings name.
    """
    prefix = text[: len(REMOTE_PREFIX)].casefold()
    address = parse_own(text) if prefix == REMOTE_PREFIX else parse_web(text)
    parts = address.path.removesuffix("/").split("/")
    if address.path and not {"", ".", ".."}.isdisjoint(parts):
        canonical = normpath(address.path).lstrip("/")
        leads_out = canonical.split("/")[0] == ".."
        advice = "it leads out of the repository" if leads_out else f"write it as {address.spell(canonical)}"
        raise UsageError(f"{address.text}: its path holds '.', '..' or an empty name; {advice}")
    return address


def parse_own(text: str) -> Address:
    """Return what an `hf://` address names.

    Raises:
        UsageError: It is none, or of something else than a model repository.
    """
    rest = text[len(REMOTE_PREFIX) :].removesuffix("?download=true")
    found = REMOTE.match(strip_type(rest, text=text))
    if found is None:
        raise UsageError(f"{text}: not an address of the form hf://owner/repo[@revision]/path")
    return make_address(found, repository=found["repository"], text=text)


def parse_web(text: str) -> Address:
    """Return what an address from a browser names; its server only says that it is one of the Hub.

    Raises:
        UsageError: It is on another server, or names no file and no repository.
    """
    shown = hide_secrets(text)
    parts = split(text, shown=shown)
    segments = strip_type(require_on_hub(parts, shown=shown).strip("/"), text=shown).split("/", maxsplit=2)
    if len(segments) < 2 or segments[1] in {"resolve", "blob", "raw", "tree"}:
        raise UsageError(f"{shown}: names no repository OWNER/NAME")
    repository = unquote("/".join(segments[:2])).removesuffix(".git")
    found = VIEWED.match("/".join(segments[2:]))
    if found is None and segments[2:]:
        raise UsageError(
            f"{shown}: a page of {repository}, not one of its files; write {REMOTE_PREFIX}{repository}/FILE"
        )
    address = make_address(found, repository=repository, text=None)
    if parts.username is not None or parts.password is not None:
        raise UsageError(f"{shown}: holds a name or password, which is sent to nobody; write it as {address.text}")
    return address


def make_address(found: re.Match[str] | None, *, repository: str, text: str | None) -> Address:
    """Return the address of which a pattern found revision and path; no `text` spells it as `hf://`."""
    named = {} if found is None else found.groupdict()
    revision = unquote(named.get("revision") or "") or None
    path = unquote(named.get("path") or "")
    view = named.get("view", "")
    if view.startswith("commit"):
        path = ""
    if view == "tree" and path:
        path = f"{path.rstrip('/')}/"
    if text is None:
        text = spell_address(repository, revision, path)
    return Address(text=text, repository=repository, revision=revision, path=path)


def spell_address(repository: str, revision: str | None, path: str) -> str:
    """Return an `hf://` address that is read as these."""
    at = "" if revision is None else f"@{quote(revision, safe='')}"
    return f"{REMOTE_PREFIX}{repository}{at}" + (f"/{path.replace('%', '%25')}" if path else "")


def strip_type(rest: str, *, text: str) -> str:
    """Return the part of an address after the type of its repository, which may be left out for models.

    Raises:
        UsageError: It is no repository of models.
    """
    first, _, others = rest.partition("/")
    if first in OTHER_TYPES:
        raise UsageError(f"{text}: {OTHER_TYPES[first]}; only model repositories are read")
    return others if first == MODELS else rest


def split(text: str, *, shown: str) -> SplitResult:
    """Return the parts of an address from a browser.

    Raises:
        UsageError: It has none.
    """
    address = text if SCHEME.match(text) else f"https://{text}"
    try:
        parts = urlsplit(address)
        _ = parts.port
    except ValueError as error:
        raise UsageError(f"{shown}: not an address ({error})") from None
    if parts.scheme not in {"http", "https"}:
        raise UsageError(
            f"{shown}: {parts.scheme}:// is not read; name a file on this machine by its path, one on the Hub as "
            f"{REMOTE_PREFIX}OWNER/NAME/FILE"
        )
    return parts


def require_on_hub(parts: SplitResult, *, shown: str) -> str:
    """Return the path of an address on the Hub.

    Whoever sends a user an address could otherwise choose the server that the user's token is sent to.

    Raises:
        UsageError: It is on a server that neither is the Hub's own nor the one that HF_ENDPOINT names.
    """
    server = parts.netloc.rpartition("@")[2].casefold()
    if parts.hostname in HUB_HOSTS and parts.port in {None, 80, 443}:
        return parts.path
    from hstu_preserve.hub.repository import find_endpoint  # most targets are here

    endpoint = urlsplit(find_endpoint())
    folder = endpoint.path.rstrip("/")
    if server == endpoint.netloc.casefold() and f"{parts.path}/".startswith(f"{folder}/"):
        return parts.path.removeprefix(folder)
    raise UsageError(
        f"{shown}: on {server or 'no server'}, not on the Hub ({hide_login(endpoint.geturl())}), so nobody is asked; "
        f"if it is a mirror that you trust with your token, set HF_ENDPOINT={parts.scheme}://{server}; "
        "else fetch the file and name it here"
    )


def hide_secrets(text: str) -> str:
    """Return a target as it may be shown: of an address from a browser, no password and no query."""
    found = SCHEME.match(text)
    if found is None or found[0].casefold() == REMOTE_PREFIX:
        return text
    address = re.split(r"[?#]", text[found.end() :], maxsplit=1)[0]
    server, slash, path = address.partition("/")
    return f"{found[0]}{server.rpartition('@')[2]}{slash}{path}"


def parse_repository(text: str) -> Address:
    """Return the repository that `--repo` names: `owner/name`, or an address of it.

    Raises:
        UsageError: It is none, or names a file.
    """
    if not is_address(text):
        found = REMOTE.match(strip_type(text, text=text).removesuffix("/"))
        if found is None or found["path"]:
            raise UsageError(f"--repo {text!r}: not the name of a repository, which is OWNER/NAME")
        return make_address(found, repository=found["repository"], text=text)
    address = parse_address(text)
    if address.path:
        advice = f"name the repository alone, {address.repository}"
        raise UsageError(f"--repo {hide_secrets(text)}: names a file or folder; {advice}")
    return address


def find_viewed(address: Address) -> str | None:
    """Return how a path as browsers show it (`resolve/main/FILE`) is typed; None if it is not such a path."""
    found = VIEWED.match(address.path)
    if found is None or not found["path"]:
        return None
    return spell_address(address.repository, found["revision"], found["path"])
