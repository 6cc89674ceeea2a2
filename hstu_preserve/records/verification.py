"""What the verification of a bundle found."""

from typing import Annotated

from pydantic import Field

from hstu_preserve.primitives.digests import Sha256
from hstu_preserve.records.contents import Finding
from hstu_preserve.records.manifest import Manifest
from hstu_preserve.records.record import Record
from hstu_preserve.records.signature import SignerCheck


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
    signer: SignerCheck | None = None
    """Who signed it; None where no signature was looked for."""

    @property
    def ok(self) -> bool:
        """Whether every byte is the packed byte, and the signature holds where one was asked for."""
        return self.manifest is not None and not self.findings and (self.signer is None or self.signer.ok)

    @property
    def vouched(self) -> str:
        """What is vouched for, in words."""
        return "integrity only, no signature was looked for" if self.signer is None else self.signer.reason

    def describe(self) -> str:
        """Return the source and everything that is wrong, one line each."""
        is_whole = self.manifest is not None and not self.findings
        headline = "the packed bytes, but not signed as asked" if is_whole else "not what its manifest says"
        signer = [] if self.signer is None or self.signer.ok else [f"  signature: {self.signer.reason}"]
        return "\n".join([f"{self.source}: {headline}", *(f"  {f.describe()}" for f in self.findings), *signer])
