"""Name what a checkpoint holds beside tensors and plain values, and where: none of it is built."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from hstu_preserve.checkpoint_files.descriptions import UNNAMED, Described, Thing
from hstu_preserve.checkpoint_files.values import GlobalName
from hstu_preserve.primitives.wording import printable

MAX_NAME_CHARACTERS = 120
MAX_PLACE_CHARACTERS = 200


@dataclass(kw_only=True)
class Named:
    """One thing that was not built.

    Attributes:
        place: The keys that lead to it.
        name: The global that it would be made of.
        inner: Other globals that it refers to.
    """

    place: str
    name: str
    inner: dict[str, None] = field(default_factory=dict)

    def __str__(self) -> str:
        inside = [shorten(name) for name in self.inner if name != self.name]
        return f"{self.place}: {shorten(self.name)}" + (f" ({', '.join(inside)})" if inside else "")


@dataclass(frozen=True, kw_only=True)
class Visit:
    """A value that is to be looked at: under which key of the file it lies, where, and in what that was not built."""

    value: Described
    key: str
    place: str
    inside: Named | None


def name_not_built(root: Described, names: Iterable[str]) -> tuple[str, ...]:
    """Return a sentence for everything that is not built: its place and the globals that it names.

    Of several things of one global under one key of the file, the first stands for all.

    Args:
        root: What the file holds.
        names: Every global that the pickle names, `module name`. Those that no value refers to any more are named, too.
    """
    found: dict[tuple[str, str], Named] = {}
    seen: set[int] = set()
    visits = [Visit(value=root, key="", place="", inside=None)]
    while visits:
        visit = visits.pop()
        if isinstance(visit.value, Thing):
            if id(visit.value) in seen:
                continue
            seen.add(id(visit.value))
        inside = note(visit, found)
        if isinstance(visit.value, Thing):
            visits.extend(reversed(list(list_parts(visit.value, visit, inside=inside))))
    told = {name for named in found.values() for name in (named.name, *named.inner)}
    others = [dotted(name) for name in names if name not in UNNAMED and dotted(name) not in told]
    return (*map(str, found.values()), *(f"named, and used by no value: {shorten(name)}" for name in others))


def note(visit: Visit, found: dict[tuple[str, str], Named]) -> Named | None:
    """Note the name of a value that is not built, and return what it lies in: itself if in nothing else."""
    name = find_name(visit.value)
    if name is None:
        return visit.inside
    if visit.inside is not None:
        visit.inside.inner[name] = None
        return visit.inside
    return found.setdefault((visit.key, name), Named(place=visit.place or "the file itself", name=name))


def find_name(value: Described) -> str | None:
    """Return the global that a value is or would be made of, None for what needs no name."""
    if isinstance(value, Thing):
        return None if value.is_plain else value.name
    return dotted(value.name) if isinstance(value, GlobalName) and value.name not in UNNAMED else None


def list_parts(thing: Thing, visit: Visit, *, inside: Named | None) -> Iterator[Visit]:
    """Yield the parts of a thing that could have a name."""
    parts = [(str(number), part) for number, part in enumerate(thing.parts) if is_nameable(part)]
    for key, value in thing.entries:
        parts += [("a key", key)] if is_nameable(key) else []
        parts += [(describe_key(key), value)] if is_nameable(value) else []
    for name, part in parts:
        place = f"{visit.place}.{name}"[:MAX_PLACE_CHARACTERS] if visit.place else name
        yield Visit(value=part, key=visit.key or name, place=place, inside=inside)


def is_nameable(value: Described) -> bool:
    """Whether a value has, or may hold, a name."""
    return isinstance(value, Thing | GlobalName)


def describe_key(key: Described) -> str:
    """Return a key of a mapping as people read it."""
    return printable(str(key))[:MAX_NAME_CHARACTERS] if isinstance(key, str | int | float) else "…"


def dotted(name: str) -> str:
    """Return a global's name as Python writes it."""
    return name.replace(" ", ".", 1)


def shorten(name: str) -> str:
    """Return a name from outside as a terminal can show it."""
    return printable(name if len(name) <= MAX_NAME_CHARACTERS else f"{name[:MAX_NAME_CHARACTERS]}…")
