"""Compare a file on this machine, or on the Hub, with the digests and the identity that it must have."""

from pathlib import Path

from hstu_preserve.errors import ContentError, VerificationError
from hstu_preserve.library.vouching import CATALOG, Expectation
from hstu_preserve.primitives.byte_sources import ByteSource


def require_expected(place: Path, expected: Expectation, *, source: str) -> None:
    """Raise VerificationError if a file lacks an expected digest or identity; it is read whole if a digest is known.

    Raises:
        UnavailableError: It cannot be read.
    """
    if expected.listed:
        from hstu_preserve.hub.content_digests import describe_differing, hash_file  # most files have no digest

        hasher = hash_file(place, kinds=[one.kind for one in expected.listed])
        if differing := hasher.find_differing(expected.listed):
            raise VerificationError(f"{source}: {describe_differing(differing)}")
    require_identity(place, expected.identity, source=source)


def require_identity(content: Path | ByteSource, identity: str | None, *, source: str) -> None:
    """Raise VerificationError if a bundle has another identity than the catalog names; None accepts any."""
    if identity is None:
        return
    from hstu_preserve.bundle.verification import read_stored_manifest  # most downloads name no identity

    if isinstance(content, Path):  # a part of a download has no name that says what it is
        place = content
        content = ByteSource(name=source, place=source, size=place.stat().st_size, open=lambda: place.open("rb"))
    try:
        found = read_stored_manifest(content).identity  # reads the first member only
    except ContentError as error:
        raise VerificationError(
            f"{source}: {CATALOG} names the identity {identity}, and there is none: {error}"
        ) from None
    if found != identity:
        raise VerificationError(
            f"{source}: identity differs (expected {identity} by {CATALOG}, found {found}); "
            "another bundle was published under this name"
        )
