"""Carry values into a record; each keeps its gin name and place, so that a refusal names them."""

import json
import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeVar

from pydantic import TypeAdapter, ValidationError

from hstu_preserve.gin_recipes.bindings import UNION_TAGS
from hstu_preserve.gin_recipes.syntax import Location, show
from hstu_preserve.primitives.json_values import Json
from hstu_preserve.primitives.strict_json import MAX_INTEGER, require_scalar_text
from hstu_preserve.primitives.validation import describe_reason
from hstu_preserve.primitives.wording import cut_lines
from hstu_preserve.records.record import Record

MAX_PROBLEMS_SHOWN = 20

R = TypeVar("R", bound=Record)


@dataclass(frozen=True, kw_only=True)
class Setting:
    """One value for one field."""

    name: str
    """The gin name that the value comes from, with its scope."""
    path: str
    """The field, from the record's root."""
    value: Json
    location: Location | None
    """Where the value was bound; None for a default."""
    note: str = ""
    """Added to the message when the value is refused."""


class Problems:
    """The problems of a chain: one line each, each once, in the order of discovery."""

    def __init__(self) -> None:
        self._lines: dict[str, None] = {}

    def __len__(self) -> int:
        return len(self._lines)

    def note(self, line: str) -> None:
        """Add a line unless it is there."""
        self._lines[line] = None

    def describe(self) -> str:
        """Return the first lines, and how many more there are."""
        return "\n".join(cut_lines(list(self._lines), at_most=MAX_PROBLEMS_SHOWN))


def to_json_value(value: object) -> Json:
    """Return a gin literal as the JSON value that a record keeps.

    Raises:
        ValueError: Not a plain value, or one that JSON cannot keep exactly.
    """
    match value:
        case None | bool() | str():
            require_scalar_text(value)
            return value
        case int():
            if abs(value) > MAX_INTEGER:
                raise ValueError(f"{show(value)} is outside ±(2**53 - 1)")
            return value
        case float():
            if not math.isfinite(value):
                raise ValueError("not a finite number")
            return value
        case list() | tuple():
            return [to_json_value(item) for item in value]
        case dict():
            return {require_text_key(key): to_json_value(item) for key, item in value.items()}
        case _:
            raise ValueError(f"a plain value is needed here, found {show(value)}")


def require_text_key(key: object) -> str:
    """Return a dictionary's key if it is text."""
    if not isinstance(key, str):
        raise ValueError(f"a key must be text, found {show(key)}")  # noqa: TRY004  # of gin text, not of a caller
    require_scalar_text(key)
    return key


def build(kind: type[R], settings: Iterable[Setting], *, default_place: str, problems: Problems) -> R | None:
    """Return the record that the settings make, or note every refused one and return None.

    Args:
        kind: The record's class.
        settings: One per field.
        default_place: Named as the place of a default value: the entry file.
        problems: Refusals are added here.
    """
    settings = list(settings)
    fields: dict[str, Json] = {}
    for setting in settings:
        *sections, field = setting.path.split(".")
        section = fields
        for name in sections:
            inner = section.setdefault(name, {})
            assert isinstance(inner, dict)
            section = inner
        section[field] = setting.value
    try:
        # As JSON, where strictness still lets 0 be a float, a list a tuple and text an enum.
        return kind.model_validate_json(json.dumps(fields))
    except ValidationError as error:
        for problem in error.errors(include_url=False):
            message = describe_reason(problem)
            culprits = find_culprits(settings, path=problem["loc"], message=message)
            found = "" if isinstance(problem["input"], dict) else f" (found {show(problem['input'])})"
            problems.note(describe_refusal(culprits, f"{message}{found}", default_place=default_place))
    return None


def find_culprits(settings: list[Setting], *, path: tuple[int | str, ...], message: str) -> list[Setting]:
    """Return the setting that the path leads to, or those that a rule over several fields names in its message.

    A rule names its fields by their paths, or by their names alone where it is a rule of one section.
    """
    fields = [str(part) for part in path]
    if len(fields) > 1 and fields[1] in UNION_TAGS:  # between section and field
        del fields[1]
    for setting in settings:
        sections = setting.path.split(".")
        if fields[: len(sections)] == sections:
            return [setting]
    words = set(re.findall(r"\w+(?:\.\w+)*", message))
    named = [setting for setting in settings if setting.path in words]
    return named or [
        setting
        for setting in settings
        if setting.path.rsplit(".", maxsplit=1)[-1] in words and setting.path.split(".")[: len(fields)] == fields
    ]


def describe_refusal(culprits: list[Setting], message: str, *, default_place: str) -> str:
    """Return one line: place, gin names, reason; a default is said to be one."""
    bound = [setting for setting in culprits if setting.location is not None]
    places = ", ".join(dict.fromkeys(str(setting.location) for setting in bound)) or default_place
    names = ", ".join(
        setting.name if setting.location is not None else f"{setting.name} (default {show(setting.value)})"
        for setting in culprits
    )
    notes = "".join(f"; {setting.note}" for setting in culprits if setting.note)
    return f"{places}: {names or 'the recipe'}: {message}{notes}"


def check_type(value: Json, kind: object) -> None:
    """Raise ValueError if a value is not of its type, told in one line."""
    try:
        adapter: TypeAdapter[object] = TypeAdapter(kind)  # type: ignore[arg-type]  # a type, known at run time only
        adapter.validate_json(json.dumps(value), strict=True)
    except ValidationError as error:
        message = describe_reason(error.errors(include_url=False)[0])
        raise ValueError(f"{message} (found {show(value)})") from None
