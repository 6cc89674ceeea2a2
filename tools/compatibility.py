"""Say what a change of the records would break: old files for new code, or new output for programs of others."""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from operator import ge, le

from hstu_preserve.primitives.json_values import Json

CHOICES = re.compile(r"\^\(([^()\[\]*+?]+)\)\$")
"""A pattern that is nothing but a list of texts."""
LOOSER: Mapping[str, Callable[[float, float], bool]] = {
    "minimum": le,
    "exclusiveMinimum": le,
    "minLength": le,
    "minItems": le,
    "maximum": ge,
    "exclusiveMaximum": ge,
    "maxLength": ge,
    "maxItems": ge,
}
"""By bound: how a later one must stand to an earlier one, so that every earlier value is within it."""


@dataclass(frozen=True, kw_only=True)
class Schema:
    """A part of a JSON Schema.

    Attributes:
        value: The part.
        definitions: What its references name.
    """

    value: Mapping[str, Json]
    definitions: Mapping[str, Json]

    def resolved(self) -> "Schema":
        """Return what a reference names; the part itself if it is none."""
        reference = self.value.get("$ref")
        if not isinstance(reference, str):
            return self
        target = self.definitions[reference.rpartition("/")[2]]
        assert isinstance(target, dict)
        return replace(self, value=target).resolved()

    def at(self, part: Json) -> "Schema":
        """Return another part of the same schema; one that says nothing accepts everything."""
        return replace(self, value=part if isinstance(part, dict) else {})

    def list_alternatives(self) -> "list[Schema]":
        """Return the forms that a value may have."""
        parts = self.value.get("anyOf") or self.value.get("oneOf")
        if not isinstance(parts, list):
            return [self]
        return [form for part in parts for form in self.at(part).resolved().list_alternatives()]


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """An earlier and a later form of one record, or of a part of it.

    Attributes:
        before: The earlier one, which is frozen.
        after: The later one.
        is_printed: Whether programs of others read it, to which a missing or empty field is news.
        place: The part, by field.
    """

    before: Schema
    after: Schema
    is_printed: bool
    place: str = field(default="")

    def list_breaks(self) -> list[str]:
        """Return everything that the later form breaks, one sentence each."""
        old, new = self.before.resolved().list_alternatives(), self.after.resolved().list_alternatives()
        found = list(self._find_null(old, new)) if self.is_printed else []
        for one in old:
            alike = [other for other in new if other.value.get("type") == one.value.get("type")]
            tried = [list(replace(self, before=one, after=other).compare_forms()) for other in alike or new]
            nearest: list[str] = min(tried, key=len)
            found += nearest
        return found

    def _find_null(self, old: list[Schema], new: list[Schema]) -> Iterator[str]:
        """Yield that a printed value may be null, if it was never before."""
        could, can = (any(one.value.get("type") in {"null", None} for one in forms) for forms in (old, new))
        if can and not could:
            yield f"{self.place}: may be null"

    def compare_forms(self) -> Iterator[str]:
        """Yield the breaks between two forms without alternatives."""
        before, after = self.before.value, self.after.value
        if "type" in after and before.get("type") != after["type"]:
            yield f"{self.place}: {after['type']}, was {before.get('type', 'anything')}"
            return
        yield from self._compare_values()
        yield from self._compare_bounds()
        yield from self._compare_fields()
        for name in ("items", "additionalProperties"):
            if isinstance(before.get(name), dict):
                yield from self._step(name, before[name], after.get(name)).list_breaks()
        if after.get("additionalProperties") is False and before.get("additionalProperties") is not False:
            yield f"{self.place}: takes no further fields"

    def _step(self, name: str, before: Json, after: Json) -> "Comparison":
        """Return the comparison of a part of both."""
        place = f"{self.place}.{name}" if self.place else name
        return replace(self, before=self.before.at(before), after=self.after.at(after), place=place)

    def _compare_values(self) -> Iterator[str]:
        """Yield names and constants that are gone, and a default that is another."""
        before, after = self.before.value, self.after.value
        gone = sorted(list_values(before) - list_values(after)) if list_values(after) else []
        if gone or (list_values(after) and not list_values(before)):
            yield f"{self.place}: no longer takes {', '.join(gone) or 'any value'}"
        if "default" in before and before["default"] != after.get("default"):
            yield f"{self.place}: another default, {after.get('default')} for {before['default']}"

    def _compare_bounds(self) -> Iterator[str]:
        """Yield bounds that are narrower."""
        before, after = self.before.value, self.after.value
        for name, is_looser in LOOSER.items():
            old, new = before.get(name), after.get(name)
            if not isinstance(new, int | float):
                continue
            if not isinstance(old, int | float) or not is_looser(new, old):
                yield f"{self.place}: {name} {new}, was {old}"
        if "pattern" in after and not is_wider(str(before.get("pattern")), str(after["pattern"])):
            yield f"{self.place}: another pattern, {after['pattern']} for {before.get('pattern')}"

    def _compare_fields(self) -> Iterator[str]:
        """Yield fields that are gone, are required now, or of a printed record are no longer always there."""
        old, new = (get_fields(one.value) for one in (self.before, self.after))
        required, requires = (get_required(one.value) for one in (self.before, self.after))
        for name in sorted(requires - required):
            yield f"{self.place}.{name}: required, {'was optional' if name in old else 'and new'}".lstrip(".")
        for name, one in old.items():
            step = self._step(name, one, new.get(name))
            if name not in new:
                yield f"{step.place}: removed"
                continue
            if self.is_printed and name in required - requires:
                yield f"{step.place}: no longer always there"
            yield from step.list_breaks()


def get_fields(value: Mapping[str, Json]) -> Mapping[str, Json]:
    """Return the fields of an object's schema."""
    fields = value.get("properties", {})
    assert isinstance(fields, dict)
    return fields


def get_required(value: Mapping[str, Json]) -> set[str]:
    """Return the fields that an object's schema requires."""
    names = value.get("required", [])
    assert isinstance(names, list)
    return {str(name) for name in names}


def list_values(value: Mapping[str, Json]) -> set[str]:
    """Return the only values that a schema takes, as text; none if it does not list them."""
    listed = value.get("enum", [value["const"]] if "const" in value else [])
    assert isinstance(listed, list)
    return {str(one) for one in listed}


def is_wider(before: str, after: str) -> bool:
    """Whether every text that one pattern takes is taken by another, as far as that can be said."""
    old, new = CHOICES.fullmatch(before), CHOICES.fullmatch(after)
    if old is None or new is None:
        return before == after
    return set(old[1].split("|")) <= set(new[1].split("|"))


def list_lost_names(before: Mapping[str, Json], after: Mapping[str, Json]) -> list[str]:
    """Return the names that are gone or mean something else, one sentence each."""
    lost = []
    for group, names in before.items():
        known = after.get(group)
        assert isinstance(names, dict)
        assert isinstance(known, dict)
        for name, meaning in names.items():
            if name not in known:
                lost.append(f"{group}: {name} is gone")
            elif known[name] != meaning:
                lost.append(f"{group}: {name} is {known[name]}, was {meaning}")
    return lost
