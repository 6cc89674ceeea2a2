"""Verify the bundle that a target names, and compare its bytes with those that were fetched."""

import sys
from pathlib import Path

from hstu_preserve.bundle.signer import check_signer, read_trusted_key
from hstu_preserve.bundle.verification import verify_bundle
from hstu_preserve.errors import UsageError
from hstu_preserve.library.targets import require_local
from hstu_preserve.records.contents import Finding, FindingClass
from hstu_preserve.records.downloads import Receipt
from hstu_preserve.records.legacy import LegacyOutcome, LegacyVerification
from hstu_preserve.records.verification import Verification

STANDARD_INPUT = "-"


def verify(target: str | Path, *, public_key: Path | None = None) -> Verification:
    """Compare a bundle, run directory or standard input with its own manifest.

    Args:
        target: A path, `sample`, a catalog id, or `-` for a bundle on standard input.
        public_key: The key that must have signed it; None checks no signature.

    Returns:
        Every difference; `ok` where there is none. Differences raise nothing.

    Raises:
        MissingPathError: There is nothing at the path.
        UnavailableError: It cannot be read, or the bundle of a catalog id is not on this machine.
        UsageError: A key for standard input, beside which no signature can lie.
    """
    trusted = read_trusted_key(public_key)
    if str(target) == STANDARD_INPUT:
        if trusted is not None:
            raise UsageError("-: a signature lies beside a file; name the file to check it with --public-key")
        return verify_bundle(sys.stdin.buffer)
    local = require_local(str(target))
    verification = compare_with_receipt(verify_bundle(local.path), local.receipt)
    signer = check_signer(local.path, identity=verification.identity, trusted=trusted)
    return verification.model_copy(update={"signer": signer})


def compare_with_receipt(verification: Verification, receipt: Receipt | None) -> Verification:
    """Return the verification, with a finding where the bytes that were read are not those that were fetched."""
    changes = find_changes(verification.source, verification.transport_sha256, receipt)
    return verification.model_copy(update={"findings": (*verification.findings, *changes)})


def compare_legacy_with_receipt(legacy: LegacyVerification, receipt: Receipt | None) -> LegacyVerification:
    """Return the verification, refused where the bytes that were read are not those that were fetched."""
    changes = find_changes(legacy.source, legacy.sha256, receipt)
    if not changes:
        return legacy
    return legacy.model_copy(update={"findings": (*legacy.findings, *changes), "outcome": LegacyOutcome.REFUSED})


def find_changes(source: str, sha256: str | None, receipt: Receipt | None) -> list[Finding]:
    """Return what tells that the bytes of a file are no more those that were fetched."""
    if receipt is None or sha256 in {None, receipt.sha256}:
        return []
    expected = f"sha256 {receipt.sha256}, as fetched"
    return [Finding(finding_class=FindingClass.CHANGED, path=source, expected=expected, found=f"sha256 {sha256}")]
