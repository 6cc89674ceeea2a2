"""Gather the digests and the identity that a published file must have, from the catalog and the repository's lists."""

from collections.abc import Iterable
from dataclasses import dataclass

from hstu_preserve.library.catalog import read_catalog
from hstu_preserve.records.catalog import BundleLocation
from hstu_preserve.records.downloads import DigestKind, KnownDigest

CATALOG = "the catalog"


@dataclass(frozen=True, kw_only=True)
class Expectation:
    """The digests and the identity that others than the Hub give a file.

    Attributes:
        listed: Digests of its bytes.
        identity: The sha256 of the manifest in it, as the catalog gives it; None if it gives none.
    """

    listed: tuple[KnownDigest, ...] = ()
    identity: str | None = None


NOTHING = Expectation()


def find_in_catalog(repository: str, path: str) -> Expectation:
    """Return the digests that the catalog gives a file; those that nobody has seen are left out."""
    locations = [entry.bundle for entry in read_catalog().values() if entry.bundle is not None]
    return join_locations(one for one in locations if (one.repository, one.path) == (repository, path))


def find_of_id(name: str) -> Expectation:
    """Return the digests that the catalog gives an id's bundle, in any repository; none for other names."""
    entry = read_catalog().get(name)
    return join_locations([entry.bundle] if entry is not None and entry.bundle is not None else [])


def join_locations(locations: Iterable[BundleLocation]) -> Expectation:
    """Return the digests and the identity that several entries of the catalog give one file."""
    own = list(locations)
    digests = (one.sha256 for one in own if one.sha256 is not None)
    return Expectation(
        listed=tuple(KnownDigest(kind=DigestKind.SHA256, hex=digest, source=CATALOG) for digest in digests),
        identity=next((one.identity for one in own if one.identity is not None), None),
    )


def join(one: Expectation, other: Expectation) -> Expectation:
    """Return the digests of both, each once."""
    return Expectation(
        listed=tuple(dict.fromkeys((*one.listed, *other.listed))), identity=one.identity or other.identity
    )
