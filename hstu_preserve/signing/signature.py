"""Sign bytes and check such a signature: Ed25519 over DSSE's pre-authentication encoding.

A bundle's signature is over its manifest, a certificate's over a statement; the payload type tells them apart.

Only this module imports `cryptography`; code that needs no key does not import this module.
DSSE v1: https://github.com/secure-systems-lab/dsse/blob/v1.0.2/protocol.md
"""

import base64
from pathlib import Path

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from hstu_preserve.errors import ContentError, UsageError
from hstu_preserve.primitives.digests import sha256_of_bytes
from hstu_preserve.primitives.files import read_bytes
from hstu_preserve.records.signature import PAYLOAD_TYPE, Envelope, KeySignature, SignerCheck, SignerOutcome

ENCRYPTED_LABEL = b"ENCRYPTED"
PRIVATE_LABEL = b"PRIVATE KEY-----"

FIELD_PRIME = 2**255 - 19
ORDER_8_Y = 0x05FC536D880238B13933C6D305ACDFD5F098EFF289F4C345B027B2C28F95E826
"""y of two of the four points of order 8 on edwards25519; the other two have its negative."""
SMALL_ORDER_Y = frozenset({0, 1, FIELD_PRIME - 1, ORDER_8_Y, FIELD_PRIME - ORDER_8_Y})
"""y of the eight points whose order divides the cofactor 8: 0 has order 4, 1 is neutral, -1 has order 2."""


def generate_key() -> Ed25519PrivateKey:
    """Return a new private key."""
    return Ed25519PrivateKey.generate()


def key_id(public_key: Ed25519PublicKey) -> str:
    """Return the sha256 of the raw public key, which names the key."""
    return sha256_of_bytes(public_key.public_bytes_raw())


def encode_for_signing(payload: bytes, *, payload_type: str) -> bytes:
    """Return DSSE's pre-authentication encoding: type and content, each with its length, so that neither can shift."""
    kind = payload_type.encode()
    return b" ".join([b"DSSEv1", str(len(kind)).encode(), kind, str(len(payload)).encode(), payload])


def sign(manifest_content: bytes, *, private_key: Ed25519PrivateKey) -> Envelope:
    """Return the envelope that holds the manifest's bytes and their signature."""
    return Envelope(
        payloadType=PAYLOAD_TYPE,
        payload=base64.b64encode(manifest_content).decode(),
        signatures=(make_signature(manifest_content, payload_type=PAYLOAD_TYPE, private_key=private_key),),
    )


def make_signature(payload: bytes, *, payload_type: str, private_key: Ed25519PrivateKey) -> KeySignature:
    """Return the key's signature over a payload of this type."""
    signature = private_key.sign(encode_for_signing(payload, payload_type=payload_type))
    return KeySignature(keyid=key_id(private_key.public_key()), sig=base64.b64encode(signature).decode())


def check(envelope: Envelope, *, identity: str | None, public_key: Ed25519PublicKey) -> SignerCheck:
    """Say whether the key signed the manifest with this identity.

    Args:
        envelope: As read from beside the bundle.
        identity: The sha256 of the bundle's manifest; None if its manifest cannot be read.
        public_key: The key that is trusted.
    """
    trusted = key_id(public_key)
    keyids = tuple(signature.keyid for signature in envelope.signatures)
    signed = sha256_of_bytes(envelope.manifest_content)
    holds = any(
        is_valid(
            base64.b64decode(one.sig),
            payload=envelope.manifest_content,
            payload_type=envelope.payloadType,
            public_key=public_key,
        )
        for one in envelope.signatures
    )
    # First, since an old envelope beside new files holds a valid signature, only of another manifest.
    if signed != identity:
        outcome = SignerOutcome.OTHER_MANIFEST
        signer = f"key {trusted} signed" if holds else "the signature is for"
        reason = f"{signer} another manifest (signed sha256:{signed}, this one is {describe_identity(identity)})"
    elif holds:
        outcome, reason = SignerOutcome.SIGNED, f"bytes and signer: signed by key {trusted}"
    elif trusted in keyids:
        outcome = SignerOutcome.DAMAGED
        reason = f"the signature names key {trusted}, and that key did not make it"
    else:
        outcome = SignerOutcome.OTHER_KEY
        reason = f"signed by another key (expected {trusted}, found {', '.join(keyids)})"
    return SignerCheck(outcome=outcome, reason=reason, keyids=keyids, trusted_keyid=trusted)


def require_strong(public_key: Ed25519PublicKey, *, source: Path) -> None:
    """Refuse a key for which somebody without the private one can make signatures.

    Under a key of small order one signature holds for many messages, or for every one; OpenSSL does not look. A y that
    is not below the field's prime is another spelling of some key (RFC 8032, section 5.1.3), so that one key would
    have two key ids.

    Raises:
        ContentError: It is such a key.
    """
    y = int.from_bytes(public_key.public_bytes_raw(), "little") % 2**255  # the top bit is the sign of x
    if y >= FIELD_PRIME:
        raise ContentError(f"{source}: not a key that anybody made (its point is not in canonical form)")
    if y in SMALL_ORDER_Y:
        raise ContentError(f"{source}: a key of small order, under which anybody can sign; trust no such key")


def is_valid(signature: bytes, *, payload: bytes, payload_type: str, public_key: Ed25519PublicKey) -> bool:
    """Whether the key made this signature over this payload; the key id that a signature names is never asked."""
    try:
        public_key.verify(signature, encode_for_signing(payload, payload_type=payload_type))
    except InvalidSignature:
        return False
    return True


def describe_identity(identity: str | None) -> str:
    """Return the identity as it is written everywhere, or that there is none."""
    return "unreadable" if identity is None else f"sha256:{identity}"


def encode_private_key(private_key: Ed25519PrivateKey, *, passphrase: str | None) -> bytes:
    """Return the key as PKCS8 PEM, encrypted if there is a passphrase."""
    protection: serialization.KeySerializationEncryption = serialization.NoEncryption()
    if passphrase is not None:
        protection = serialization.BestAvailableEncryption(passphrase.encode())
    return private_key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, protection)


def encode_public_key(public_key: Ed25519PublicKey) -> bytes:
    """Return the key as PEM."""
    return public_key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


def needs_passphrase(path: Path) -> bool:
    """Whether the private key's file is encrypted.

    Raises:
        MissingPathError: There is no such file.
    """
    return ENCRYPTED_LABEL in read_bytes(path)


def read_private_key(path: Path, *, passphrase: str | None) -> Ed25519PrivateKey:
    """Read a private key that `keygen` wrote.

    Raises:
        MissingPathError: There is no such file.
        UsageError: It needs a passphrase, another one, or none; or it is a public key.
        ContentError: It is no private key, or not an Ed25519 one.
    """
    content = read_bytes(path)
    is_encrypted = ENCRYPTED_LABEL in content
    if is_encrypted and not passphrase:
        raise UsageError(f"{path}: needs its passphrase; set HSTU_PRESERVE_PASSPHRASE or name --passphrase-file")
    if b"PUBLIC KEY-----" in content:
        raise UsageError(f"{path}: a public key; sign with the private one")
    try:
        password = passphrase.encode() if is_encrypted and passphrase else None
        key = serialization.load_pem_private_key(content, password=password)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        if is_encrypted:
            raise UsageError(f"{path}: the passphrase is wrong, or the file is damaged") from None
        raise ContentError(f"{path}: not a private key in PEM form; 'hstu-preserve keygen' makes one") from None
    if not isinstance(key, Ed25519PrivateKey):
        raise ContentError(f"{path}: not an Ed25519 key; 'hstu-preserve keygen' makes one")
    return key


def read_public_key(path: Path) -> Ed25519PublicKey:
    """Read a public key.

    Raises:
        MissingPathError: There is no such file.
        UsageError: It is a private key.
        ContentError: It is no public key, or not an Ed25519 one.
    """
    content = read_bytes(path)
    if PRIVATE_LABEL in content:
        raise UsageError(f"{path}: a private key, which stays with its owner; name the public one, KEY.pub")
    try:
        key = serialization.load_pem_public_key(content)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise ContentError(f"{path}: not a public key in PEM form") from None
    if not isinstance(key, Ed25519PublicKey):
        raise ContentError(f"{path}: not an Ed25519 key")
    require_strong(key, source=path)
    return key
