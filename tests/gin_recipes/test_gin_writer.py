import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hstu_preserve.gin_recipes.reader import read_chain
from hstu_preserve.gin_recipes.resolve import Resolution, resolve
from hstu_preserve.gin_recipes.writer import write_gin
from hstu_preserve.records.claim import ClaimPolicy
from hstu_preserve.records.manifest import BundleSettings
from hstu_preserve.records.recipe import Protocol, Recipe
from tests.gin_recipes.strategies import bundles, policies, recipes


def resolve_text(text: str) -> Resolution:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "recipe.gin"
        path.write_bytes(text.encode())
        return resolve(read_chain(path, root=None))


@given(st.data(), recipes(), bundles())
def test_what_is_written_reads_back_as_the_same(data: st.DataObject, recipe: Recipe, bundle: BundleSettings) -> None:
    kind = recipe.evaluation.effective_kind
    one = policies(recipe.dataset.protocol, kind=kind, seed=recipe.training.random_seed)
    claims = data.draw(st.lists(one, min_size=1, max_size=3, unique_by=lambda policy: policy.name))
    resolution = resolve_text(write_gin(recipe, claims, bundle))
    assert resolution.recipe == recipe
    assert resolution.recipe.to_json() == recipe.to_json()
    assert resolution.policies == tuple(claims)
    assert resolution.bundle == bundle
    assert resolution.warnings == ()


@given(recipes(), bundles(), policies(Protocol.UPSTREAM))
def test_only_what_gin_text_can_say_is_written(recipe: Recipe, bundle: BundleSettings, policy: ClaimPolicy) -> None:
    with pytest.raises(ValueError, match="at least one policy"):
        write_gin(recipe, (), bundle)
    if recipe.dataset.protocol is not policy.protocol:
        with pytest.raises(ValueError, match="of the recipe's protocol"):
            write_gin(recipe, (policy,), bundle)


def test_two_claims_of_one_name_are_not_written() -> None:
    resolution = resolve_text("")
    with pytest.raises(ValueError, match="named apart"):
        write_gin(resolution.recipe, resolution.policies * 2, resolution.bundle)
