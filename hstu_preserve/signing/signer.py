"""Say who signed a bundle: find the signature beside it and check it with a trusted key."""

from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from hstu_preserve.bundle.layout import MAX_MANIFEST_BYTES
from hstu_preserve.bundle.tree import read_at_most
from hstu_preserve.errors import ContentError, MissingPathError
from hstu_preserve.primitives.canonical_json import require_canonical
from hstu_preserve.primitives.digests import sha256_of_bytes
from hstu_preserve.primitives.strict_json import strict_loads
from hstu_preserve.records.signature import (
    NOBODY_SIGNED,
    SIGNATURE_SUFFIX,
    UNSIGNED,
    Envelope,
    SignerCheck,
    SignerOutcome,
)

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

    TrustedKey: TypeAlias = Ed25519PublicKey
    SigningKey: TypeAlias = Ed25519PrivateKey


MAX_SIGNATURE_BYTES = 2 * MAX_MANIFEST_BYTES


def signature_path(path: Path) -> Path:
    """Return the path of a bundle's signature, which lies beside the bundle."""
    return path_beside(path, suffix=SIGNATURE_SUFFIX)


def path_beside(path: Path, *, suffix: str) -> Path:
    """Return the path beside a bundle that has the bundle's name with one more suffix."""
    place = path if path.name not in {"", ".."} else path.resolve()
    return place.parent / (place.name + suffix)  # with_name would refuse the root, which has none


def check_signer(path: Path, *, identity: str | None, trusted: "TrustedKey | None") -> SignerCheck:
    """Say who signed the bundle whose manifest has this identity, as far as the trusted key can tell.

    Args:
        path: The bundle or directory.
        identity: The identity that verification found; None if no manifest could be read.
        trusted: The key to check with; with None, the signature is read but not checked.
    """
    place = signature_path(path)
    try:
        envelope = read_envelope(place)
    except MissingPathError:
        reason = UNSIGNED if trusted is None else f"{NOBODY_SIGNED} (no {place})"
        return describe_check(SignerOutcome.UNSIGNED, reason, keyids=(), trusted=trusted)
    except ContentError as error:
        return describe_check(SignerOutcome.DAMAGED, str(error), keyids=(), trusted=trusted)
    if trusted is None:
        return describe_unchecked(envelope, identity=identity)
    # Here and not above: only who names a key has to load `cryptography`.
    from hstu_preserve.signing import signature

    return signature.check(envelope, identity=identity, public_key=trusted)


def read_trusted_key(path: Path | None) -> "TrustedKey | None":
    """Return the public key in a file, or None if the user named no file.

    Raises:
        UsageError: There is no such file, or it is a private key.
        ContentError: It holds no Ed25519 public key.
    """
    if path is None:
        return None
    from hstu_preserve.signing import signature

    return signature.read_public_key(path)


def read_envelope(path: Path) -> Envelope:
    """Read a signature's file.

    Raises:
        MissingPathError: There is none.
        ContentError: It is no canonical envelope.
    """
    content = read_at_most(path, max_bytes=MAX_SIGNATURE_BYTES)
    envelope = Envelope.from_json(content, source=str(path))
    require_canonical(content, strict_loads(content, source=str(path)), source=str(path))
    return envelope


def describe_unchecked(envelope: Envelope, *, identity: str | None) -> SignerCheck:
    """Describe a signature without checking it: the manifest that it is for, and the key ids that it names."""
    keyids = tuple(one.keyid for one in envelope.signatures)
    signed = sha256_of_bytes(envelope.manifest_content)
    if signed != identity:
        reason = f"the signature beside it is for another manifest (sha256:{signed})"
        return describe_check(SignerOutcome.OTHER_MANIFEST, reason, keyids=keyids, trusted=None)
    reason = f"integrity only; signed by keyid {', '.join(keyids)}, not checked: name the key with --public-key"
    return describe_check(SignerOutcome.UNCHECKED, reason, keyids=keyids, trusted=None)


def describe_check(
    outcome: SignerOutcome, reason: str, *, keyids: tuple[str, ...], trusted: "TrustedKey | None"
) -> SignerCheck:
    """Return the record of a check that needed no arithmetic."""
    trusted_keyid = None
    if trusted is not None:
        from hstu_preserve.signing import signature

        trusted_keyid = signature.key_id(trusted)
    return SignerCheck(outcome=outcome, reason=reason, keyids=keyids, trusted_keyid=trusted_keyid)
