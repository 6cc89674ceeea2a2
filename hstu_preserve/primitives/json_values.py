"""JSON values: their type, and as tables of plain values, so that two of them can be compared field by field."""

from collections.abc import Iterator
from typing import TypeAlias

Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"


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
