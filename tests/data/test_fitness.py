"""Recipes that read times or ratings, and stores that have none."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hstu_preserve.cli.main import main
from hstu_preserve.data.fitness import require_what_is_read
from hstu_preserve.data.store import Store, write_store
from hstu_preserve.errors import DataMismatchError
from hstu_preserve.primitives.json_values import Json
from hstu_preserve.records.recipe import Recipe
from tests.data.stores_in_memory import synthesize
from tests.factories import make_recipe
from tests.gin_recipes.bundle_chains import resolve_folder
from tests.runs.tiny_run import tiny_gin

STORE = synthesize(seed=7, num_users=12, num_items=30, num_ratings=150)


def without_times(store: Store) -> Store:
    provenance = store.record.provenance.model_copy(update={"times": "order", "source": "log.txt"})
    return replace(store, record=store.record.model_copy(update={"provenance": provenance}))


@pytest.mark.parametrize(
    ("recipe", "reads"),
    [
        (make_recipe(), "train_fn.main_module 'HSTU' reads times"),
        (resolve_folder("hstu-tensorflow-ml-1m").recipe, "train_fn.main_module 'HSTU-TF' reads times"),
        (resolve_folder("foundations-tisasrec-ml-1m").recipe, "train_fn.main_module 'TiSASRec' reads times"),
        (make_recipe(time_decay={}), "time_decay.mode 'power' reads times"),
    ],
)
def test_a_recipe_that_reads_times_refuses_data_without_them_by_the_gin_name(recipe: Recipe, reads: str) -> None:
    require_what_is_read(recipe, STORE)
    with pytest.raises(DataMismatchError, match=f"^{reads}.*synthetic has no times: log.txt tells the order only"):
        require_what_is_read(recipe, without_times(STORE))


@pytest.mark.parametrize("name", ["paper-sasrec-ml-1m", "foundations-sasrec-ml-1m", "foundations-fparec-ml-1m"])
def test_a_recipe_that_reads_none_takes_it(name: str) -> None:
    require_what_is_read(resolve_folder(name).recipe, without_times(STORE))


def test_action_fusion_refuses_data_without_ratings() -> None:
    fused: dict[str, Json] = {}
    recipe = make_recipe(action_fusion=fused)
    require_what_is_read(recipe, STORE)
    unrated = replace(STORE, half_stars=np.zeros_like(STORE.half_stars))
    require_what_is_read(make_recipe(), unrated)
    with pytest.raises(DataMismatchError, match=r"^action_fusion.enabled True reads ratings"):
        require_what_is_read(recipe, unrated)


def test_a_training_that_needs_times_stops_before_it_writes_anything(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_store(without_times(STORE), tmp_path / "store")
    (tmp_path / "tiny.gin").write_text(tiny_gin())
    arguments = ["--data", str(tmp_path / "store"), "--device", "cpu", "--output", str(tmp_path / "run")]
    assert main(["train", str(tmp_path / "tiny.gin"), *arguments]) == 3
    assert "error: train_fn.main_module 'HSTU' reads times" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()
