"""Describe why pydantic refuses a value: the fields and reasons, bounded in number and length."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import ValidationError

from hstu_preserve.errors import ContentError
from hstu_preserve.primitives.json_values import Json
from hstu_preserve.primitives.wording import list_some, printable

CHOICES = re.compile(r"\^\(([^()\[\]*+?]+)\)\$")
"""A pattern that is nothing but a list of texts."""
MAX_ERRORS_READ = 1000
"""Each is a dictionary that pydantic makes; of more, only their number is said."""
MAX_ERRORS_SHOWN = 50
MAX_PROBLEM_CHARACTERS = 300
UPDATE = "install a newer hstu-preserve"
IF_NEWER = f"if a newer release wrote it, {UPDATE}"
UNKNOWN = frozenset({"extra_forbidden", "enum", "literal_error", "union_tag_invalid"})
"""Of pydantic's kinds of error: those that a field or name gives which a later release may have added."""
SEQUENCES = frozenset({"tuple", "list"})


def end_at_first_error(schema: Any, *, model: type) -> None:  # a CoreSchema or any part of one
    """Mark every sequence in a model's schema so that checking it ends with its first wrong item.

    Models within it were marked when their own schemas were made: to mark them again at each level took a seventh of a
    command's start.
    """
    if isinstance(schema, dict):
        if schema.get("type") == "model" and schema["cls"] is not model:
            return
        if schema.get("type") in SEQUENCES:
            schema["fail_fast"] = True
        schema = [part for key, part in schema.items() if key != "metadata"]
    if isinstance(schema, list | tuple):
        for part in schema:
            end_at_first_error(part, model=model)


def describe_validation_error(error: ValidationError) -> str:
    """Return the wrong fields with their reasons, on one line; of very many, the first or only their number."""
    if error.error_count() > MAX_ERRORS_READ:
        return f"{error.error_count()} fields are wrong or unknown"
    problems: list[str] = []
    for problem in error.errors(include_url=False):
        place = printable(".".join(str(part) for part in problem["loc"])) or "the whole"
        text = f"{place}: {describe_reason(problem)}{describe_input(problem)}"
        problems.append(text if len(text) <= MAX_PROBLEM_CHARACTERS else f"{text[:MAX_PROBLEM_CHARACTERS]}…")
    return list_some(problems, at_most=MAX_ERRORS_SHOWN, separator="; ")


def is_unknown(error: ValidationError) -> bool:
    """Whether a field or a name is unknown, so that a later release may have written it."""
    if error.error_count() > MAX_ERRORS_READ:
        return False
    return any(
        problem["type"] in UNKNOWN
        for problem in error.errors(include_url=False, include_context=False, include_input=False)
    )


def describe_reason(problem: Any) -> str:  # pydantic's ErrorDetails, whose context is any value
    """Return why a value was refused; where only some texts are accepted, which those are."""
    choices = CHOICES.fullmatch(problem.get("ctx", {}).get("pattern", ""))
    if choices:
        return f"not one of {choices[1].replace('|', ', ').replace(chr(92), '')}"
    message: str = problem["msg"]
    return message.removeprefix("Value error, ")


def describe_input(problem: Any) -> str:  # pydantic's ErrorDetails, whose input is any value
    """Return the offending scalar, where there is one worth showing."""
    value = problem.get("input")
    return f" (found {value!r})" if isinstance(value, str | int | float | bool) and len(repr(value)) < 80 else ""


def require_known_fields(names: Iterable[str], *, known: Mapping[str, bool], source: str) -> None:
    """Raise ContentError if a record has other fields than its form.

    Args:
        names: The record's fields.
        known: The form's fields, and whether each is required.
        source: What the record is read from, for the message.
    """
    found = set(names)
    problems = [f"{name}: Field required" for name, is_required in known.items() if is_required and name not in found]
    unknown = sorted(found - known.keys())
    problems += [f"{printable(name[:MAX_PROBLEM_CHARACTERS])}: unknown" for name in unknown]
    if problems:
        advice = f"; {IF_NEWER}" if unknown else ""
        raise ContentError(f"{source}: {list_some(problems, at_most=MAX_ERRORS_SHOWN, separator='; ')}{advice}")


def require_modest_items(value: Json, *, lists: Iterable[str], at_most: int, source: str) -> None:
    """Raise ContentError if a part of a value is larger than a record's part may be.

    Args:
        value: A JSON value.
        lists: The names of fields that may hold lists of any length; each item of such a list is a part of its own.
        at_most: The number of values that a part may have.
        source: What the value is read from, for the message.
    """
    waiting = [("the whole", value)]
    while waiting:
        place, one = waiting.pop()
        parts = one.items() if isinstance(one, dict) else ()
        long = {name: item for name, item in parts if name in lists and isinstance(item, list | dict)}
        rest = {name: item for name, item in parts if name not in long} if isinstance(one, dict) else one
        if count_values(rest) > at_most:
            raise ContentError(f"{source}: {place}: more than {at_most} values")
        for name, item in long.items():
            items = item if isinstance(item, list) else [item]
            waiting += [(name, part) for part in items if isinstance(part, list | dict)]


def count_values(value: Json) -> int:
    """Return how many values a JSON value has, itself included."""
    count, waiting = 0, [value]
    while waiting:
        one = waiting.pop()
        count += 1
        waiting += one.values() if isinstance(one, dict) else one if isinstance(one, list) else ()
    return count
