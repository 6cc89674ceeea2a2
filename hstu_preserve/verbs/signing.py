"""Sign bundles."""

import os
from pathlib import Path

from hstu_preserve.bundle.verification import read_stored_manifest, verify_bundle
from hstu_preserve.errors import (
    MissingPathError,
    UsageError,
    VerificationError,
)
from hstu_preserve.legacy.recognition import require_native
from hstu_preserve.primitives.files import write_new
from hstu_preserve.records.signature import (
    SigningResult,
)
from hstu_preserve.signing.signer import signature_path


def is_protected(key: Path) -> bool:
    """Whether a private key's file needs a passphrase.

    Raises:
        MissingPathError: There is no such file.
    """
    from hstu_preserve.signing import signature

    return signature.needs_passphrase(key)


def sign(bundle: str | Path, *, key: str | Path, passphrase: str | None = None) -> SigningResult:
    """Verify a bundle and write its signature beside it; the bundle itself is not touched.

    Args:
        bundle: A bundle or run directory.
        key: The private key.
        passphrase: The key's, if it has one.

    Raises:
        UsageError: The signature exists, or the key cannot be used as named.
        VerificationError: The bundle differs from its manifest; nobody should sign such a bundle.
        ContentError: The key's file holds no Ed25519 key.
    """
    key = Path(key)
    from hstu_preserve.bundle.opening import require_same
    from hstu_preserve.signing import signature

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
    # The manifest is read once more for its bytes; somebody may have replaced the bundle since it was verified.
    stored = read_stored_manifest(path)
    require_same(verification.identity, stored, path=path)
    envelope = signature.sign(stored.content, private_key=private_key)
    write_new(destination, envelope.to_json())
    return SigningResult(bundle=path, path=destination, identity=stored.identity, keyid=envelope.signatures[0].keyid)
