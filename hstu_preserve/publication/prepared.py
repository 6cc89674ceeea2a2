"""Hold a bundle that may be published, and what travels beside it."""

from dataclasses import dataclass
from pathlib import Path

from hstu_preserve.certificates.checking import check_content
from hstu_preserve.errors import ContentError
from hstu_preserve.records.certificate import CERTIFICATE_SUFFIX, MAX_BYTES
from hstu_preserve.records.signature import SIGNATURE_SUFFIX
from hstu_preserve.report.model_card import DescribedBundle


@dataclass(frozen=True, kw_only=True)
class PreparedBundle:
    """A bundle that may be published.

    Attributes:
        path: Where it is.
        described: The facts that the card gives of it.
        signature: The content of the file beside it; None if there is none.
        certificate: The same of its certificate.
    """

    path: Path
    described: DescribedBundle
    signature: bytes | None
    certificate: bytes | None

    @property
    def signature_name(self) -> str:
        """Where its signature lies in a repository."""
        return f"{self.described.name}{SIGNATURE_SUFFIX}"

    @property
    def certificate_name(self) -> str:
        """Where its certificate lies in a repository."""
        return f"{self.described.name}{CERTIFICATE_SUFFIX}"


def require_about(content: bytes, identity: str, *, source: str) -> bytes:
    """Return a certificate's bytes if it is about the bundle with this identity.

    Raises:
        ContentError: It is no certificate, too large for one, or about something else.
    """
    if len(content) > MAX_BYTES:
        raise ContentError(f"{source}: larger than {MAX_BYTES} bytes")
    check = check_content(content, source=source, identity=identity, trusted=None)
    if check.problem is not None:
        raise ContentError(check.problem)
    return content
