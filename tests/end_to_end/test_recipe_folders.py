"""Every recipe folder through the whole loop: train two epochs, pack, verify, reproduce on the evaluation rung.

A recipe is taken as it is but for data set, epochs and, where it is 256, the embedding width. Two folders run always,
on little data; in `make test-slow` all of them on made-up data a third the size of ml-latest-small, and some on
the real one.
"""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from hstu_preserve.cli.main import main
from hstu_preserve.data.store import open_store
from hstu_preserve.records.manifest import Manifest
from hstu_preserve.records.recipe import Recipe
from hstu_preserve.verbs.data import prepare_data, synthesize_data
from tests.gin_recipes.bundle_chains import (
    ALL_FOLDERS,
    BASE,
    BUNDLES,
    EXPERIMENTS,
    FOUNDATIONS,
    SHARED,
    TENSORFLOW,
    list_differences,
    resolve_folder,
)

QUICK = ("iter8-exp4-SOTA", TENSORFLOW, "foundations-sasrec-ml-1m", "foundations-tisasrec-ml-1m")
"""One with the archive's components, and some that share nothing with it."""
REAL = (*EXPERIMENTS, BASE, TENSORFLOW)
NUM_EPOCHS = 2
WIDTH = 32
NUM_NEGATIVES = 8
SHRUNK = {
    "dataset.name",
    "dataset.min_user_events",
    "dataset.min_item_events",
    "training.num_epochs",
    "model.item_embedding_dim",
}
OF_A_MIXTURE = {"loss.num_negatives"}


@pytest.fixture(scope="module")
def little_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    store = tmp_path_factory.mktemp("stores") / "little"
    synthesize_data(seed=1, num_users=24, num_items=400, num_ratings=3_000, output=store)
    return store


@pytest.fixture(scope="module")
def sparse_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store in which nobody has rated so much that no item is left to draw."""
    store = tmp_path_factory.mktemp("stores") / "sparse"
    synthesize_data(seed=1, num_users=24, num_items=400, num_ratings=1_000, output=store)
    return store


@pytest.fixture(scope="module")
def data_of_movielens_shape(tmp_path_factory: pytest.TempPathFactory) -> Path:
    store = tmp_path_factory.mktemp("stores") / "synthetic"
    synthesize_data(seed=1, num_users=610 // 3, num_items=9_742 // 3, num_ratings=100_836 // 3, output=store)
    return store


@pytest.fixture(scope="module")
def real_data(tmp_path_factory: pytest.TempPathFactory, latest_small: Path) -> Path:
    store = tmp_path_factory.mktemp("stores") / "ml-latest-small"
    prepare_data("ml-latest-small", source=latest_small, output=store)
    return store


def shrink(name: str, *, dataset: str, work: Path) -> Path:
    """Write a gin file that includes the folder's chain and replaces data set, epochs and width."""
    root = work / "bundles"
    for folder in (SHARED.name, name):
        shutil.copytree(BUNDLES / folder, root / folder)
    lines = [f"include '{name}/config/{name}.gin'", f'train_fn.dataset_name = "{dataset}"']
    lines += [f"data.min_{what}_events = None" for what in ("user", "item")]  # made-up data has no filter
    lines.append(f"train_fn.num_epochs = {NUM_EPOCHS}")
    if resolve_folder(name).recipe.mol is not None:  # each pair of position and negative costs as much as 100 elsewhere
        lines.append(f"train_fn.num_negatives = {NUM_NEGATIVES}")
    if resolve_folder(name).recipe.model.item_embedding_dim > WIDTH * 2:
        lines.append(f"train_fn.item_embedding_dim = {WIDTH}")
    gin = root / "shrunk.gin"
    gin.write_text("\n".join(lines) + "\n")
    return gin


def run_the_loop(
    name: str, *, store: Path, work: Path, capsys: pytest.CaptureFixture[str], may_be_trivial: bool = False
) -> Recipe:
    """Take the recipe from gin file to verdicts; return what was trained."""
    gin = shrink(name, dataset=open_store(store).name, work=work)
    run, bundle, verdicts = work / "run", work / "bundle.tar.gz", work / "verdicts"
    on_data = ["--data", str(store), "--device", "cpu"]
    assert main(["train", str(gin), *on_data, "--output", str(run)]) == 0
    assert main(["pack", str(run), "--output", str(bundle)]) == 0
    assert main(["verify", str(bundle), "--deep"]) == 0
    capsys.readouterr()
    code = main(["reproduce", str(bundle), *on_data, "--output", str(verdicts), "--json"])
    found = json.loads(capsys.readouterr().out)["verdicts"]
    manifest = Manifest.from_json((run / "MANIFEST.json").read_bytes(), source=str(run))
    assert [(verdict["rung"], verdict["outcome"]) for verdict in found[:3]] == [
        ("bytes", "REPRODUCED_BITWISE"),
        ("consistency", "REPRODUCED_BITWISE"),
        ("evaluation-bitwise", "REPRODUCED_BITWISE"),
    ]
    numeric = found[3:]
    assert [verdict["rung"] for verdict in numeric] == ["evaluation-numeric"] * len(manifest.claims)
    assert all("as claimed; none of" in verdict["reason"] for verdict in numeric)
    # Two epochs may leave a claim whose margin reaches down to an order drawn at random: nothing is decided then.
    trivial = [verdict for verdict in numeric if "a trivial claim" in verdict["reason"]]
    outcomes = {verdict["outcome"] for verdict in numeric if verdict not in trivial}
    assert (code, outcomes | {"REPRODUCED_NUMERIC"}) == (6 if trivial else 0, {"REPRODUCED_NUMERIC"})
    assert all(verdict["outcome"] == "INCONCLUSIVE" for verdict in trivial)
    assert may_be_trivial or not trivial
    assert [claim.policy for claim in manifest.claims] == list(resolve_folder(name).policies)
    return manifest.run.recipe


def require_whole_loop(
    name: str, *, store: Path, work: Path, capsys: pytest.CaptureFixture[str], may_be_trivial: bool = False
) -> None:
    """The loop closes, and what was trained is the folder's recipe but for what was shrunk."""
    trained = run_the_loop(name, store=store, work=work, capsys=capsys, may_be_trivial=may_be_trivial)
    shrunk = SHRUNK | OF_A_MIXTURE if trained.mol else SHRUNK
    assert list_differences(trained, resolve_folder(name).recipe) <= shrunk


def test_the_little_data_is_long_enough_to_be_compressed(little_data: Path) -> None:
    settings = resolve_folder(QUICK[0]).recipe.input_compression
    assert settings is not None
    lengths = np.diff(open_store(little_data).offsets)
    assert (lengths > settings.recent_len + settings.ratio).sum() >= 3
    assert (lengths < settings.recent_len).sum() >= 3


@pytest.mark.parametrize("name", QUICK)
def test_a_recipe_folder_goes_through_the_whole_loop(
    name: str, little_data: Path, sparse_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = sparse_data if name in FOUNDATIONS else little_data
    require_whole_loop(name, store=store, work=tmp_path, capsys=capsys)


@pytest.mark.slow
@pytest.mark.parametrize("name", [*ALL_FOLDERS, *FOUNDATIONS])
def test_every_recipe_folder_goes_through_the_whole_loop(
    name: str, data_of_movielens_shape: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    require_whole_loop(name, store=data_of_movielens_shape, work=tmp_path, capsys=capsys, may_be_trivial=True)


@pytest.mark.slow
@pytest.mark.parametrize("name", REAL)
def test_recipe_folders_go_through_the_whole_loop_on_real_movielens(
    name: str, real_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    require_whole_loop(name, store=real_data, work=tmp_path, capsys=capsys)


@pytest.mark.slow
@pytest.mark.parametrize("name", FOUNDATIONS)
def test_a_foundation_is_resumed_and_trained_again_to_the_bit(
    name: str, sparse_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    gin = shrink(name, dataset=open_store(sparse_data).name, work=tmp_path)
    on_data = ["--data", str(sparse_data), "--device", "cpu"]
    changed = [
        word for one in ("save_ckpt_every_n = 1", "max_sequence_length = 60") for word in ("--set", f"train_fn.{one}")
    ]
    assert main(["train", str(gin), *on_data, *changed, "--output", str(tmp_path / "run")]) == 0
    capsys.readouterr()
    rungs = [word for rung in ("evaluation", "resume", "training") for word in ("--rung", rung)]
    main(["reproduce", str(tmp_path / "run"), *on_data, *rungs, "--json"])
    outcomes = {one["rung"]: one["outcome"] for one in json.loads(capsys.readouterr().out)["verdicts"]}
    for rung in ("evaluation", "resume", "training"):
        assert outcomes[f"{rung}-bitwise"] == "REPRODUCED_BITWISE", rung
