"""Record the verification of one bundle, and of several targets."""

from typing import Annotated

from pydantic import Field

from hstu_preserve.errors import worst_exit_code
from hstu_preserve.primitives.digests import Sha256
from hstu_preserve.primitives.wording import printable
from hstu_preserve.records.certificate import CertificateCheck
from hstu_preserve.records.contents import Finding
from hstu_preserve.records.legacy.verification import LegacyVerification
from hstu_preserve.records.manifest import AnyManifest
from hstu_preserve.records.record import CheckedRecord, Record
from hstu_preserve.records.signature import SignerCheck


class Verification(CheckedRecord):
    """The outcome of reading a bundle once, front to back."""

    source: str
    """The file, directory or stream that was read."""
    identity: Sha256 | None
    """The sha256 of the manifest's stored bytes, which names the bundle; None where no manifest was found."""
    transport_sha256: Sha256 | None
    """Of the compressed file; None for a directory and where reading stopped before the end."""
    manifest: AnyManifest | None
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
        """What is vouched for, in words; of a migrated bundle, also who vouched for the archive before."""
        own = "integrity only, no signature was looked for" if self.signer is None else self.signer.reason
        before = None if self.manifest is None else self.manifest.vouched
        return own if before is None else f"{own}; {before}"

    def describe(self) -> str:
        """Return the source and everything that is wrong, one line each."""
        is_whole = self.manifest is not None and not self.findings
        headline = "the packed bytes, but not signed as asked" if is_whole else "not what its manifest says"
        if self.manifest is None:
            headline = "no bundle that can be read"
        signer = [] if self.signer is None or self.signer.ok else [f"  signature: {printable(self.signer.reason)}"]
        return "\n".join([f"{self.source}: {headline}", *(f"  {f.describe()}" for f in self.findings), *signer])


class DeepCheck(Record):
    """One question of `verify --deep`, and its answer."""

    name: str
    passed: bool
    detail: str
    """What was seen, or what was expected and found instead."""


class VerifiedTarget(Record):
    """The verification of one of several targets."""

    target: str
    verification: Verification | None
    deep: tuple[DeepCheck, ...]
    """Empty where only the bytes were asked for, or where they already differ."""
    legacy: LegacyVerification | None = None
    """Instead of `verification`, where the target is an archive of the legacy form."""
    certificate: CertificateCheck | None = None
    """The certificate beside the bundle, or the target itself; None if there is none."""
    error: str | None
    """Why there is no verification."""
    exit_code: int


class VerificationReport(CheckedRecord):
    """The verification of several targets."""

    targets: tuple[VerifiedTarget, ...]

    @property
    def exit_code(self) -> int:
        """The lowest of 3 to 6 that occurred, else 2 where that occurred, else 0."""
        return worst_exit_code(target.exit_code for target in self.targets)
