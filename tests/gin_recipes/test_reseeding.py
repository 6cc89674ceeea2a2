"""A recipe with another seed is that recipe in everything else, and the first difference of two recipes is named."""

import pytest

from hstu_preserve.gin_recipes.reader import read_chain
from hstu_preserve.gin_recipes.reseeding import find_first_difference, reseed, resolve_gin_text
from hstu_preserve.gin_recipes.resolve import Resolution, resolve
from hstu_preserve.library.catalog import list_chains

CHAINS = list_chains()
TEXT = "train_fn.random_seed = 4\nclaim.seeds = (4, 5)\nhr/claim.metric = 'hr@10'\nhr/claim.seeds = (4, 5)\n"


@pytest.mark.parametrize("name", CHAINS)
def test_only_the_seed_differs(name: str) -> None:
    before = resolve(read_chain(CHAINS[name], root=None))
    after = resolve_gin_text(reseed(before.recipe, before.policies, before.bundle, seed=77))
    assert after.recipe.training.random_seed == 77
    assert find_first_difference(before.recipe, after.recipe) is None
    same = before.recipe.training.model_copy(update={"random_seed": 77})
    assert after.recipe == before.recipe.model_copy(update={"training": same})
    assert [policy.seeds for policy in after.policies] == [(77,)] * len(before.policies)
    stripped = [[policy.model_copy(update={"seeds": ()}) for policy in one.policies] for one in (before, after)]
    assert stripped[0] == stripped[1]
    assert after.bundle.id.endswith("-seed-77")
    assert not after.bundle.include_data


def resolve_text(extra: str = "") -> Resolution:
    return resolve_gin_text(TEXT + extra)


@pytest.mark.parametrize(
    ("extra", "says"),
    [
        ("train_fn.learning_rate = 0.5\n", "train_fn.learning_rate is 0.5 there, 0.001 in the bundle"),
        ("train_fn.main_module = 'HSTU'\n", "train_fn.main_module is 'HSTU' there, 'SASRec' in the bundle"),
        ("prism.variant = 'film'\n", "prism.variant is 'film' there, 'none' in the bundle"),
        ("train_fn.random_seed = 5\nclaim.seeds = (5,)\nhr/claim.seeds = (5,)\n", None),
    ],
)
def test_the_first_difference_is_named_as_gin_files_name_it(extra: str, says: str | None) -> None:
    assert find_first_difference(resolve_text().recipe, resolve_text(extra).recipe) == says


def test_the_longest_id_stays_an_id() -> None:
    before = resolve_text(f"bundle.id = '{'x' * 120}'\n")
    after = resolve_gin_text(reseed(before.recipe, before.policies, before.bundle, seed=12345))
    assert len(after.bundle.id) == 120
    assert after.bundle.id.endswith("-seed-12345")
