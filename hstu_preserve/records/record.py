"""The base of every record that reaches disk: frozen, strict, with one canonical text."""

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, GetCoreSchemaHandler, ValidationError
from pydantic_core import CoreSchema

from hstu_preserve.errors import ContentError
from hstu_preserve.primitives.canonical_json import canonical_dumps
from hstu_preserve.primitives.digests import sha256_of_bytes
from hstu_preserve.primitives.json_values import Json
from hstu_preserve.primitives.strict_json import strict_loads
from hstu_preserve.primitives.summaries import summarize_all, tabulate
from hstu_preserve.primitives.validation import (
    IF_NEWER,
    UPDATE,
    describe_validation_error,
    end_at_first_error,
    is_unknown,
    require_known_fields,
)

SCHEMA_VERSION = 1
"""Of the records that this release writes: frozen, so that every later release reads them. Version 0 was the draft."""
SchemaVersion = Annotated[int, Field(ge=0, le=SCHEMA_VERSION)]
"""Which rules a record follows; an integer, never `true`."""


def is_draft(version: int) -> bool:
    """Whether a record leaves its version out of its text, as those did that say it from version 1 on."""
    return version == 0


def require_readable(value: Json, *, source: str) -> None:
    """Raise ContentError if a record says that it is of a newer schema version than this release reads."""
    version = value.get("schema_version") if isinstance(value, dict) else None
    if isinstance(version, int) and version > SCHEMA_VERSION:
        raise ContentError(
            f"{source}: schema_version {version} is newer than {SCHEMA_VERSION}, the newest this release reads; "
            f"{UPDATE}"
        )


def require_boolean(value: Any) -> Any:  # any value that a file may hold
    """Return a boolean as it is; a literal alone would take 1 for True."""
    if not isinstance(value, bool):
        raise ValueError("Input should be a valid boolean")  # noqa: TRY004  # pydantic reports ValueError only
    return value


LARGE_BYTES = 2**16
"""Of a text from which on its fields are looked at before pydantic, whose errors copy what they are about."""
AlwaysTrue = Annotated[Literal[True], BeforeValidator(require_boolean)]
"""A boolean that can only be true."""


class Record(BaseModel):
    """Immutable, and strict about its fields and their types."""

    # Built at first use: a command uses a few of the records, and starts a third faster without the others.
    # The texts below the fields are read in tools/schemas.py: here, each command would parse them all.
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, defer_build=True)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Let each sequence end with its first wrong item: a million of them would take gigabytes to describe."""
        schema = handler(source)
        end_at_first_error(schema, model=cls)
        return schema

    @property
    def ok(self) -> bool:
        """Whether the command that prints this record exits with 0."""
        return bool(getattr(self, "exit_code", 0) == 0)

    def __repr__(self) -> str:
        return summarize_all(type(self).__name__, self)

    __str__ = __repr__

    def _repr_html_(self) -> str:
        return tabulate(type(self).__name__, self)

    def to_json_value(self) -> Json:
        """Return the record as plain JSON values."""
        value: Json = self.model_dump(mode="json")
        return value

    def to_json(self) -> bytes:
        """Return the one canonical text (RFC 8785) of this record, so that it can be hashed."""
        return canonical_dumps(self.to_json_value())

    def digest(self) -> str:
        """Return the sha256 of the canonical text."""
        return sha256_of_bytes(self.to_json())

    @classmethod
    def from_json(cls, content: bytes, *, source: str) -> Self:
        """Read a record from strict JSON.

        Args:
            content: The stored bytes.
            source: What the bytes are, for the message.

        Raises:
            ContentError: Not strict JSON, of a newer schema version, or not this record; the wrong fields are named, of
                a sequence the first item.
        """
        value = strict_loads(content, source=source)
        require_readable(value, source=source)  # first: fields that nobody here knows follow from it
        if isinstance(value, dict) and len(content) > LARGE_BYTES:
            fields = cls.model_fields.items()
            known = {name: field.is_required() for name, field in fields}
            require_known_fields(value.keys(), known=known, source=source)
        try:
            return cls.model_validate_json(content)
        except ValidationError as error:
            advice = f"; {IF_NEWER}" if is_unknown(error) else ""
            raise ContentError(f"{source}: {describe_validation_error(error)}{advice}") from None


class CheckedRecord(Record):
    """A record that is false if something is wrong, so that `if not verify(…):` means what it says."""

    def __bool__(self) -> bool:
        return self.ok
