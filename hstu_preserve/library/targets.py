"""Resolve a TARGET: an address on the Hub, a local path, `sample`, or an id of the catalog; a path wins over an id."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

from hstu_preserve.errors import MissingPathError, UnknownNameError, UsageError
from hstu_preserve.library.addresses import Address, is_address, parse_address
from hstu_preserve.primitives.paths import GIN_SUFFIX
from hstu_preserve.primitives.shipped import shipped_directory

if TYPE_CHECKING:
    from hstu_preserve.records.catalog import CatalogEntry

SAMPLE = "sample"
SAMPLE_BUNDLE = "sample-hstu-synthetic.tar.gz"


def resolve_target(text: str) -> "Path | Address | CatalogEntry":
    """Return the local file or directory, the file on the Hub or the published experiment that `text` names.

    Raises:
        UsageError: It is an address, but of nothing that is read from the Hub.
        MissingPathError: It looks like a path, and nothing is there.
        UnknownNameError: Neither a path nor an id; the nearest ids are offered.
    """
    if is_address(text):
        return parse_address(text)
    path = Path(text)
    if os.path.exists(path):  # noqa: PTH110  Path.exists raises for a name that is too long
        return path
    if text == SAMPLE:
        return shipped_directory("bundles") / SAMPLE_BUNDLE
    if looks_like_path(text):
        raise MissingPathError(f"{text}: no such file or directory")
    from hstu_preserve.library.catalog import list_chains, read_catalog  # a path needs no catalog

    catalog, chains = read_catalog(), list_chains()
    if text in catalog:
        return catalog[text]
    if text in chains:
        return chains[text]
    raise UnknownNameError(
        kind="path or catalog id",
        name=text,
        known=[*catalog, SAMPLE, *chains],
        hint="'hstu-preserve list' shows all ids",
    )


def find_recipe(text: str) -> Path | None:
    """Return the gin file that a text names, or whose id it is; None of anything else. A path wins over an id.

    Raises:
        MissingPathError: It is named as a gin file, and nothing is there.
    """
    path = Path(text)
    is_gin = path.suffix.casefold() == GIN_SUFFIX
    if os.path.exists(path):  # noqa: PTH110  Path.exists raises for a name that is too long
        return path if is_gin and not path.is_dir() else None
    if is_gin and not is_address(text):
        raise MissingPathError(f"{text}: no such file")
    from hstu_preserve.library.catalog import list_chains  # a path needs no catalog

    return list_chains().get(text)


def looks_like_path(text: str) -> bool:
    """Whether a person who types this means a path."""
    return "/" in text or text.startswith(".") or text.endswith((".gz", ".tar", ".tgz", ".gin", ".json"))


def locate_bundle(named: "Address | CatalogEntry", *, text: str) -> Address:
    """Return the address of a target's bundle on the Hub.

    Raises:
        UsageError: The target has no bundle.
    """
    if isinstance(named, Address):
        return named
    if named.bundle is None:
        raise UsageError(f"{text}: a published number without a bundle; there is nothing to re-run")
    return Address(text=text, repository=named.bundle.repository, revision=None, path=named.bundle.path)
