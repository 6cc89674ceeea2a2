"""Replace macros by their values: late bound as in gin, and bounded, which gin's are not."""

from collections.abc import Mapping

from hstu_preserve.errors import RecipeError
from hstu_preserve.gin_recipes.syntax import Binding, Location, MacroUse, Reference, show

MAX_EXPANSION_DEPTH = 64
MAX_EXPANDED_ITEMS = 200_000


class MacroExpansion:
    """The macros of one chain, and what is left of its budget for expanding them.

    Args:
        macros: The last value that the chain gives each macro.
    """

    def __init__(self, macros: Mapping[str, Binding]) -> None:
        self.macros = macros
        self.used: set[str] = set()
        self.num_items = 0

    def expand(self, binding: Binding) -> Binding:
        """Return the binding with every macro replaced by its value.

        Raises:
            RecipeError: A macro is undefined, stands for itself or grows without bound, or the value would be a call.
        """
        return Binding(value=self.expand_value(binding.value, at=binding.location, path=()), location=binding.location)

    def expand_value(self, value: object, *, at: Location, path: tuple[str, ...]) -> object:
        """Return `value` expanded; `path` holds the macros and containers (as an empty name) that lead to it."""
        self.num_items += 1
        if self.num_items > MAX_EXPANDED_ITEMS:
            raise RecipeError(f"{at}: the chain's values expand to more than {MAX_EXPANDED_ITEMS} items")
        if len(path) > MAX_EXPANSION_DEPTH:
            raise RecipeError(f"{at}: the value expands to more than {MAX_EXPANSION_DEPTH} levels")
        match value:
            case MacroUse(name=name):
                return self.expand_macro(name, at=at, path=path)
            case Reference(is_call=True):
                raise RecipeError(f"{at}: {show(value)} would call a function; write the value instead")
            case list():
                return [self.expand_value(item, at=at, path=(*path, "")) for item in value]
            case tuple():
                return tuple([self.expand_value(item, at=at, path=(*path, "")) for item in value])
            case dict():
                return self.expand_dict(value, at=at, path=(*path, ""))
            case _:
                return value

    def expand_macro(self, name: str, *, at: Location, path: tuple[str, ...]) -> object:
        """Return the value that the chain gives macro `name` in the end."""
        if name in path:
            cycle = " → ".join(f"%{macro}" for macro in (*path[path.index(name) :], name) if macro)
            raise RecipeError(f"{at}: a macro stands for itself ({cycle})")
        if name == "gin.REQUIRED":
            raise RecipeError(f"{at}: gin.REQUIRED stands within a value; it marks whole values only")
        if name not in self.macros:
            raise RecipeError(f"{at}: undefined macro %{name}")
        self.used.add(name)
        return self.expand_value(self.macros[name].value, at=at, path=(*path, name))

    def expand_dict(self, value: dict[object, object], *, at: Location, path: tuple[str, ...]) -> dict[object, object]:
        """Return a dict with keys and values expanded."""
        expanded: dict[object, object] = {}
        for key, item in value.items():
            expanded_key = self.expand_value(key, at=at, path=path)
            expanded_item = self.expand_value(item, at=at, path=path)
            try:
                expanded[expanded_key] = expanded_item
            except TypeError:
                raise RecipeError(f"{at}: {show(key)} cannot be a dictionary's key") from None
        return expanded
