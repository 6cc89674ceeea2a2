"""Write the one canonical text of a JSON value (RFC 8785), so that it can be hashed and signed."""

import rfc8785

from hstu_preserve.errors import ContentError
from hstu_preserve.primitives.json_values import Json


def canonical_dumps(value: Json) -> bytes:
    """Return the RFC 8785 bytes of `value`."""
    return rfc8785.dumps(value)


def require_canonical(content: bytes, value: Json, *, source: str) -> None:
    """Require that `content`, which was parsed to `value`, is in canonical form.

    Raises:
        ContentError: It is the same value in another form.
    """
    if canonical_dumps(value) != content:
        raise ContentError(f"{source}: JSON is not in canonical form (RFC 8785)")
