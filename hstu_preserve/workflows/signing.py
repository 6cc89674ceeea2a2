"""Make keys, sign bundles, and say who signed one."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

from hstu_preserve.bundle.legacy import require_native
from hstu_preserve.bundle.tree import MAX_MANIFEST_BYTES, read_at_most
from hstu_preserve.bundle.verification import read_stored_manifest, verify_bundle
from hstu_preserve.errors import (
    ContentError,
    MissingPathError,
    PreserveError,
    UnavailableError,
    UsageError,
    VerificationError,
)
from hstu_preserve.primitives.canonical_json import require_canonical
from hstu_preserve.primitives.digests import sha256_of_bytes
from hstu_preserve.primitives.files import write_atomically
from hstu_preserve.primitives.strict_json import strict_loads
from hstu_preserve.records.signature import (
    UNSIGNED,
    Envelope,
    KeyResult,
    SignerCheck,
    SignerOutcome,
    SigningResult,
)

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

SIGNATURE_SUFFIX = ".sig"
PUBLIC_SUFFIX = ".pub"
MAX_SIGNATURE_BYTES = 2 * MAX_MANIFEST_BYTES
PRIVATE_MODE = 0o600
PUBLIC_MODE = 0o644


def keygen(output: Path, *, passphrase: str | None = None) -> KeyResult:
    """Write a new pair of Ed25519 keys: `output`, for its owner only, and beside it `output`.pub.

    Args:
        output: The private key's new file.
        passphrase: Encrypts the private key's file; None leaves it readable for whoever has the file.

    Raises:
        UsageError: A file exists, or the passphrase is empty.
        UnavailableError: The directory cannot be written.
    """
    from hstu_preserve.bundle import signature

    if passphrase == "":
        raise UsageError("the passphrase is empty; leave it out where none is wanted")
    public = output.with_name(output.name + PUBLIC_SUFFIX)
    key = signature.generate_key()
    write_new(output, signature.encode_private_key(key, passphrase=passphrase), mode=PRIVATE_MODE)
    try:
        write_new(public, signature.encode_public_key(key.public_key()), mode=PUBLIC_MODE)
    except PreserveError:
        output.unlink(missing_ok=True)
        raise
    return KeyResult(
        path=output,
        public_path=public,
        keyid=signature.key_id(key.public_key()),
        is_encrypted=passphrase is not None,
    )


def write_new(path: Path, content: bytes, *, mode: int) -> None:
    """Write a file that did not exist, never readable for others than `mode` says.

    Raises:
        UsageError: It exists.
        MissingPathError: There is no directory to put it in.
        UnavailableError: It cannot be written; nothing is left behind.
    """
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, mode)
    except FileExistsError:
        raise UsageError(f"{path}: exists; keys are never overwritten, name another file") from None
    except FileNotFoundError:
        raise MissingPathError(f"{path.parent}: no such directory") from None
    except OSError as error:
        raise UnavailableError(f"{path}: cannot be written ({error.strerror})") from None
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
    except OSError as error:
        path.unlink(missing_ok=True)
        raise UnavailableError(f"{path}: cannot be written ({error.strerror})") from None


def is_protected(key: Path) -> bool:
    """Whether a private key's file needs a passphrase.

    Raises:
        MissingPathError: There is no such file.
    """
    from hstu_preserve.bundle import signature

    return signature.needs_passphrase(key)


def sign(bundle: str | Path, *, key: Path, passphrase: str | None = None) -> SigningResult:
    """Verify a bundle and write its signature beside it; the bundle itself is not touched.

    Args:
        bundle: A bundle or run directory.
        key: The private key.
        passphrase: The key's, where it has one.

    Raises:
        UsageError: The signature exists, or the key cannot be used as named.
        VerificationError: The bundle is not what its manifest says, which nobody should sign.
        ContentError: The key's file holds no Ed25519 key.
    """
    from hstu_preserve.bundle import signature
    from hstu_preserve.workflows.bundles import require_same

    path = Path(bundle)
    if not path.exists():
        raise MissingPathError(f"{path}: no such file or directory")
    destination = signature_path(path)
    if os.path.lexists(destination):
        raise UsageError(f"{destination}: exists; remove it to sign anew")
    private_key = signature.read_private_key(key, passphrase=passphrase)
    require_native(path)
    verification = verify_bundle(path)
    if not verification.ok:
        raise VerificationError(verification.describe(), findings=verification.findings)
    stored = read_stored_manifest(path)
    require_same(stored, verification.identity, path=path)
    envelope = signature.sign(stored.content, private_key=private_key)
    write_atomically(destination, envelope.to_json())
    return SigningResult(bundle=path, path=destination, identity=stored.identity, keyid=envelope.signatures[0].keyid)


def signature_path(path: Path) -> Path:
    """Return where a bundle's signature lies: beside it."""
    place = path if path.name not in {"", ".."} else path.resolve()
    return place.parent / (place.name + SIGNATURE_SUFFIX)  # with_name would refuse the root, which has none


def check_signer(path: Path, *, identity: str | None, trusted: "Ed25519PublicKey | None") -> SignerCheck:
    """Say who signed the bundle whose manifest has this identity, as far as the trusted key can tell.

    Args:
        path: The bundle or directory.
        identity: What verification found; None where no manifest could be read.
        trusted: The key to check with; None only reads what lies beside the bundle.
    """
    place = signature_path(path)
    try:
        envelope = read_envelope(place)
    except MissingPathError:
        reason = UNSIGNED if trusted is None else f"nobody signed this (no {place})"
        return describe_check(SignerOutcome.UNSIGNED, reason, keyids=(), trusted=trusted)
    except ContentError as error:
        return describe_check(SignerOutcome.DAMAGED, str(error), keyids=(), trusted=trusted)
    if trusted is None:
        return describe_unchecked(envelope, identity=identity)
    from hstu_preserve.bundle import signature

    return signature.check(envelope, identity=identity, public_key=trusted)


def read_trusted_key(path: Path | None) -> "Ed25519PublicKey | None":
    """Return the public key in a file, or None where none was named.

    Raises:
        UsageError: There is no such file, or it is a private key.
        ContentError: It holds no Ed25519 public key.
    """
    if path is None:
        return None
    from hstu_preserve.bundle import signature

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
    """Say what can be said of a signature without a key: which manifest it is for, and whose it claims to be."""
    keyids = tuple(one.keyid for one in envelope.signatures)
    signed = sha256_of_bytes(envelope.manifest_content)
    if signed != identity:
        reason = f"the signature beside it is for another manifest (sha256:{signed})"
        return describe_check(SignerOutcome.OTHER_MANIFEST, reason, keyids=keyids, trusted=None)
    reason = f"integrity only; signed by keyid {', '.join(keyids)}, not checked: name the key with --public-key"
    return describe_check(SignerOutcome.UNCHECKED, reason, keyids=keyids, trusted=None)


def describe_check(
    outcome: SignerOutcome, reason: str, *, keyids: tuple[str, ...], trusted: "Ed25519PublicKey | None"
) -> SignerCheck:
    """Return the record of a check that needed no arithmetic."""
    trusted_keyid = None
    if trusted is not None:
        from hstu_preserve.bundle import signature

        trusted_keyid = signature.key_id(trusted)
    return SignerCheck(outcome=outcome, reason=reason, keyids=keyids, trusted_keyid=trusted_keyid)
