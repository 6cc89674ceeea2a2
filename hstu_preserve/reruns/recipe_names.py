"""Name recipes that are compared, so that each is told from the others by what it has otherwise."""

from collections import Counter
from collections.abc import Mapping, Sequence

from hstu_preserve.errors import UnknownNameError, UsageError
from hstu_preserve.gin_recipes.differences import list_differences, list_settings
from hstu_preserve.primitives.wording import list_some
from hstu_preserve.studies.comparison import Group, StudiedRun, without_seed

NOT_READ = "not read"
MAX_SETTINGS = 3
SET_ENDING = "-set"
"""Of the id that a recipe has by default if `--set` changed it."""


def find_baseline(groups: Sequence[Sequence[StudiedRun]], baseline: str) -> int:
    """Return the place of the group that holds the baseline.

    Raises:
        UsageError: Several recipes have that name, or are in that folder.
        UnknownNameError: None has it.
    """
    found = [place for place, group in enumerate(groups) if any(one.is_called(baseline) for one in group)]
    if not found:
        names = dict.fromkeys(name for group in groups for one in group for name in (one.recipe_id, one.origin))
        raise UnknownNameError(
            kind="baseline",
            name=baseline,
            known=names,
            hint="it is the name of a recipe that is compared, or of its run",
        )
    if len(found) > 1:
        raise UsageError(
            f"--baseline {baseline}: {len(found)} recipes are called so; name a run of the one that you mean"
        )
    return found[0]


def name_recipes(groups: Sequence[Sequence[StudiedRun]], *, baseline: int) -> list[Group]:
    """Return the groups with names: the author's, and with the settings that differ where that is not enough.

    Args:
        groups: The runs of each recipe.
        baseline: The place of the recipe that the others are compared with.
    """
    base = list_settings(without_seed(groups[baseline][0].recipe))
    settings = [find_settings(base, group) for group in groups]
    ids = [group[0].recipe_id for group in groups]
    names = [
        describe(own, its, base=base) if place != baseline and is_vague(own, ids=ids) else own
        for place, (own, its) in enumerate(zip(ids, settings, strict=True))
    ]
    repeated = {name for name, number in Counter(names).items() if number > 1}
    return [
        Group(name=f"{name} [{group[0].key[:8]}]" if name in repeated else name, settings=its, runs=group)
        for name, its, group in zip(names, settings, groups, strict=True)
    ]


def is_vague(name: str, *, ids: Sequence[str]) -> bool:
    """Whether a name says too little: another recipe has it, or it says only that something was set with `--set`."""
    return ids.count(name) > 1 or name.endswith(SET_ENDING)


def find_settings(base: Mapping[str, str], group: Sequence[StudiedRun]) -> dict[str, str]:
    """Return the settings that the baseline has otherwise, by gin name."""
    own = list_settings(without_seed(group[0].recipe))
    return {one.name: one.right or NOT_READ for one in list_differences("recipe", base, own)}


def describe(name: str, settings: Mapping[str, str], *, base: Mapping[str, str]) -> str:
    """Return a name with the first settings that both recipes read: which others are read follows from those."""
    shown = [f"{one} = {value}" for one, value in settings.items() if one in base and value != NOT_READ]
    return f"{name.removesuffix(SET_ENDING)} ({list_some(shown, at_most=MAX_SETTINGS)})" if shown else name
