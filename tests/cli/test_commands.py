"""Commands through `main([...])`: what they print, where, and what they exit with."""

import json
import re
import shutil
from pathlib import Path

import pytest

from hstu_preserve.cli.main import main
from hstu_preserve.library.catalog import read_catalog
from hstu_preserve.library.targets import SAMPLE_BUNDLE
from hstu_preserve.primitives.shipped import shipped_directory

Capture = pytest.CaptureFixture[str]
SAMPLE_PATH = shipped_directory("bundles") / SAMPLE_BUNDLE
ARCHIVE_CLAIMS = {
    "iter8-exp4-SOTA": 0.1948,
    "iter8-exp1-HardNeg": 0.1920,
    "iter8-exp0-PopDebias": 0.1900,
    "iter7-exp1-PRISM-FILM-PopDebias-SOTA": 0.1912,
    "iter7-exp2-PRISM-MoE": 0.1895,
    "iter7-exp0-PRISM-FILM-HardNeg": 0.1880,
    "iter7-exp5-l700": 0.1901,
    "iter7-exp6-ml32m-base": 0.1508,
}
TENSORFLOW_CLAIMS = {
    "hr@10": 0.3419,
    "ndcg@10": 0.1944,
    "hr@100": 0.7089,
    "ndcg@100": 0.2702,
    "hr@200": 0.7949,
    "ndcg@200": 0.2827,
}


def test_list_shows_every_published_experiment_with_its_gain(capsys: Capture) -> None:
    assert main(["list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    for identifier, value in ARCHIVE_CLAIMS.items():
        (line,) = [line for line in lines if line.split()[:1] == [identifier]]
        assert f"{value:.4f}" in line
        assert "tzchen07/hstu-iter78-preservation" in line
    (best,) = [line for line in lines if "iter8-exp4-SOTA" in line]
    assert "+2.8%" in best


def test_the_catalog_has_the_published_claims_and_invents_no_digest() -> None:
    catalog = read_catalog()
    for identifier, value in ARCHIVE_CLAIMS.items():
        entry = catalog[identifier]
        assert [(claim.metric, claim.value, claim.epoch) for claim in entry.claims] == [("ndcg@10", value, 100)]
        assert entry.bundle is not None
        assert (entry.bundle.sha256, entry.bundle.identity, entry.data_fingerprint) == (None, None, None)
        assert not entry.recipe_is_published
    tensorflow = catalog["hstu-tensorflow-ml-1m"]
    assert {claim.metric: claim.value for claim in tensorflow.claims} == TENSORFLOW_CLAIMS


def test_every_comparison_names_an_entry_of_the_same_dataset() -> None:
    catalog = read_catalog()
    for entry in catalog.values():
        if entry.compared_with is not None:
            assert catalog[entry.compared_with].dataset == entry.dataset


def test_show_says_of_a_reconstruction_that_it_is_one(capsys: Capture) -> None:
    assert main(["show", "iter8-exp4-SOTA"]) == 0
    text = capsys.readouterr().out
    assert "never published; any recipe of this name is a reconstruction" in text
    assert "digest never seen" in text
    assert "selection on test" in text


def test_show_sample_lists_claims_curve_and_contents_without_unpacking(capsys: Capture) -> None:
    assert main(["show", "sample"]) == 0
    text = capsys.readouterr().out
    assert "one of the 500 users" in text
    assert "results/ranks.npz" in text
    assert "not verified" in text


def test_show_a_gin_file_prints_the_recipe_it_resolves_to(tmp_path: Path, capsys: Capture) -> None:
    gin = tmp_path / "x.gin"
    gin.write_text('train_fn.main_module = "HSTU"\nhstu_encoder.num_blocks = 7\nsasrec_encoder.num_blocks = 3\n')
    assert main(["show", str(gin), "--json"]) == 0
    record = json.loads(capsys.readouterr().out)
    assert record["recipe"]["model"]["num_blocks"] == 7
    assert any("sasrec_encoder.num_blocks" in warning for warning in record["warnings"])
    assert main(["show", str(gin)]) == 0
    assert "hstu_encoder.num_blocks = 7" in capsys.readouterr().out


def test_verify_says_that_integrity_is_not_authenticity(capsys: Capture) -> None:
    assert main(["verify", "sample"]) == 0
    assert "integrity only, nobody signed this" in capsys.readouterr().out


def test_verify_of_several_targets_reports_each_and_exits_with_the_first_failure(
    tmp_path: Path, capsys: Capture
) -> None:
    damaged = tmp_path / "damaged.tar.gz"
    damaged.write_bytes(SAMPLE_PATH.read_bytes()[:-1000])
    assert main(["verify", "sample", str(damaged), str(tmp_path / "absent.tar.gz")]) == 3
    text = capsys.readouterr().out
    assert "ok" in text
    assert "FAILED" in text
    assert "no such file" in text


def test_json_goes_to_stdout_whole(capsys: Capture) -> None:
    for command in (["list"], ["show", "sample"], ["verify", "sample"], ["doctor"]):
        assert main([*command, "--json"]) == 0
        captured = capsys.readouterr()
        assert isinstance(json.loads(captured.out), dict)
        assert captured.err == ""


def test_pack_and_unpack_give_back_the_bundle(tmp_path: Path, capsys: Capture) -> None:
    tree, again = tmp_path / "tree", tmp_path / "again.tar.gz"
    assert main(["unpack", "sample", "--output", str(tree)]) == 0
    assert main(["pack", str(tree), "--output", str(again)]) == 0
    capsys.readouterr()
    assert main(["verify", str(again), "--json"]) == 0
    repacked = json.loads(capsys.readouterr().out)["targets"][0]["verification"]
    assert main(["verify", "sample", "--json"]) == 0
    original = json.loads(capsys.readouterr().out)["targets"][0]["verification"]
    assert repacked["identity"] == original["identity"]


def test_a_local_path_wins_over_a_catalog_id(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copy(SAMPLE_PATH, "iter8-exp4-SOTA")
    assert main(["show", "iter8-exp4-SOTA"]) == 0
    assert "Sample: HSTU on synthetic data" in capsys.readouterr().out


def test_the_store_of_a_bundle_is_found_by_fingerprint_in_the_named_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    stores = tmp_path / "stores"
    for seed in ("1", "2"):
        size = ["--users", "30", "--items", "60", "--ratings", "600"]
        assert main(["data", "synthesize", "--seed", seed, *size, "--output", str(stores / seed)]) == 0
    gin = tmp_path / "x.gin"
    gin.write_text(
        'train_fn.dataset_name = "synthetic"\ntrain_fn.max_sequence_length = 10\ntrain_fn.num_epochs = 1\n'
        'train_fn.item_embedding_dim = 8\ntrain_fn.sampling_strategy = "local"\ntrain_fn.weight_decay = 0\n'
    )
    run = tmp_path / "run"
    assert main(["train", str(gin), "--data", str(stores / "2"), "--device", "cpu", "--output", str(run)]) == 0
    monkeypatch.setenv("HSTU_PRESERVE_DATA", str(stores))
    assert main(["evaluate", str(run), "--device", "cpu"]) == 0
    capsys.readouterr()
    assert main(["train", str(gin), "--device", "cpu", "--output", str(tmp_path / "other")]) == 2
    assert "several stores" in capsys.readouterr().err


def test_export_writes_a_checkpoint_that_evaluates_to_the_same_ranks(tmp_path: Path, capsys: Capture) -> None:
    tree, exported = tmp_path / "tree", tmp_path / "meta_ep11"
    assert main(["unpack", "sample", "--output", str(tree)]) == 0
    assert main(["export", "sample", "--output", str(exported)]) == 0
    gin = tree / "config" / "sample-hstu-synthetic" / "config" / "sample-hstu-synthetic.gin"
    options = ["--gin", str(gin), "--gin-root", str(tree / "config"), "--data", str(tree / "data"), "--device", "cpu"]
    capsys.readouterr()
    assert main(["evaluate", "--checkpoint", str(exported), *options, "--json"]) == 0
    theirs = json.loads(capsys.readouterr().out)["evaluation"]
    assert main(["evaluate", "sample", "--device", "cpu", "--json"]) == 0
    ours = json.loads(capsys.readouterr().out)["evaluation"]
    assert theirs == ours


def test_doctor_names_what_is_missing_and_what_to_type(capsys: Capture) -> None:
    assert main(["doctor"]) == 0
    text = capsys.readouterr().out
    assert "fbgemm's jagged operators" in text
    assert "HSTU_PRESERVE_DATA" in text


def test_train_without_a_terminal_warns_first_and_says_how_each_epoch_went(tmp_path: Path, capsys: Capture) -> None:
    gin = tmp_path / "x.gin"
    gin.write_text(
        'train_fn.dataset_name = "synthetic"\ntrain_fn.max_sequence_length = 20\ntrain_fn.item_embedding_dim = 16\n'
        'train_fn.sampling_strategy = "local"\ntrain_fn.num_negatives = 8\ntrain_fn.num_epochs = 3\n'
        'train_fn.main_module = "HSTU"\nsasrec_encoder.num_blocks = 3\n'
    )
    store = tmp_path / "store"
    sizes = ["--users", "30", "--items", "40", "--ratings", "600", "--seed", "1"]
    assert main(["data", "synthesize", *sizes, "--output", str(store)]) == 0
    capsys.readouterr()
    assert main(["train", str(gin), "--data", str(store), "--output", str(tmp_path / "run"), "--json"]) == 0
    printed = capsys.readouterr()
    assert json.loads(printed.out)["results"]["epochs"][1]["epoch"] == 1
    warning, *epochs, summary = printed.err.splitlines()
    assert warning.endswith("x.gin:8: sasrec_encoder.num_blocks is not read by HSTU")
    first = json.loads(printed.out)["results"]["epochs"][0]["metrics"]["ndcg@10"]
    assert [line.split(":")[0] for line in epochs] == [f"epoch {epoch} of 3" for epoch in range(3)], "one line each"
    assert f"ndcg@10 {first:.4f}, " in epochs[0]
    assert [line.endswith(" left") for line in epochs] == [True, True, False]
    assert re.fullmatch(r"trained 3 epochs in \d+ s: 3 steps, \d+\.\d steps/s, final loss \d\.\d{4}", summary), summary
