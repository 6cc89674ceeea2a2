"""What the verification of a bundle found."""

from typing import Annotated

from pydantic import Field

from hstu_preserve.primitives.digests import Sha256
from hstu_preserve.records.contents import Finding
from hstu_preserve.records.manifest import Manifest
from hstu_preserve.records.record import Record


class Verification(Record):
    """The outcome of reading a bundle once, front to back."""

    source: str
    """The file, directory or stream that was read."""
    identity: Sha256 | None
    """The sha256 of the manifest's stored bytes, which names the bundle; None where no manifest was found."""
    transport_sha256: Sha256 | None
    """Of the compressed file; None for a directory and where reading stopped before the end."""
    manifest: Manifest | None
    """None where it could not be read."""
    findings: tuple[Finding, ...]
    members_checked: Annotated[int, Field(ge=0)]
    """Members whose content was hashed and compared, the manifest and the checksums included."""
    bytes_checked: Annotated[int, Field(ge=0)]
    """Their content, in bytes."""

    @property
    def ok(self) -> bool:
        """Whether every byte is the packed byte."""
        return self.manifest is not None and not self.findings

    def describe(self) -> str:
        """Return the source and every finding, one line each."""
        return "\n".join([f"{self.source}: not what its manifest says", *(f"  {f.describe()}" for f in self.findings)])
