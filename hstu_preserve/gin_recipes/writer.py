"""Write a recipe, its claims' policies and its bundle's settings as one flat gin text."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby

from hstu_preserve.gin_recipes.bindings import (
    BUNDLE_ARGUMENTS,
    BUNDLE_SELECTOR,
    CLAIM_ARGUMENTS,
    CLAIM_SELECTOR,
    RECIPE_BINDINGS,
    RECIPE_BINDINGS_BY_NAME,
    SWITCHES_BY_SECTION,
    find_idle,
    find_unmet,
)
from hstu_preserve.gin_recipes.syntax import BindingKey
from hstu_preserve.primitives.json_values import Json
from hstu_preserve.records.claim import ClaimPolicy
from hstu_preserve.records.manifest import BundleSettings
from hstu_preserve.records.recipe import Recipe
from hstu_preserve.records.record import Record


def write_gin(recipe: Recipe, policies: Sequence[ClaimPolicy], bundle: BundleSettings) -> str:
    """Return gin text that resolves to exactly this recipe, these policies and this bundle.

    Nothing is left to a default, so that the text keeps its meaning when a default changes; only what no model reads
    (the experts of a PRISM without any) is left out.

    Args:
        recipe: The recipe; what no model reads has its default, as in every recipe that gin text makes.
        policies: At least one, each of the recipe's protocol; the first becomes the unscoped claim.
        bundle: The author's settings of the bundle.

    Raises:
        ValueError: Gin text cannot say this: no policy, one of another protocol than the recipe's, or two of one name.
    """
    if not policies or any(policy.protocol != recipe.dataset.protocol for policy in policies):
        raise ValueError("a recipe is written with at least one policy, each of the recipe's protocol")
    if len({policy.name for policy in policies}) != len(policies):
        raise ValueError("the claims of a recipe are named apart")
    lines = [*recipe_lines(recipe)]
    for number, policy in enumerate(policies, start=1):
        scope = "" if number == 1 else f"claim_{number}"
        lines += record_lines(policy, scope=scope, selector=CLAIM_SELECTOR, arguments=CLAIM_ARGUMENTS)
    lines += record_lines(bundle, scope="", selector=BUNDLE_SELECTOR, arguments=BUNDLE_ARGUMENTS)
    return "\n".join(lines)


def recipe_lines(recipe: Recipe) -> Iterator[str]:
    """Yield a line for each name that the recipe reads, and an empty one after each selector."""
    for _, group in groupby(list_read(recipe), key=lambda setting: setting[0].split(".")[0]):
        for name, value in group:
            yield f"{name} = {value!r}"
        yield ""


def list_read(recipe: Recipe) -> Iterator[tuple[str, Json]]:
    """Yield name and value of each setting that the recipe reads."""

    def value_of(name: str) -> Json:
        return find_setting(recipe, RECIPE_BINDINGS_BY_NAME[name].path)

    rows = (row for row in RECIPE_BINDINGS if not find_unmet(row, value_of) and not find_idle(row, value_of))
    yield from ((row.name, value_of(row.name)) for row in rows)


def find_setting(recipe: Recipe, path: str) -> Json:
    """Return the value at `path`; of a section that is turned off, its switch's."""
    section = path.split(".", maxsplit=1)[0]
    switch = SWITCHES_BY_SECTION.get(section)
    if switch and find_value(recipe, section) is None:
        return switch.off
    return find_value(recipe, path)


def record_lines(record: Record, *, scope: str, selector: str, arguments: Iterable[str]) -> Iterator[str]:
    """Yield a line for each argument that the record's text holds, and an empty one."""
    values = record.to_json_value()
    assert isinstance(values, dict)
    for argument in arguments:
        if argument in values:  # an absent field is None, which is what nothing bound means too
            yield f"{BindingKey(scope, selector, argument)} = {values[argument]!r}"
    yield ""


def find_value(record: Record, path: str) -> Json:
    """Return the plain value of the field at `path`, None if the record leaves it out."""
    value = record.to_json_value()
    for name in path.split("."):
        assert isinstance(value, dict)
        value = value.get(name)
    return value
