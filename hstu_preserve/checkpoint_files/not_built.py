"""Name what a checkpoint holds beside tensors and plain values, and where: none of it is built."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from hstu_preserve.checkpoint_files.descriptions import UNNAMED, Described, Thing, dotted
from hstu_preserve.checkpoint_files.values import GlobalName
from hstu_preserve.primitives.wording import list_some, printable

MAX_NAME_CHARACTERS = 120
MAX_PLACE_CHARACTERS = 200
MAX_PLACES = 3


@dataclass(kw_only=True)
class Named:
    """Everything that would be made of one global, and was not.

    Attributes:
        name: The global.
        places: The keys that lead to each such thing.
        inner: Other globals that these refer to.
    """

    name: str
    places: list[str] = field(default_factory=list)
    inner: dict[str, None] = field(default_factory=dict)

    def __str__(self) -> str:
        inside = [shorten(name) for name in self.inner if name != self.name]
        places = list_some(self.places, at_most=MAX_PLACES)
        return f"{places}: {shorten(self.name)}" + (f" ({', '.join(inside)})" if inside else "")


class Visit(NamedTuple):
    """A value that is to be looked at, its place in the file, and what it lies in that was not built."""

    value: Described
    place: str
    inside: Named | None


def name_not_built(root: Described, names: Iterable[str]) -> tuple[str, ...]:
    """Return a sentence for each global of which something would be built: places, global, what else it refers to.

    Args:
        root: What the file holds.
        names: Every global that the pickle names, `module name`. Those that no value refers to any more are named, too.
    """
    found: dict[str, Named] = {}
    seen: set[int] = set()
    visits = [Visit(value=root, place="", inside=None)]
    while visits:
        visit = visits.pop()
        if id(visit.value) in seen:
            continue
        inside = note(visit, found)
        if isinstance(visit.value, Thing):
            seen.add(id(visit.value))
            visits.extend(reversed(list(list_parts(visit.value, place=visit.place, inside=inside))))
    told = {name for named in found.values() for name in (named.name, *named.inner)}
    others = [dotted(name) for name in names if name not in UNNAMED and dotted(name) not in told]
    return (*map(str, found.values()), *(f"named, and used by no value: {shorten(name)}" for name in others))


def note(visit: Visit, found: dict[str, Named]) -> Named | None:
    """Note the name of a value that is not built, and return what it lies in: itself if in nothing else."""
    name = find_name(visit.value)
    if name is None:
        return visit.inside
    if visit.inside is not None:
        visit.inside.inner[name] = None
        return visit.inside
    named = found.setdefault(name, Named(name=name))
    named.places.append(visit.place or "the file itself")
    return named


def find_name(value: Described) -> str | None:
    """Return the global that a value is or would be made of, None for what needs no name."""
    if isinstance(value, Thing):
        return None if value.is_plain else value.name
    return dotted(value.name) if isinstance(value, GlobalName) and value.name not in UNNAMED else None


def list_parts(thing: Thing, *, place: str, inside: Named | None) -> Iterator[Visit]:
    """Yield the parts of a thing that could have a name."""
    for number, part in enumerate(thing.parts):
        if is_nameable(part):
            yield Visit(part, join(place, str(number)), inside)
    for key, value in thing.entries:
        if is_nameable(key):
            yield Visit(key, join(place, "a key"), inside)
        if is_nameable(value):
            yield Visit(value, join(place, describe_key(key)), inside)


def join(place: str, name: str) -> str:
    """Return the place of a part by its own name."""
    return f"{place}.{name}"[:MAX_PLACE_CHARACTERS] if place else name


def is_nameable(value: Described) -> bool:
    """Whether a value has, or may hold, a name."""
    if isinstance(value, Thing):
        return not value.is_plain or bool(value.parts) or bool(value.entries)
    return isinstance(value, GlobalName)


def describe_key(key: Described) -> str:
    """Return a key of a mapping as people read it."""
    return printable(str(key))[:MAX_NAME_CHARACTERS] if isinstance(key, str | int | float) else "…"


def shorten(name: str) -> str:
    """Return a name from outside as a terminal can show it."""
    return printable(name if len(name) <= MAX_NAME_CHARACTERS else f"{name[:MAX_NAME_CHARACTERS]}…")
