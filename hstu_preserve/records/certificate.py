"""Record what the certificate of a bundle attests, statement by statement, and whether its signatures hold."""

from enum import StrEnum

from hstu_preserve.primitives.digests import Sha256
from hstu_preserve.records.record import Record

CERTIFICATE_SUFFIX = ".intoto.jsonl"
"""Added to a bundle's name, it names the file of what is attested of the bundle (in-toto's convention)."""
MAX_BYTES = 16 * 2**20
"""Of the whole file, which is read at once."""
CERTIFIED = "a certificate, whose signatures this did not check: nobody that you named signed it"


class SignatureOutcome(StrEnum):
    """What can be said of who signed a statement."""

    SIGNED = "signed"
    """By the named key."""
    UNCHECKED = "unchecked"
    """No public key was named."""
    OTHER_KEY = "other-key"
    DAMAGED = "damaged"
    """It names the key, and that key did not make it."""


class Attestation(Record):
    """One statement of a certificate."""

    signature: SignatureOutcome
    keyids: tuple[str, ...]
    subject: Sha256 | None
    """The identity of the bundle that it is about; None if it is about something else."""
    predicate_type: str
    result: str | None
    """PASSED, WARNED or FAILED; None of a kind of statement that this program does not read."""
    passed: tuple[str, ...] = ()
    """The rungs, each with its claim."""
    warned: tuple[str, ...] = ()
    failed: tuple[str, ...] = ()
    finished_at: str | None = None
    """When the reproduction ended, as its maker's clock had it."""


class CertificateCheck(Record):
    """A certificate as it was read."""

    path: str
    attestations: tuple[Attestation, ...]
    problem: str | None
    """Why it is refused; None if it is not."""
