"""The one canonical text of a JSON value (RFC 8785), so that it can be hashed and signed."""

import rfc8785

from hstu_preserve.errors import ContentError
from hstu_preserve.primitives.strict_json import Json, strict_loads


def canonical_dumps(value: Json) -> bytes:
    """Return the RFC 8785 bytes of `value`."""
    return rfc8785.dumps(value)


def canonical_loads(content: bytes, *, source: str) -> Json:
    """Parse `content` and require that it already is in canonical form.

    Raises:
        ContentError: Not strict JSON, or strict JSON in another form than the canonical one.
    """
    value = strict_loads(content, source=source)
    if canonical_dumps(value) != content:
        raise ContentError(f"{source}: JSON is not in canonical form (RFC 8785)")
    return value
