"""Write a recipe with another seed as gin text, and name the first setting in which two recipes differ."""

from collections.abc import Sequence

from hstu_preserve.gin_recipes.differences import list_settings
from hstu_preserve.gin_recipes.reader import GinChain, read_chain
from hstu_preserve.gin_recipes.resolve import Resolution, resolve
from hstu_preserve.gin_recipes.writer import write_gin
from hstu_preserve.primitives.temporary_folders import scratch_folder
from hstu_preserve.records.claim import ClaimPolicy
from hstu_preserve.records.manifest import BundleSettings
from hstu_preserve.records.recipe import Recipe

SEED_BINDING = "train_fn.random_seed"
FILE_NAME = "recipe.gin"
LONGEST_ID = 120


def reseed(recipe: Recipe, policies: Sequence[ClaimPolicy], bundle: BundleSettings, *, seed: int) -> str:
    """Return the gin text of a recipe with another seed, as a run of its own that carries no data.

    Args:
        recipe: The recipe.
        policies: Its claims' policies, whose seeds become this one alone.
        bundle: The settings of its bundle, whose id and title say the seed.
        seed: The other seed.
    """
    training = recipe.training.model_copy(update={"random_seed": seed})
    ending = f"-seed-{seed}"
    named = {
        "id": f"{bundle.id[: LONGEST_ID - len(ending)]}{ending}",
        "title": f"{bundle.title}, retrained with seed {seed}",
        "include_data": False,
    }
    return write_gin(
        recipe.model_copy(update={"training": training}),
        [policy.model_copy(update={"seeds": (seed,)}) for policy in policies],
        bundle.model_copy(update=named),
    )


def read_gin_text(text: str) -> GinChain:
    """Return the chain that a gin text is.

    Raises:
        RecipeError: It is no gin text.
        UnavailableError: It cannot be written to a temporary directory.
    """
    # The reader takes files, whose content the chain keeps.
    with scratch_folder() as folder:
        (folder / FILE_NAME).write_text(text, encoding="utf-8")
        return read_chain(folder / FILE_NAME, root=folder)


def resolve_gin_text(text: str) -> Resolution:
    """Return what a gin text resolves to.

    Raises:
        RecipeError: It does not resolve.
    """
    return resolve(read_gin_text(text))


def find_first_difference(expected: Recipe, found: Recipe) -> str | None:
    """Return the first setting but the seed in which two recipes differ, by its gin name and both values; else None."""
    one, other = (list_settings(recipe) for recipe in (expected, found))
    for name in dict.fromkeys([*one, *other]):
        if name != SEED_BINDING and one.get(name) != other.get(name):
            return f"{name} is {other.get(name, 'not read')} there, {one.get(name, 'not read')} in the bundle"
    return None
