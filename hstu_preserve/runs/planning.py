"""Make the plan of a training of what a user names."""

from collections.abc import Sequence
from pathlib import Path

from hstu_preserve.data.finding import find_store_for_recipe
from hstu_preserve.errors import UnknownNameError
from hstu_preserve.gin_recipes.overlay import read_changed_chain, require_read
from hstu_preserve.gin_recipes.resolve import resolve
from hstu_preserve.library.catalog import list_chains
from hstu_preserve.library.targets import looks_like_path
from hstu_preserve.primitives.given_paths import as_path
from hstu_preserve.runs.plan import Plan


def make_plan(
    gin: str | Path, *, data: str | Path | None, gin_root: str | Path | None, settings: Sequence[str], device: str
) -> Plan:
    """Return what `train` trains.

    Raises:
        RecipeError: The chain does not resolve, or a setting is not one binding, or one that nothing reads.
        DataMismatchError: The store is not the recipe's.
        UnavailableError: No store was named and none was found.
    """
    chain = read_changed_chain(find_gin(gin), root=as_path(gin_root), settings=settings)
    resolution = resolve(chain)
    require_read(resolution)
    store = find_store_for_recipe(resolution.recipe.dataset, as_path(data))
    return Plan(chain=chain, resolution=resolution, store=store, device=device)


def find_gin(gin: str | Path) -> Path:
    """Return the gin file that a path names, or the chain of an id that comes with the program.

    Raises:
        UnknownNameError: Neither; the nearest ids are offered.
    """
    path = Path(gin)
    if path.exists() or looks_like_path(str(gin)):
        return path
    chains = list_chains()
    if str(gin) not in chains:
        raise UnknownNameError(kind="gin file or id", name=str(gin), known=chains)
    return chains[str(gin)]
