"""Read and write the lines of a certificate: one DSSE envelope each, with an in-toto statement in it.

Envelope: https://github.com/secure-systems-lab/dsse/blob/v1.0.2/envelope.md
A file of them: https://github.com/in-toto/attestation/blob/v1.1.2/spec/v1/bundle.md
"""

import base64
import binascii
from typing import TYPE_CHECKING, Annotated

from pydantic import AfterValidator, Field

from hstu_preserve.certificates.lenient import LenientRecord
from hstu_preserve.errors import ContentError
from hstu_preserve.primitives.strict_json import strict_loads

if TYPE_CHECKING:
    from hstu_preserve.signing.signer import SigningKey

STATEMENT_PAYLOAD_TYPE = "application/vnd.in-toto+json"
MAX_LINE_BYTES = 2**20
MAX_LINES = 1000
MAX_ENVELOPE_VALUES = 200


def decode_base64(text: str) -> bytes:
    """Return the bytes that base64 stands for, in either of the alphabets that DSSE allows.

    Raises:
        ValueError: It is no base64.
    """
    try:
        return base64.b64decode(text.replace("-", "+").replace("_", "/").encode(), validate=True)
    except (binascii.Error, UnicodeEncodeError):
        raise ValueError("not base64") from None


def require_base64(text: str) -> str:
    """Return the text if it is base64."""
    decode_base64(text)
    return text


AnyBase64 = Annotated[str, AfterValidator(require_base64)]


class LineSignature(LenientRecord):
    """One key's signature; others' keys may be named as they like, or not at all."""

    keyid: str = ""
    sig: AnyBase64


class Line(LenientRecord):
    """One envelope; its field names are DSSE's."""

    payloadType: str  # DSSE's spelling
    payload: AnyBase64
    signatures: Annotated[tuple[LineSignature, ...], Field(min_length=1, max_length=16)]

    @property
    def content(self) -> bytes:
        """The bytes that were signed."""
        return decode_base64(self.payload)


def sign_statement(statement: bytes, *, key: "SigningKey") -> bytes:
    """Return the line that holds a statement and the key's signature, with its end."""
    from hstu_preserve.signing.signature import make_signature

    signature = make_signature(statement, payload_type=STATEMENT_PAYLOAD_TYPE, private_key=key)
    line = Line(
        payloadType=STATEMENT_PAYLOAD_TYPE,
        payload=base64.b64encode(statement).decode(),
        signatures=(LineSignature(keyid=signature.keyid, sig=signature.sig),),
    )
    return line.to_json() + b"\n"


def read_lines(content: bytes, *, source: str) -> tuple[Line, ...]:
    """Read a certificate's lines, each of which is bounded before it is parsed.

    Raises:
        ContentError: It has no line, too many, too long ones, or one that is no envelope.
    """
    texts = content.removesuffix(b"\n").split(b"\n", maxsplit=MAX_LINES)
    if len(texts) > MAX_LINES:
        raise ContentError(f"{source}: more than {MAX_LINES} lines")
    return tuple(read_line(text, source=f"{source}: line {number}") for number, text in enumerate(texts, start=1))


def read_line(text: bytes, *, source: str) -> Line:
    """Read one line.

    Raises:
        ContentError: It is too long, or no envelope.
    """
    if not text.strip():
        raise ContentError(f"{source}: empty; each line of a certificate is a signed statement")
    if len(text) > MAX_LINE_BYTES:
        raise ContentError(f"{source}: longer than {MAX_LINE_BYTES} bytes")
    return Line.from_value(strict_loads(text, source=source, max_values=MAX_ENVELOPE_VALUES), source=source)
