"""Record a detached signature, and the result of checking one."""

import base64
import binascii
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, Field

from hstu_preserve.primitives.digests import Sha256
from hstu_preserve.records.record import Record

PAYLOAD_TYPE: Final = "application/vnd.hstu-preserve.manifest+json"
SIGNATURE_SUFFIX = ".sig"
"""Added to a bundle's name, it names the file that holds the bundle's signature."""
NOBODY_SIGNED = "nobody signed this"
LEGACY_UNSIGNED = f"a legacy archive, not a native bundle: {NOBODY_SIGNED}"
"""Why a key cannot be checked: an archive that this program did not write has no manifest that could be signed."""
UNSIGNED = f"integrity only, {NOBODY_SIGNED}"


def require_base64(text: str) -> str:
    """Return the text if it is the one base64 spelling of some bytes."""
    try:
        content = base64.b64decode(text.encode(), validate=True)
    except (binascii.Error, ValueError):
        raise ValueError("not base64") from None
    if base64.b64encode(content).decode() != text:
        raise ValueError("not the canonical base64 of its bytes")
    return text


Base64 = Annotated[str, AfterValidator(require_base64)]


class KeySignature(Record):
    """One key's signature."""

    keyid: Sha256
    """The sha256 of the raw public key: a hint which key to try, itself not signed."""
    sig: Base64


class Envelope(Record):
    """The content of `NAME.sig`: a DSSE v1 envelope, its field names DSSE's."""

    payloadType: Literal["application/vnd.hstu-preserve.manifest+json"]  # DSSE's spelling
    payload: Base64
    """The manifest's stored bytes."""
    signatures: Annotated[tuple[KeySignature, ...], Field(min_length=1, max_length=16)]

    @property
    def manifest_content(self) -> bytes:
        """The manifest's bytes that were signed."""
        return base64.b64decode(self.payload)


class SignerOutcome(StrEnum):
    """What can be said of who packed a bundle."""

    UNSIGNED = "unsigned"
    UNCHECKED = "unchecked"
    """Signed for this manifest; no public key was named to check it with."""
    SIGNED = "signed"
    """By the named key, for this manifest."""
    CERTIFIED = "certified"
    """Not signed by the named key, which certifies that the bundle passed when it was run again."""
    OTHER_KEY = "other-key"
    OTHER_MANIFEST = "other-manifest"
    DAMAGED = "damaged"


class SignerCheck(Record):
    """What the signature beside a bundle says."""

    outcome: SignerOutcome
    reason: str
    """What is vouched for, or why nothing is."""
    keyids: tuple[Sha256, ...]
    """The keys that the signature names."""
    trusted_keyid: Sha256 | None
    """The key it was to be checked with; None where none was named."""

    @property
    def ok(self) -> bool:
        """Whether the signature holds, or nothing contradicts where no key was named."""
        if self.trusted_keyid is not None:
            return self.outcome in {SignerOutcome.SIGNED, SignerOutcome.CERTIFIED}
        return self.outcome in {SignerOutcome.UNSIGNED, SignerOutcome.UNCHECKED}


class KeyResult(Record):
    """A new pair of keys, as files; the private key itself is nowhere here."""

    path: Path
    public_path: Path
    keyid: Sha256
    is_encrypted: bool
    """Whether the private key's file needs a passphrase."""


class SigningResult(Record):
    """A signature that was written."""

    bundle: Path
    path: Path
    identity: Sha256
    keyid: Sha256
