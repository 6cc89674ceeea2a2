"""Check a certificate: the form of its statements, the bundle they are about, and the key that signed them."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from hstu_preserve.bundle.tree import read_at_most
from hstu_preserve.certificates.envelopes import STATEMENT_PAYLOAD_TYPE, Line, decode_base64, read_lines
from hstu_preserve.errors import ContentError
from hstu_preserve.primitives.byte_sources import ByteSource
from hstu_preserve.primitives.files import CHUNK_BYTES
from hstu_preserve.primitives.wording import list_some, printable
from hstu_preserve.records.certificate import (
    CERTIFICATE_SUFFIX,
    MAX_BYTES,
    Attestation,
    CertificateCheck,
    SignatureOutcome,
)
from hstu_preserve.signing.signer import path_beside

if TYPE_CHECKING:
    from hstu_preserve.signing.signer import TrustedKey

MAX_NAMED = 3


def certificate_path(bundle: Path) -> Path:
    """Return the path of a bundle's certificate, which lies beside the bundle."""
    return path_beside(bundle, suffix=CERTIFICATE_SUFFIX)


def check_certificate(
    place: Path | ByteSource, *, identity: str | None, trusted: "TrustedKey | None"
) -> CertificateCheck:
    """Say what a certificate attests, and whether it is to be refused.

    Args:
        place: The certificate, here or on the Hub.
        identity: Of the bundle that it should be about; None if it is checked by itself.
        trusted: The key to check it with; with None, signatures are read but not checked.

    Raises:
        MissingPathError: There is no such file.
        UnavailableError: It cannot be read.
    """
    try:
        content = read_content(place)
    except ContentError as error:
        return CertificateCheck(path=str(place), attestations=(), problem=str(error))
    return check_content(content, source=str(place), identity=identity, trusted=trusted)


def read_content(place: Path | ByteSource) -> bytes:
    """Return the bytes of a certificate, of which no more are read than one may have.

    Raises:
        ContentError: It is larger, not a regular file, or not what the Hub lists.
        MissingPathError: There is no such file.
        UnavailableError: It cannot be read.
    """
    if isinstance(place, Path):
        return read_at_most(place, max_bytes=MAX_BYTES)
    if place.size > MAX_BYTES:
        raise ContentError(f"{place}: larger than {MAX_BYTES} bytes")
    with place.open() as stream:
        return b"".join(iter(lambda: stream.read(CHUNK_BYTES), b""))


def check_content(
    content: bytes, *, source: str, identity: str | None, trusted: "TrustedKey | None"
) -> CertificateCheck:
    """Say of a certificate's bytes what `check_certificate` says of the file.

    Args:
        content: At most as many as `read_content` reads.
        source: What they are, for messages.
        identity: Of the bundle that it should be about; None if it is checked by itself.
        trusted: The key to check it with; with None, signatures are read but not checked.
    """
    try:
        attestations = tuple(
            describe_line(line, trusted=trusted, source=f"{source}: line {number}")
            for number, line in enumerate(read_lines(content, source=source), start=1)
        )
    except ContentError as error:
        return CertificateCheck(path=source, attestations=(), problem=str(error))
    problem = find_problem(attestations, identity=identity, trusted=trusted)
    named = None if problem is None else f"{source}: {problem}"
    return CertificateCheck(path=source, attestations=attestations, problem=named)


def describe_line(line: Line, *, trusted: "TrustedKey | None", source: str) -> Attestation:
    """Return what one line attests; of another kind than this program reads, only who signed it.

    Raises:
        ContentError: It calls itself a statement that this program reads, and is none.
    """
    signature = judge_signature(line, trusted=trusted)
    keyids = tuple(one.keyid for one in line.signatures)
    if line.payloadType != STATEMENT_PAYLOAD_TYPE:
        kind = line.payloadType
        return Attestation(signature=signature, keyids=keyids, subject=None, predicate_type=kind, result=None)
    from hstu_preserve.certificates.statements import read_predicate, read_statement  # most bundles have none

    statement = read_statement(line.content, source=source)
    found = read_predicate(statement, source=source)
    about = Attestation(
        signature=signature,
        keyids=keyids,
        subject=statement.identity,
        predicate_type=statement.predicateType,
        result=None,
    )
    if found is None:
        return about
    results, finished_at = found
    return about.model_copy(
        update={
            "result": results.result,
            "passed": results.passedTests,
            "warned": results.warnedTests,
            "failed": results.failedTests,
            "finished_at": finished_at,
        }
    )


def judge_signature(line: Line, *, trusted: "TrustedKey | None") -> SignatureOutcome:
    """Say whether the trusted key signed a line."""
    if trusted is None:
        return SignatureOutcome.UNCHECKED
    # Here and not above: only who names a key has to load `cryptography`.
    from hstu_preserve.signing import signature

    for one in line.signatures:
        made = decode_base64(one.sig)
        if signature.is_valid(made, payload=line.content, payload_type=line.payloadType, public_key=trusted):
            return SignatureOutcome.SIGNED
    names_trusted = signature.key_id(trusted) in {one.keyid for one in line.signatures}
    return SignatureOutcome.DAMAGED if names_trusted else SignatureOutcome.OTHER_KEY


def find_problem(
    attestations: Sequence[Attestation], *, identity: str | None, trusted: "TrustedKey | None"
) -> str | None:
    """Return why a certificate is refused, None if it is not.

    What other keys signed is passed over if it lies beside a bundle: anybody may add a line.
    """
    damaged = [n for n, one in enumerate(attestations, start=1) if one.signature is SignatureOutcome.DAMAGED]
    if damaged:
        return f"line {damaged[0]} names the key, and that key did not make it: it was changed since it was signed"
    own = [one for one in attestations if one.signature is not SignatureOutcome.OTHER_KEY]
    if identity is None:
        return None if own else describe_other_key(attestations, trusted=trusted)
    subjects = {one.subject for one in own or attestations}
    if identity in subjects:
        return None
    named = ", ".join(f"sha256:{one}" for one in sorted(filter(None, subjects))[:MAX_NAMED]) or "no bundle"
    return f"about another bundle (it names {printable(named)}, this one is sha256:{identity})"


def describe_other_key(attestations: Sequence[Attestation], *, trusted: "TrustedKey | None") -> str:
    """Say that no line is signed by the trusted key."""
    from hstu_preserve.signing import signature

    assert trusted is not None  # without a key, no line is another key's
    keyids = sorted({keyid or "a key without a name" for one in attestations for keyid in one.keyids})
    found = printable(list_some(keyids, at_most=MAX_NAMED))
    return f"signed by another key (expected {signature.key_id(trusted)}, found {found})"


def vouches(check: CertificateCheck, *, identity: str) -> bool:
    """Whether the trusted key attests of this bundle that it passed, and nowhere that it failed."""
    results = {
        one.result for one in check.attestations if one.signature is SignatureOutcome.SIGNED and one.subject == identity
    }
    return check.problem is None and "PASSED" in results and "FAILED" not in results
