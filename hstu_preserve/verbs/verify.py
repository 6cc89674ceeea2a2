"""Say whether every byte of a bundle is the packed byte."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hstu_preserve.bundle.opening import open_verified
from hstu_preserve.certificates.checking import certificate_path, check_certificate, vouches
from hstu_preserve.errors import PreserveError, UnavailableError, UsageError, VerificationError
from hstu_preserve.library.addresses import hide_secrets, is_address
from hstu_preserve.library.sources import Form, Source, find, find_here, obtain, obtain_signature
from hstu_preserve.library.standard_input import STANDARD_INPUT, choose_list
from hstu_preserve.library.verification import (
    STREAM,
    compare_legacy_with_receipt,
    complete,
    verify_source,
)
from hstu_preserve.primitives.byte_sources import ByteSource
from hstu_preserve.primitives.voice import SILENT, Voice
from hstu_preserve.records.certificate import CERTIFICATE_SUFFIX, CertificateCheck
from hstu_preserve.records.legacy.verification import LegacyVerification
from hstu_preserve.records.signature import LEGACY_UNSIGNED, SignerOutcome
from hstu_preserve.records.verification import DeepCheck, Verification, VerificationReport, VerifiedTarget
from hstu_preserve.signing.signer import read_trusted_key

if TYPE_CHECKING:
    from hstu_preserve.signing.signer import TrustedKey


@dataclass(frozen=True, kw_only=True)
class Wish:
    """The guarantees that the user asks for.

    Attributes:
        deep: Whether the parts of each bundle are compared with each other, too.
        public_key: The key that must have signed each; None checks no signature.
        md5_list: The list that vouches for legacy archives; None takes a `MANIFEST.md` beside each.
    """

    deep: bool = False
    public_key: Path | None = None
    md5_list: Path | ByteSource | None = None


def verify(
    *targets: str | Path,
    deep: bool = False,
    public_key: str | Path | None = None,
    md5_list: str | Path | None = None,
    voice: Voice = SILENT,
) -> VerificationReport:
    """Compare bundles, runs and legacy archives with their manifests or lists; the report is false if one differs.

    A target that fails has its error as its result, and the others go on: nothing about a target is raised.

    Args:
        targets: Paths, `sample`, catalog ids, `hf://` addresses, or `-` for a bundle on standard input; also
            certificates, which are checked by themselves.
        deep: Compare the parts of each bundle with each other, too; needs PyTorch.
        public_key: The key that must have signed each, or certified that it passed; None checks no signature.
        md5_list: The list that vouches for legacy archives; None takes a `MANIFEST.md` beside each.
        voice: Shows how many bytes were read; names a file before it is fetched; says if the Hub does not answer.

    Returns:
        What was found of each target, in order; `ok` and `exit_code` sum it up.

    Raises:
        UsageError: No target, or standard input both as a target and as the list.
        ContentError: The list on standard input is too large.
    """
    if not targets:
        raise UsageError("nothing to verify: name a target")
    if str(md5_list) == STANDARD_INPUT and STANDARD_INPUT in map(str, targets):
        raise UsageError(f"{STANDARD_INPUT}: standard input is either the bundle or the list of digests, not both")
    key = None if public_key is None else Path(public_key)
    wish = Wish(deep=deep, public_key=key, md5_list=choose_list(md5_list))
    return VerificationReport(targets=tuple(verify_one(str(target), wish, voice=voice) for target in targets))


def verify_one(target: str, wish: Wish, *, voice: Voice) -> VerifiedTarget:
    """Return the verification of one target, or the reason why there is none."""
    try:
        if is_certificate(target):
            return report_certificate(target, wish)
        source = find_wanted(target, wish, voice=voice)
        if source.form is Form.LEGACY:
            return report_legacy(source, verify_legacy_source(source, wish, voice=voice))
        verification, checks = verify_bundle_source(source, wish, voice=voice)
        certificate = find_certificate(source, verification, wish, voice=voice)
    except PreserveError as error:
        return VerifiedTarget(
            target=hide_secrets(target), verification=None, deep=(), error=str(error), exit_code=error.exit_code
        )
    if certificate is not None:
        verification = count_certificate(verification, certificate)
    is_refused = certificate is not None and certificate.problem is not None
    passed = verification.ok and all(check.passed for check in checks) and not is_refused
    return VerifiedTarget(
        target=target,
        verification=verification,
        deep=checks,
        certificate=certificate,
        error=None,
        exit_code=0 if passed else VerificationError.exit_code,
    )


def is_certificate(target: str) -> bool:
    """Whether a target is a certificate on this machine, by its name; a folder of that name may be a bundle."""
    return target.endswith(CERTIFICATE_SUFFIX) and os.path.lexists(target) and not Path(target).is_dir()


def report_certificate(target: str, wish: Wish) -> VerifiedTarget:
    """Return the result for a certificate that is checked by itself: its form, and its key if one is named.

    Raises:
        UsageError: Something was asked that only a bundle has.
    """
    if wish.deep or wish.md5_list is not None:
        raise UsageError(f"{target}: a certificate, not a bundle: leave --deep and --md5-list out")
    check = check_certificate(Path(target), identity=None, trusted=read_trusted_key(wish.public_key))
    exit_code = 0 if check.problem is None else VerificationError.exit_code
    return VerifiedTarget(target=target, verification=None, deep=(), certificate=check, error=None, exit_code=exit_code)


def find_certificate(
    source: Source, verification: Verification, wish: Wish, *, voice: Voice
) -> CertificateCheck | None:
    """Return what the certificate beside a bundle says; None if there is none, or the bundle itself cannot be read.

    One on the Hub is read there, and said to be left out if that fails: a bundle is worth something without it.
    """
    identity, trusted = verification.identity, read_trusted_key(wish.public_key)
    if identity is None:
        return None
    if source.certificate is not None:
        try:
            return check_certificate(source.certificate, identity=identity, trusted=trusted)
        except UnavailableError as error:
            voice.say(f"{error}; going on without it")
            return None
    if source.place is not None or not isinstance(source.content, Path):
        return None
    path = certificate_path(source.content)
    return check_certificate(path, identity=identity, trusted=trusted) if os.path.lexists(path) else None


def count_certificate(verification: Verification, certificate: CertificateCheck) -> Verification:
    """Return the verification, in which a certificate of the named key stands in for the key's signature.

    Whoever ran a bundle again and signs that it passed vouches for its bytes as its author would.
    """
    signer, identity = verification.signer, verification.identity
    assert identity is not None
    if signer is None or signer.ok or signer.outcome not in {SignerOutcome.UNSIGNED, SignerOutcome.OTHER_KEY}:
        return verification
    if not vouches(certificate, identity=identity):
        return verification
    reason = (
        f"bytes, and a certificate: key {signer.trusted_keyid} attests that the bundle passed when it was run again"
    )
    counted = signer.model_copy(update={"outcome": SignerOutcome.CERTIFIED, "reason": reason})
    return verification.model_copy(update={"signer": counted})


def find_wanted(target: str, wish: Wish, *, voice: Voice) -> Source:
    """Return a target; a file on the Hub is read there, unless signatures or deep checks need it here."""
    if target == STANDARD_INPUT:
        return STREAM
    if not is_address(target):
        source = find_here(target, voice=voice)
    elif wish.deep or wish.public_key is not None:
        source = obtain(target, voice=voice)
    else:
        source = find(target, voice=voice)
    if wish.public_key is not None:
        obtain_signature(source, voice=voice)
    return source


def verify_bundle_source(source: Source, wish: Wish, *, voice: Voice) -> tuple[Verification, tuple[DeepCheck, ...]]:
    """Return the verification of a bundle or run, and the deep checks if they were asked for and all bytes are right.

    Raises:
        UsageError: A list of md5 digests, which no bundle needs; or deep checks of standard input.
    """
    if wish.md5_list is not None:
        raise UsageError(f"{source.text}: a native bundle, which has sha256 digests of its own; leave --md5-list out")
    trusted = read_trusted_key(wish.public_key)
    if wish.deep:
        return verify_deeply(source, trusted=trusted, voice=voice)
    return verify_source(source, trusted=trusted, voice=voice), ()


def verify_deeply(
    source: Source, *, trusted: "TrustedKey | None", voice: Voice
) -> tuple[Verification, tuple[DeepCheck, ...]]:
    """Return the verification of a bundle and its deep checks, on the tree that the same pass unpacked.

    Raises:
        UsageError: Standard input, which can be read only once.
    """
    if source.form is Form.STREAM:
        raise UsageError("verify --deep reads a bundle more than once; name a file")
    with open_verified(source.path, known=source.stored, voice=voice) as tree:
        verification = complete(tree.verification, source, trusted=trusted)
        if not verification.ok:
            return verification, ()
        if source.form is Form.MIGRATED:
            from hstu_preserve.legacy.consistency import check_migrated_tree, read_migrated_tree

            return verification, check_migrated_tree(read_migrated_tree(tree))
        from hstu_preserve.reruns.consistency import check_tree

        return verification, check_tree(tree, entry=source.entry)


def verify_legacy_source(source: Source, wish: Wish, *, voice: Voice) -> LegacyVerification:
    """Return the verification of a legacy archive, which nobody signed and which has no parts to compare.

    Raises:
        VerificationError: A key was given.
        UsageError: Deep checks were asked for.
    """
    if wish.public_key is not None:
        raise VerificationError(f"{source.text}: {LEGACY_UNSIGNED}")
    if wish.deep:
        raise UsageError(f"{source.text}: a legacy archive, not a native bundle: there is nothing to check with --deep")
    from hstu_preserve.legacy.verification import verify_legacy
    from hstu_preserve.library.catalog import find_by_file_name
    from hstu_preserve.library.kept import require_kept_list

    assert source.content is not None
    if wish.md5_list is None and source.copy is not None and source.place is None:
        require_kept_list(source.copy.receipt)
    digest_list = wish.md5_list or source.digest_list
    entry = source.entry or find_by_file_name(source.content.name)
    legacy = verify_legacy(source.content, md5_list=digest_list, place=source.place, entry=entry, voice=voice)
    return compare_legacy_with_receipt(legacy, source)


def report_legacy(source: Source, legacy: LegacyVerification) -> VerifiedTarget:
    """Return the result for a legacy archive."""
    return VerifiedTarget(
        target=source.text, verification=None, deep=(), legacy=legacy, error=None, exit_code=legacy.exit_code
    )
