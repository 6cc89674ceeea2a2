"""What a published file must be, by everybody who says something of it."""

from dataclasses import dataclass
from pathlib import Path

from hstu_preserve.errors import ContentError, VerificationError
from hstu_preserve.primitives.byte_sources import ByteSource
from hstu_preserve.records.downloads import DigestKind, KnownDigest
from hstu_preserve.workflows.catalog import read_catalog

CATALOG = "the catalog"


@dataclass(frozen=True, kw_only=True)
class Expectation:
    """What a file must be beside what the Hub itself says.

    Attributes:
        listed: Digests of its bytes.
        identity: The sha256 of the manifest in it, as the catalog has it; None where the catalog names none.
    """

    listed: tuple[KnownDigest, ...] = ()
    identity: str | None = None


NOTHING = Expectation()


def find_in_catalog(repository: str, path: str) -> Expectation:
    """Return what the catalog says of a file; digests that were never seen are left out."""
    locations = [entry.bundle for entry in read_catalog().values() if entry.bundle is not None]
    own = [one for one in locations if (one.repository, one.path) == (repository, path)]
    digests = (one.sha256 for one in own if one.sha256 is not None)
    return Expectation(
        listed=tuple(KnownDigest(kind=DigestKind.SHA256, hex=digest, source=CATALOG) for digest in digests),
        identity=next((one.identity for one in own if one.identity is not None), None),
    )


def require_identity(place: Path, identity: str | None, *, source: str) -> None:
    """Raise VerificationError where a bundle is another than the catalog names; None is any."""
    if identity is None:
        return
    from hstu_preserve.bundle.verification import read_stored_manifest  # most downloads name no identity

    content = ByteSource(name=source, place=source, open=lambda: place.open("rb"))
    try:
        found = read_stored_manifest(content).identity
    except ContentError as error:
        raise VerificationError(
            f"{source}: {CATALOG} names the identity {identity}, and there is none: {error}"
        ) from None
    if found != identity:
        raise VerificationError(
            f"{source}: identity differs (expected {identity} by {CATALOG}, found {found}); "
            "another bundle was published under this name"
        )
