"""Numbers that a bundle tells have ranges, before anything is done with them."""

import pytest

from hstu_preserve.errors import ContentError
from hstu_preserve.primitives.canonical_json import canonical_dumps
from hstu_preserve.primitives.json_values import Json
from hstu_preserve.records.environment import NumericsRecord
from hstu_preserve.records.recipe import Recipe
from tests.factories import make_recipe

NUMERICS: dict[str, Json] = {
    "torch": "2.13.0",
    "device": "cpu",
    "processor": "x",
    "cpu_capability": "AVX2",
    "threads": 2,
    "code_path": "plain",
    "dtype": "float32",
    "tf32": False,
    "deterministic_algorithms": True,
    "processes": 1,
}


@pytest.mark.parametrize("name", ["threads", "processes"])
@pytest.mark.parametrize("value", [0, -1, 100_000, 2**52, 1.5, True, None])
def test_a_number_of_threads_that_no_machine_has_is_refused(name: str, value: Json) -> None:
    NumericsRecord.from_json(canonical_dumps(NUMERICS), source="environment.json")
    with pytest.raises(ContentError, match=rf"^environment\.json: {name}: "):
        NumericsRecord.from_json(canonical_dumps({**NUMERICS, name: value}), source="environment.json")


@pytest.mark.parametrize("value", [0, -1, 1_025, 10**9])
def test_a_number_of_blocks_that_would_be_built_for_ever_is_refused(value: int) -> None:
    recipe = make_recipe().to_json_value()
    assert isinstance(recipe, dict)
    model = recipe["model"]
    assert isinstance(model, dict)
    with pytest.raises(ContentError, match="num_blocks"):
        Recipe.from_json(canonical_dumps({**recipe, "model": {**model, "num_blocks": value}}), source="MANIFEST.json")
