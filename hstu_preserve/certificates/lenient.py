"""Read records of a form that others decide, and may add fields to."""

from typing import Self

from pydantic import ConfigDict, ValidationError

from hstu_preserve.errors import ContentError
from hstu_preserve.primitives.canonical_json import canonical_dumps
from hstu_preserve.primitives.json_values import Json
from hstu_preserve.primitives.validation import describe_validation_error
from hstu_preserve.records.record import Record


class LenientRecord(Record):
    """A record of somebody else's form, of which only the known fields are read."""

    model_config = ConfigDict(extra="ignore", serialize_by_alias=True, populate_by_name=True)

    @classmethod
    def from_value(cls, value: Json, *, source: str) -> Self:
        """Return the record that a JSON value is.

        Raises:
            ContentError: It lacks a field, or one has another type.
        """
        try:
            return cls.model_validate_json(canonical_dumps(value))
        except ValidationError as error:
            raise ContentError(f"{source}: {describe_validation_error(error)}") from None
