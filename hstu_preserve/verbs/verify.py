"""Say whether every byte of a bundle is the packed byte."""

from collections.abc import Sequence
from pathlib import Path

from hstu_preserve.bundle.verification import verify_bundle
from hstu_preserve.errors import PreserveError, UsageError, VerificationError
from hstu_preserve.legacy.recognition import is_legacy
from hstu_preserve.library.obtaining import obtain_signature
from hstu_preserve.library.targets import REMOTE_PREFIX, LocalTarget, parse_remote, require_local
from hstu_preserve.library.verification import STANDARD_INPUT, compare_legacy_with_receipt, compare_with_receipt, verify
from hstu_preserve.primitives.voice import SILENT, Voice
from hstu_preserve.records.manifest import MigratedManifest
from hstu_preserve.records.verification import DeepCheck, Verification, VerificationReport, VerifiedTarget


def verify_all(
    targets: Sequence[str],
    *,
    deep: bool = False,
    public_key: Path | None = None,
    md5_list: Path | None = None,
    voice: Voice = SILENT,
) -> VerificationReport:
    """Verify several targets, each in any case; what stopped one is its result.

    Args:
        targets: As `verify` takes them.
        deep: Hold the parts of each bundle against each other, too; needs PyTorch.
        public_key: The key that must have signed each; None checks no signature.
        md5_list: The list that vouches for legacy archives; None takes a `MANIFEST.md` beside each.
        voice: Says what will be fetched, and where the Hub does not answer.
    """
    return VerificationReport(
        targets=tuple(
            verify_one(target, deep=deep, public_key=public_key, md5_list=md5_list, voice=voice) for target in targets
        )
    )


def verify_one(
    target: str, *, deep: bool, public_key: Path | None, md5_list: Path | None, voice: Voice
) -> VerifiedTarget:
    """Return the verification of one target, or the reason why there is none."""
    checks: tuple[DeepCheck, ...] = ()
    try:
        if target.startswith(REMOTE_PREFIX):
            if not deep and public_key is None:
                return verify_remote(target, md5_list=md5_list, voice=voice)
            fetch_remote(target, voice=voice)
        if target != STANDARD_INPUT:
            obtain_signature(target, public_key=public_key, voice=voice)
        local = None if target == STANDARD_INPUT else require_local(target)
        if local is not None and local.notice is not None:
            voice.say(local.notice)
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


def verify_remote(target: str, *, md5_list: Path | None, voice: Voice) -> VerifiedTarget:
    """Return the verification of a bundle on the Hub, read once and not kept."""
    from hstu_preserve.library.remote import open_target

    opened = open_target(parse_remote(target), voice=voice)
    source = opened.content
    if is_legacy(source):
        from hstu_preserve.legacy.verification import verify_legacy

        legacy = verify_legacy(source, md5_list=md5_list or opened.digest_list, place=opened.place)
        legacy = compare_legacy_with_receipt(legacy, opened.receipt)
        return VerifiedTarget(
            target=target, verification=None, deep=(), legacy=legacy, error=None, exit_code=legacy.exit_code
        )
    verification = compare_with_receipt(verify_bundle(source), opened.receipt)
    exit_code = 0 if verification.ok else VerificationError.exit_code
    return VerifiedTarget(target=target, verification=verification, deep=(), error=None, exit_code=exit_code)


def fetch_remote(target: str, *, voice: Voice) -> None:
    """Bring a bundle on the Hub here: signatures and deep checks need more than one pass."""
    from hstu_preserve.library.remote import fetch_missing

    fetch_missing(target, voice=voice)


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
    from hstu_preserve.legacy.verification import verify_legacy
    from hstu_preserve.library.kept import require_kept_list

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
        from hstu_preserve.legacy.consistency import verify_migrated_deeply

        return verify_migrated_deeply(path, identity=verification.identity)
    from hstu_preserve.reruns.consistency import verify_deeply

    return verify_deeply(path, identity=verification.identity)
