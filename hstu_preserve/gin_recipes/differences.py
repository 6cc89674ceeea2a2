"""Compare recipes setting by setting, by their gin names."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from hstu_preserve.errors import ContentError
from hstu_preserve.gin_recipes.bindings import CLAIM_ARGUMENTS, CLAIM_SELECTOR
from hstu_preserve.gin_recipes.syntax import BindingKey
from hstu_preserve.gin_recipes.writer import find_value, list_read
from hstu_preserve.primitives.digests import Sha256
from hstu_preserve.primitives.json_values import Json
from hstu_preserve.records.claim import ClaimPolicy
from hstu_preserve.records.recipe import Recipe
from hstu_preserve.records.record import Record
from hstu_preserve.records.results import Difference


class RecipeDiff(Record):
    """How two recipes and the policies of their claims differ."""

    left: str
    right: str
    left_sha256: Sha256
    """Of the recipe, its seed included."""
    right_sha256: Sha256
    differences: tuple[Difference, ...]
    """Values as gin spells them; None where nothing reads the setting, or there is no such claim."""

    @property
    def exit_code(self) -> int:
        """3 if they differ."""
        return ContentError.exit_code if self.differences else 0


@dataclass(frozen=True, kw_only=True)
class RecipeSide:
    """What is compared of a recipe.

    Attributes:
        name: What the user calls it.
        recipe: Its settings.
        policies: Of its claims.
    """

    name: str
    recipe: Recipe
    policies: tuple[ClaimPolicy, ...]


def compare_recipes(left: RecipeSide, right: RecipeSide) -> RecipeDiff:
    """Return the settings in which two recipes, and the policies of their claims, differ."""
    return RecipeDiff(
        left=left.name,
        right=right.name,
        left_sha256=left.recipe.digest(),
        right_sha256=right.recipe.digest(),
        differences=(
            *list_differences("recipe", list_settings(left.recipe), list_settings(right.recipe)),
            *list_differences("claims", list_policies(left.policies), list_policies(right.policies)),
        ),
    )


def list_settings(recipe: Recipe) -> dict[str, str]:
    """Return every setting that a recipe reads, by its gin name, as gin spells it."""
    return {name: spell(value) for name, value in list_read(recipe)}


def list_policies(policies: Sequence[ClaimPolicy]) -> dict[str, str]:
    """Return the settings of the claims by their gin names; every claim but the first is a scope of its name."""
    settings: dict[str, str] = {}
    for number, policy in enumerate(policies):
        for argument in CLAIM_ARGUMENTS:
            key = BindingKey(policy.name if number else "", CLAIM_SELECTOR, argument)
            settings[str(key)] = spell(find_value(policy, argument))
    return settings


def spell(value: Json) -> str:
    """Return a value as gin spells it."""
    return repr(value)


def list_differences(section: str, left: Mapping[str, str], right: Mapping[str, str]) -> tuple[Difference, ...]:
    """Return each setting that differs, or that only one side has."""
    return tuple(
        Difference(section=section, name=name, left=left.get(name), right=right.get(name))
        for name in dict.fromkeys([*left, *right])
        if left.get(name) != right.get(name)
    )
