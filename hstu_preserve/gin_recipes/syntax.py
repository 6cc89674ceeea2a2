"""Define the parts of gin text that was read: places, bindings, and values that stand for something else."""

import reprlib
from dataclasses import dataclass
from typing import NamedTuple

_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = 80


@dataclass(frozen=True, kw_only=True)
class Location:
    """A line of a gin file."""

    file: str
    """Relative to the chain's root, `/` on every platform."""
    line: int
    """Counted from 1."""

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


@dataclass(frozen=True, kw_only=True)
class Reference:
    """`@name`, or `@name()`, which gin would call; never looked up, let alone imported."""

    name: str
    is_call: bool

    def __repr__(self) -> str:
        return f"@{self.name}{'()' if self.is_call else ''}"


@dataclass(frozen=True, kw_only=True)
class MacroUse:
    """`%name`: the value that the chain gives the macro in the end."""

    name: str

    def __repr__(self) -> str:
        return f"%{self.name}"


@dataclass(frozen=True, kw_only=True)
class Binding:
    """A value and where it was written."""

    value: object
    location: Location


class BindingKey(NamedTuple):
    """The name that is bound, e.g. `hr10/claim.metric`."""

    scope: str
    """Empty for an unscoped binding."""
    selector: str
    """The last component of a module-qualified name: gin's registry, which would tell modules apart, is not there."""
    argument: str

    @property
    def name(self) -> str:
        """The gin name without its scope, as the table of known names spells it."""
        return f"{self.selector}.{self.argument}"

    def __str__(self) -> str:
        return f"{self.scope}/{self.name}" if self.scope else self.name


def show(value: object) -> str:
    """Return `value` as gin would spell it, cut if it is long."""
    return _SHORT.repr(value)


def shorten(text: str) -> str:
    """Return `text` on one line, cut if it is long."""
    line = " ".join(text.split())
    return line if len(line) <= 200 else f"{line[:200]}…"
