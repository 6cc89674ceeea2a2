"""Verify the bundle that a target names, and compare its bytes with those that were fetched."""

import sys
from typing import TYPE_CHECKING

from hstu_preserve.bundle.verification import verify_bundle
from hstu_preserve.errors import UsageError
from hstu_preserve.library.sources import Form, Source
from hstu_preserve.library.standard_input import STANDARD_INPUT
from hstu_preserve.primitives.voice import SILENT, Voice
from hstu_preserve.records.contents import Finding, FindingClass
from hstu_preserve.records.legacy.outcomes import LegacyOutcome
from hstu_preserve.records.legacy.verification import LegacyVerification
from hstu_preserve.records.verification import Verification
from hstu_preserve.signing.signer import check_signer

STREAM = Source(text=STANDARD_INPUT, form=Form.STREAM)

if TYPE_CHECKING:
    from hstu_preserve.signing.signer import TrustedKey


def verify_source(source: Source, *, trusted: "TrustedKey | None", voice: Voice = SILENT) -> Verification:
    """Compare a target with its own manifest, with its receipt if it was fetched, and with a trusted key.

    Raises:
        UsageError: A key for standard input, beside which no signature can lie.
        UnavailableError: It cannot be read.
    """
    if source.form is Form.STREAM:
        if trusted is not None:
            raise UsageError("-: a signature lies beside a file; name the file to check it with --public-key")
        return verify_bundle(sys.stdin.buffer)
    assert source.content is not None
    return complete(verify_bundle(source.content, known=source.stored, voice=voice), source, trusted=trusted)


def complete(verification: Verification, source: Source, *, trusted: "TrustedKey | None") -> Verification:
    """Return a verification, completed by the comparison with receipt and signature."""
    verification = compare_with_receipt(verification, source)
    if source.place is not None:  # read on the Hub, where nothing lies beside it
        return verification
    signer = check_signer(source.path, identity=verification.identity, trusted=trusted)
    return verification.model_copy(update={"signer": signer})


def compare_with_receipt(verification: Verification, source: Source) -> Verification:
    """Return the verification, with a finding if the bytes that were read are not those that were fetched."""
    changes = find_changes(verification.source, verification.transport_sha256, source)
    return verification.model_copy(update={"findings": (*verification.findings, *changes)})


def compare_legacy_with_receipt(legacy: LegacyVerification, source: Source) -> LegacyVerification:
    """Return the verification, refused if the bytes that were read are not those that were fetched."""
    changes = find_changes(legacy.source, legacy.sha256, source)
    if not changes:
        return legacy
    return legacy.model_copy(update={"findings": (*legacy.findings, *changes), "outcome": LegacyOutcome.REFUSED})


def find_changes(name: str, sha256: str | None, source: Source) -> list[Finding]:
    """Return a finding if a fetched file no longer holds the bytes that were fetched."""
    if source.copy is None or sha256 in {None, source.copy.receipt.sha256}:
        return []
    expected = f"sha256 {source.copy.receipt.sha256}, as fetched"
    return [Finding(finding_class=FindingClass.CHANGED, path=name, expected=expected, found=f"sha256 {sha256}")]
