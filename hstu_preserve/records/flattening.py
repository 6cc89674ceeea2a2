"""Flatten records to tables of values, so that two of them can be compared field by field."""

from collections.abc import Iterator

from hstu_preserve.primitives.json_values import Json
from hstu_preserve.records.record import Record


def flatten_record(record: Record) -> dict[str, Json]:
    """Return a record's plain values by their dotted names."""
    return dict(flatten("", record.to_json_value()))


def flatten(name: str, value: Json) -> Iterator[tuple[str, Json]]:
    """Yield every plain value below `value` with its dotted name."""
    if isinstance(value, dict) and value:
        for key, item in value.items():
            yield from flatten(f"{name}.{key}" if name else key, item)
    elif isinstance(value, list) and value:
        for place, item in enumerate(value):
            yield from flatten(f"{name}.{place}", item)
    else:
        yield name, value
