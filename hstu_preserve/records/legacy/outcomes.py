"""Record what was read in a legacy archive: a published `.tar.gz`, which no manifest of this program describes."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field, StringConstraints

from hstu_preserve.primitives.digests import Sha256
from hstu_preserve.primitives.paths import BundlePath
from hstu_preserve.records.record import Record

Md5 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{32}$")]
"""An md5 digest in lower-case hexadecimal: against accident, never against intent."""


class LegacyFile(Record):
    """One regular file of the archive, as it was read."""

    path: BundlePath
    """Without a leading `./`."""
    size: Annotated[int, Field(ge=0)]
    md5: Md5
    sha256: Sha256


class ListedFile(Record):
    """What somebody else's list says of a file."""

    name: str
    md5: Md5 | None
    sha256: Sha256 | None
    size: int | None
    """In bytes, where the list gives it exactly."""
    place: str
    """Where in the list it stands."""

    @property
    def has_digest(self) -> bool:
        """Whether the list says more than a size."""
        return self.md5 is not None or self.sha256 is not None


class LegacyOutcome(StrEnum):
    """What can be said of a legacy archive."""

    MATCHES = "matches"
    """Every byte is vouched for by the digests that were found, and agrees."""
    REFUSED = "refused"
    """Something differs, is damaged or may not be in an archive."""
    UNVOUCHED = "unvouched"
    """Read whole, and for some or all of it there is no digest to compare with."""
