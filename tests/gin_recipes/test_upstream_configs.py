import os
from pathlib import Path

import pytest

from hstu_preserve.gin_recipes.bindings import RECIPE_BINDINGS
from hstu_preserve.gin_recipes.reader import read_chain
from hstu_preserve.gin_recipes.resolve import resolve
from hstu_preserve.records.claim import Direction, SelectionRule
from tests.gin_recipes.upstream_settings import SIGNATURE_DEFAULTS, UPSTREAM_CONFIGS, UpstreamConfig

CONFIGS_VARIABLE = "HSTU_PRESERVE_UPSTREAM_CONFIGS"

every_config = pytest.mark.parametrize("config", UPSTREAM_CONFIGS, ids=lambda config: config.file)


def test_a_missing_binding_means_upstreams_default() -> None:
    ours = {"hstu_encoder.attention_normalization"}
    selectors = {"train_fn", "hstu_encoder", "sasrec_encoder"}
    defaults = {
        row.name: row.default for row in RECIPE_BINDINGS if row.name.split(".")[0] in selectors and row.name not in ours
    }
    assert defaults == SIGNATURE_DEFAULTS


@every_config
def test_a_shipped_config_resolves_to_the_recipe_that_it_means(config: UpstreamConfig, tmp_path: Path) -> None:
    path = tmp_path / "config.gin"
    path.write_text(config.gin_text())
    resolution = resolve(read_chain(path, root=None))
    found, expected = resolution.recipe.to_json_value(), config.expected_recipe().to_json_value()
    assert isinstance(found, dict)
    assert isinstance(expected, dict)
    for section, fields in expected.items():
        assert found[section] == fields
    assert resolution.recipe == config.expected_recipe()
    assert resolution.warnings == ()
    assert [notice.message.split()[0] for notice in resolution.inert] == [
        "create_data_loader.prefetch_factor",
        "create_data_loader.num_workers",
    ]


@every_config
def test_a_shipped_config_claims_ndcg_at_10_of_the_final_epoch(config: UpstreamConfig, tmp_path: Path) -> None:
    path = tmp_path / "config.gin"
    path.write_text(config.gin_text())
    (policy,) = resolve(read_chain(path, root=None)).policies
    assert (policy.name, policy.metric, policy.direction) == ("ndcg@10", "ndcg@10", Direction.MAXIMIZE)
    assert (policy.selection_rule, policy.seeds) == (SelectionRule.FINAL_EPOCH, (42,))
    assert (policy.margin, policy.margin_derivation) == (None, None)


@pytest.mark.skipif(CONFIGS_VARIABLE not in os.environ, reason=f"{CONFIGS_VARIABLE} names no folder of Meta's configs")
@every_config
def test_the_original_file_says_what_the_table_says(config: UpstreamConfig) -> None:
    root = Path(os.environ[CONFIGS_VARIABLE])
    chain = read_chain(root / config.file, root=root)
    found = {str(key): binding.value for key, binding in chain.bindings.items()}
    assert found == config.bindings()
    assert {name: type(value) for name, value in found.items()} == {
        name: type(value) for name, value in config.bindings().items()
    }
    resolution = resolve(chain)
    assert resolution.recipe == config.expected_recipe()
    assert resolution.warnings == ()


@pytest.mark.skipif(CONFIGS_VARIABLE not in os.environ, reason=f"{CONFIGS_VARIABLE} names no folder of Meta's configs")
def test_the_table_has_every_shipped_config() -> None:
    root = Path(os.environ[CONFIGS_VARIABLE])
    shipped = {path.relative_to(root).as_posix() for path in root.rglob("*.gin")}
    assert shipped == {config.file for config in UPSTREAM_CONFIGS}
