"""What a TARGET names: an `hf://` address, a local path, `sample`, or an id of the catalog; a path wins over an id."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote

from hstu_preserve.errors import MissingPathError, UnavailableError, UnknownNameError, UsageError
from hstu_preserve.primitives.shipped import shipped_directory

if TYPE_CHECKING:
    from hstu_preserve.records.catalog import CatalogEntry
    from hstu_preserve.records.downloads import Receipt

REMOTE_PREFIX = "hf://"
REMOTE = re.compile(
    r"hf://(?P<repository>[^/@]+/[^/@]+)(?:@(?P<revision>refs/(?:pr/[0-9]+|convert/[\w.-]+)|[^/]+))?/(?P<path>.+)\Z"
)
SAMPLE = "sample"
SAMPLE_BUNDLE = "sample-hstu-synthetic.tar.gz"


@dataclass(frozen=True, kw_only=True)
class LocalTarget:
    """A bundle, run directory or gin file on this machine.

    Attributes:
        text: What the user typed.
        path: Where it is.
        receipt: What it was when it was fetched from the Hub; None where it was not.
        notice: That it is of another commit than was asked for.
    """

    text: str
    path: Path
    receipt: "Receipt | None" = None
    notice: str | None = None


@dataclass(frozen=True, kw_only=True)
class CatalogTarget:
    """A published experiment whose bundle is not on this machine.

    Attributes:
        text: What the user typed.
        entry: What is known of it.
    """

    text: str
    entry: "CatalogEntry"


@dataclass(frozen=True, kw_only=True)
class RemoteTarget:
    """A file of a repository on the Hub.

    Attributes:
        text: What the user typed.
        repository: `owner/name`.
        revision: A branch, tag or commit; None is the main branch.
        path: Inside the repository.
    """

    text: str
    repository: str
    revision: str | None
    path: str


def parse_remote(text: str) -> RemoteTarget:
    """Return what `hf://owner/repo[@revision]/path` names.

    A slash in a revision is written `%2F`, but for `refs/pr/N` and `refs/convert/X`, which the Hub's own tools take as
    they stand, too. Whatever is percent-encoded is decoded, in the path as well: a `%` itself is `%25`.

    Raises:
        UsageError: It is no such address.
    """
    found = REMOTE.match(text)
    if found is None:
        raise UsageError(f"{text}: not an address of the form hf://owner/repo[@revision]/path")
    revision = found["revision"]
    return RemoteTarget(
        text=text,
        repository=found["repository"],
        revision=unquote(revision) if revision else None,
        path=unquote(found["path"]),
    )


def resolve_target(text: str) -> LocalTarget | CatalogTarget | RemoteTarget:
    """Return what `text` names.

    Raises:
        UsageError: It begins like an address on the Hub and is none.
        MissingPathError: It looks like a path and there is nothing.
        UnknownNameError: Neither a path nor an id; the nearest ids are offered.
    """
    if text.startswith(REMOTE_PREFIX):
        return parse_remote(text)
    path = Path(text)
    if path.exists():
        return LocalTarget(text=text, path=path)
    if text == SAMPLE:
        return LocalTarget(text=text, path=shipped_directory("bundles") / SAMPLE_BUNDLE)
    if looks_like_path(text):
        raise MissingPathError(f"{text}: no such file or directory")
    from hstu_preserve.library.catalog import list_chains, read_catalog

    catalog = read_catalog()
    if text in catalog:
        return CatalogTarget(text=text, entry=catalog[text])
    if text in list_chains():
        return LocalTarget(text=text, path=list_chains()[text])
    raise UnknownNameError(
        kind="path or catalog id",
        name=text,
        known=[*catalog, SAMPLE, *list_chains()],
        hint="'hstu-preserve list' shows all ids",
    )


def looks_like_path(text: str) -> bool:
    """Whether a person who types this means a path."""
    return "/" in text or text.startswith(".") or text.endswith((".gz", ".tar", ".tgz", ".gin", ".json"))


def require_local(text: str) -> LocalTarget:
    """Return the bundle or directory that `text` names, which must be on this machine.

    Raises:
        UnavailableError: A catalog id whose bundle is not here; the message says where it is.
        UsageError: A catalog id, or one of our recipes, that has no bundle at all.
        VerificationError: What was fetched before is not what the catalog names now.
        ContentError: It was fetched, and changed since.
    """
    target = resolve_target(text)
    if isinstance(target, LocalTarget):
        if not Path(text).exists() and target.path.suffix == ".gin":
            raise UsageError(f"{text}: a recipe without a bundle; make one with 'hstu-preserve train {text}'")
        return target
    remote = locate_bundle(target)
    from hstu_preserve.library.kept import find_kept

    kept = find_kept(remote.repository, remote.path, revision=remote.revision)
    if kept is None:
        raise UnavailableError(
            f"{text}: its bundle is not on this machine; fetch {remote.path} from the Hugging Face Hub repository "
            f"{remote.repository} with 'hstu-preserve download {text}'"
        )
    from hstu_preserve.library.vouching import find_in_catalog, require_expected

    require_expected(kept.place, find_in_catalog(remote.repository, remote.path), source=text)
    return LocalTarget(text=text, path=kept.place, receipt=kept.receipt, notice=kept.notice)


def locate_bundle(target: CatalogTarget | RemoteTarget) -> RemoteTarget:
    """Return where on the Hub a target's bundle is.

    Raises:
        UsageError: It has none.
    """
    if isinstance(target, RemoteTarget):
        return target
    bundle = target.entry.bundle
    if bundle is None:
        raise UsageError(f"{target.text}: a published number without a bundle; there is nothing to re-run")
    return RemoteTarget(text=target.text, repository=bundle.repository, revision=None, path=bundle.path)
