"""Say whether every byte of a bundle is the packed byte."""

import sys
from collections.abc import Sequence
from pathlib import Path

from hstu_preserve.bundle.legacy import is_legacy
from hstu_preserve.bundle.verification import verify_bundle
from hstu_preserve.errors import PreserveError, UsageError, VerificationError
from hstu_preserve.records.contents import Finding, FindingClass
from hstu_preserve.records.downloads import Receipt
from hstu_preserve.records.legacy import LegacyOutcome, LegacyVerification
from hstu_preserve.records.manifest import MigratedManifest
from hstu_preserve.records.verification import DeepCheck, Verification, VerificationReport, VerifiedTarget
from hstu_preserve.workflows.obtaining import obtain_signature
from hstu_preserve.workflows.progress import Announcer, say_nothing
from hstu_preserve.workflows.signing import check_signer, read_trusted_key
from hstu_preserve.workflows.targets import REMOTE_PREFIX, LocalTarget, parse_remote, require_local

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


def verify_all(
    targets: Sequence[str],
    *,
    deep: bool = False,
    public_key: Path | None = None,
    md5_list: Path | None = None,
    announce: Announcer = say_nothing,
) -> VerificationReport:
    """Verify several targets, each in any case; what stopped one is its result.

    Args:
        targets: As `verify` takes them.
        deep: Hold the parts of each bundle against each other, too; needs PyTorch.
        public_key: The key that must have signed each; None checks no signature.
        md5_list: The list that vouches for legacy archives; None takes a `MANIFEST.md` beside each.
        announce: Is told what will be fetched, and where the Hub does not answer.
    """
    return VerificationReport(
        targets=tuple(
            verify_one(target, deep=deep, public_key=public_key, md5_list=md5_list, announce=announce)
            for target in targets
        )
    )


def verify_one(
    target: str, *, deep: bool, public_key: Path | None, md5_list: Path | None, announce: Announcer
) -> VerifiedTarget:
    """Return the verification of one target, or the reason why there is none."""
    checks: tuple[DeepCheck, ...] = ()
    try:
        if target.startswith(REMOTE_PREFIX):
            if not deep and public_key is None:
                return verify_remote(target, md5_list=md5_list, announce=announce)
            fetch_remote(target, announce=announce)
        if target != STANDARD_INPUT:
            obtain_signature(target, public_key=public_key, announce=announce)
        local = None if target == STANDARD_INPUT else require_local(target)
        if local is not None and local.notice is not None:
            announce(local.notice)
        if local is not None and is_legacy(local.path):
            return verify_legacy_target(local, deep=deep, public_key=public_key, md5_list=md5_list)
        if md5_list is not None:
            raise UsageError(f"{target}: a native bundle, which has sha256 digests of its own; leave --md5-list out")
        verification = verify(target, public_key=public_key)
        if deep and verification.ok:
            checks = check_deeply(target, verification)
    except PreserveError as error:
        return VerifiedTarget(target=target, verification=None, deep=(), error=str(error), exit_code=error.exit_code)
    passed = verification.ok and all(check.passed for check in checks)
    exit_code = 0 if passed else VerificationError.exit_code
    return VerifiedTarget(target=target, verification=verification, deep=checks, error=None, exit_code=exit_code)


def verify_remote(target: str, *, md5_list: Path | None, announce: Announcer) -> VerifiedTarget:
    """Return the verification of a bundle on the Hub, read once and not kept."""
    from hstu_preserve.workflows.remote import open_target

    opened = open_target(parse_remote(target), announce=announce)
    source = opened.content
    if is_legacy(source):
        from hstu_preserve.workflows.legacy import verify_legacy

        legacy = verify_legacy(source, md5_list=md5_list or opened.digest_list, place=opened.place)
        legacy = compare_legacy_with_receipt(legacy, opened.receipt)
        return VerifiedTarget(
            target=target, verification=None, deep=(), legacy=legacy, error=None, exit_code=legacy.exit_code
        )
    verification = compare_with_receipt(verify_bundle(source), opened.receipt)
    exit_code = 0 if verification.ok else VerificationError.exit_code
    return VerifiedTarget(target=target, verification=verification, deep=(), error=None, exit_code=exit_code)


def fetch_remote(target: str, *, announce: Announcer) -> None:
    """Bring a bundle on the Hub here: signatures and deep checks need more than one pass."""
    from hstu_preserve.workflows.remote import fetch_missing

    fetch_missing(target, announce=announce)


def verify_legacy_target(
    archive: LocalTarget, *, deep: bool, public_key: Path | None, md5_list: Path | None
) -> VerifiedTarget:
    """Return the verification of a legacy archive, which nobody signed and which has no parts to hold together.

    Raises:
        VerificationError: A key was given.
        UsageError: Deep checks were asked for.
    """
    if public_key is not None:
        raise VerificationError(f"{archive.text}: a legacy archive, not a native bundle: nobody signed it")
    if deep:
        raise UsageError(
            f"{archive.text}: a legacy archive, not a native bundle: there is nothing to check with --deep"
        )
    from hstu_preserve.workflows.kept import require_kept_list
    from hstu_preserve.workflows.legacy import verify_legacy

    if md5_list is None and archive.receipt is not None:
        require_kept_list(archive.receipt)
    legacy = compare_legacy_with_receipt(verify_legacy(archive.path, md5_list=md5_list), archive.receipt)
    return VerifiedTarget(
        target=archive.text, verification=None, deep=(), legacy=legacy, error=None, exit_code=legacy.exit_code
    )


def check_deeply(target: str, verification: Verification) -> tuple[DeepCheck, ...]:
    """Return the deep checks of a target whose bytes are as packed.

    Raises:
        UsageError: Standard input, which can be read only once.
    """
    if target == STANDARD_INPUT:
        raise UsageError("verify --deep reads a bundle more than once; name a file")
    path = require_local(target).path
    if isinstance(verification.manifest, MigratedManifest):
        from hstu_preserve.workflows.migrated_verification import verify_migrated_deeply

        return verify_migrated_deeply(path, identity=verification.identity)
    from hstu_preserve.workflows.deep_verification import verify_deeply

    return verify_deeply(path, identity=verification.identity)
