"""Whose ranks are these: planted causes are found, and nothing else is named."""

import json
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from rich.console import Console

from hstu_preserve.bundle.tree import read_tree_manifest
from hstu_preserve.cli.main import main
from hstu_preserve.data.split import Part
from hstu_preserve.data.store import open_store
from hstu_preserve.evaluation.one_evaluation import make_record
from hstu_preserve.evaluation.ranks import UserRanks
from hstu_preserve.evaluation.reranking import Setting
from hstu_preserve.primitives.voice import SILENT
from hstu_preserve.records.verdict import Cause
from hstu_preserve.report.reproduction import describe_reproduction
from hstu_preserve.reruns.counterfactuals import (
    Scene,
    explain_ranks,
    explain_training,
    find_base,
    find_matching,
    find_orders,
    list_alternatives,
    set_scene,
)
from hstu_preserve.reruns.native import NativeRunner, open_data
from hstu_preserve.reruns.opened_bundle import OpenedBundle
from hstu_preserve.verbs.data import prepare_data, synthesize_data
from hstu_preserve.verbs.reproduce import reproduce
from hstu_preserve.verbs.train import train
from hstu_preserve.verbs.unpack import unpack
from tests.reruns.lies import Forgery
from tests.runs.tiny_run import tiny_gin

PLANTED = (
    "seen items filtered over the whole history",
    "no seen item filtered",
    "the last event but one as target, as in validation",
    "history of 10",
    "rated items as candidates",
    "equal times ordered as item_id",
    "scores in TF32",
    "scores in float16",
    "scores in bfloat16",
    "scores in bfloat16, ties counted against the target",
    "the last event's time given as the target's",
    "the checkpoint of epoch 1",
)


def train_tiny(folder: Path, *, store: Path, dataset: str) -> OpenedBundle:
    gin = folder / "tiny.gin"
    settings = tiny_gin(sampling_strategy="local", learning_rate=0.01, num_epochs=3, local_batch_size=64)
    gin.write_text(settings.replace("'synthetic'", repr(dataset)))
    train(gin, data=store, device="cpu", output=folder / "run")
    return OpenedBundle(root=folder / "run", manifest=read_tree_manifest(folder / "run").manifest)


def look_at(bundle: OpenedBundle, *, store: Path | None) -> Scene:
    data = open_data(bundle, store)
    return set_scene(bundle, data, device=torch.device("cpu"), tolerance=None, metric="ndcg@10")


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    folder = tmp_path_factory.mktemp("explained")
    synthesize_data(seed=3, num_users=500, num_items=900, num_ratings=16_000, output=folder / "store")
    return look_at(train_tiny(folder, store=folder / "store", dataset="synthetic"), store=folder / "store")


def find_settings(scene: Scene) -> dict[str, Setting]:
    return {one.change: one.setting for one in list_alternatives(scene)}


def plant(scene: Scene, ranks: UserRanks) -> Scene:
    """Let the bundle have recorded other ranks."""
    bundle = replace(scene.bundle)
    vars(bundle)["ranks"] = ranks
    return replace(scene, bundle=bundle)


def explain(scene: Scene, ranks: UserRanks) -> Cause:
    return explain_ranks(plant(scene, ranks), scene.bundle.ranks, voice=SILENT)


def test_each_of_twelve_planted_causes_alone_gives_every_user_the_recorded_rank(scene: Scene) -> None:
    settings = find_settings(scene)
    found = {change: scene.rank(settings[change], scene.bundle.ranks) for change in PLANTED}
    recorded = {change: one.ranks for change, one in found.items()}
    shares = {
        (planted, tried): float(find_matching(found[tried], recorded[planted]).sum()) / 500
        for planted in PLANTED
        for tried in PLANTED
    }
    diagonal = {planted: shares[planted, planted] for planted in PLANTED}
    # The target's last event but one needs one event more, which every user of made-up data has.
    assert diagonal == dict.fromkeys(PLANTED, 1.0)
    unchanged = scene.rank(find_base(scene), scene.bundle.ranks)
    assert all(find_matching(unchanged, ranks).sum() < 500 for ranks in recorded.values())
    wrong = {pair: share for pair, share in shares.items() if pair[0] != pair[1] and share == 1.0}
    assert wrong == {}


def test_the_ranking_without_a_change_is_the_recorded_one(scene: Scene) -> None:
    found = scene.rank(find_base(scene), scene.bundle.ranks)
    assert find_matching(found, scene.bundle.ranks).all()


@pytest.mark.parametrize("change", PLANTED)
def test_a_planted_cause_is_named(change: str, scene: Scene) -> None:
    cause = explain(scene, scene.rank(find_settings(scene)[change], scene.bundle.ranks).ranks)
    assert cause.is_cause
    assert cause.change == change
    assert cause.sentence.startswith(f"cause: {change}; so ranked, 500 of 500 users have the recorded rank (")
    assert cause.sentence.endswith(" of ndcg@10)")
    assert cause.standard_error is not None


def test_ranks_that_no_single_change_gives_have_no_cause_but_a_nearest_one(scene: Scene) -> None:
    settings = find_settings(scene)
    filtered = scene.rank(settings["no seen item filtered"], scene.bundle.ranks).ranks
    moved = filtered.ranks.copy()
    moved[:100] += 1 + np.arange(100)
    cause = explain(scene, replace(filtered, ranks=moved))
    assert not cause.is_cause
    assert cause.sentence.startswith(
        "no single change gives the recorded ranks; nearest: no seen item filtered (80 % of users) ("
    )
    assert "have a target that shares its second with another event" in cause.sentence


def test_ranks_that_nothing_comes_nearer_to_are_said_to_be_such(scene: Scene) -> None:
    moved = scene.bundle.ranks.ranks.copy()
    moved[:50] += 1_000
    cause = explain(scene, replace(scene.bundle.ranks, ranks=moved))
    assert not cause.is_cause
    assert "none comes nearer than nothing changed (90 % of users)" in cause.sentence


@pytest.mark.parametrize("change", ["equal times ordered as item_id", "seen items filtered over the whole history"])
def test_planted_causes_are_named_on_real_data(change: str, tmp_path: Path, latest_small: Path) -> None:
    """MovieLens' files are sorted by item, so that NumPy's order is the one that differs from that of item ids."""
    prepare_data("ml-latest-small", source=latest_small, tie_policy="numpy-introsort", output=tmp_path / "store")
    bundle = train_tiny(tmp_path, store=tmp_path / "store", dataset="ml-latest-small")
    scene = look_at(bundle, store=tmp_path / "store")
    cause = explain(scene, scene.rank(find_settings(scene)[change], bundle.ranks).ranks)
    assert cause.sentence.startswith(f"cause: {change}; so ranked, 610 of 610 users have the recorded rank (")


def test_an_order_that_only_another_store_has_is_found_there(
    tmp_path: Path, latest_small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """NumPy's order does not follow from a store in the order of item ids; a store beside it has it."""
    for policy in ("item_id", "numpy-introsort"):
        prepare_data("ml-latest-small", source=latest_small, tie_policy=policy, output=tmp_path / "stores" / policy)
    (tmp_path / "stores" / "damaged").mkdir()
    (tmp_path / "stores" / "damaged" / "store.json").write_text("{}")
    store, other = (open_store(tmp_path / "stores" / policy) for policy in ("item_id", "numpy-introsort"))
    assert find_orders(store).keys() == set()
    monkeypatch.setenv("HSTU_PRESERVE_DATA", str(tmp_path / "stores"))
    orders = find_orders(store)
    assert orders.keys() == {"numpy-introsort"}
    assert not np.array_equal(store.item_ids, other.item_ids)
    assert np.array_equal(orders["numpy-introsort"]().item_ids, other.item_ids)
    assert np.array_equal(find_orders(other)["item_id"]().item_ids, store.item_ids)


def test_the_cause_is_shown_where_the_evaluation_is_missed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    unpack("sample", output=tmp_path / "tree")
    bundle = OpenedBundle(root=tmp_path / "tree", manifest=read_tree_manifest(tmp_path / "tree").manifest)
    scene = look_at(bundle, store=None)
    forge_evaluation(scene, scene.rank(find_settings(scene)["no seen item filtered"], bundle.ranks).ranks)
    found = reproduce(tmp_path / "tree", device="cpu")
    (cause,) = found.causes
    assert found.exit_code == 5
    assert (cause.change, cause.is_cause, cause.users_matching) == ("no seen item filtered", True, 500)
    terminal = Console(width=80, file=StringIO())
    terminal.print(describe_reproduction(found))
    text = terminal.file.getvalue()  # type: ignore[attr-defined]  # the text that was printed
    assert cause.sentence in " ".join(text.split())
    assert max(map(len, text.splitlines())) <= 80


def test_a_training_that_gives_another_number_says_what_could_move_it(scene: Scene) -> None:
    manifest, results = scene.bundle.manifest, scene.bundle.results
    (claim,) = manifest.claims
    policy = claim.policy.model_copy(update={"margin": 0.001, "margin_derivation": "a test"})
    claim = claim.model_copy(update={"policy": policy, "value": claim.value + 0.01})
    bundle = OpenedBundle(root=scene.bundle.root, manifest=manifest.model_copy(update={"claims": (claim,)}))
    vars(bundle)["results"] = results.model_copy(update={"state_sha256": "0" * 64})
    vars(bundle)["ranks"] = replace(scene.bundle.ranks, ranks=scene.bundle.ranks.ranks + 1_000)
    data = scene.bundle.root.parent / "store"
    runner = NativeRunner(bundle, data=data, device="cpu", output=None, max_steps=None, voice=SILENT)
    outcomes = {one.rung.value: one.outcome.value for one in runner.judge_training()}
    assert outcomes == {"training-bitwise": "NOT_REPRODUCED", "training-numeric": "NOT_REPRODUCED"}
    sizes = [abs(cause.difference or 0.0) for cause in runner.causes]
    assert len(sizes) == 3
    assert sizes == sorted(sizes, reverse=True)
    assert all(cause.sentence.startswith("could move it by ") and not cause.is_cause for cause in runner.causes)


def test_a_retrained_run_can_show_the_cause_as_well(scene: Scene) -> None:
    recorded = scene.rank(find_settings(scene)["no seen item filtered"], scene.bundle.ranks).ranks
    (cause,) = explain_training(scene, recorded, voice=SILENT)
    assert (cause.is_cause, cause.change) == (True, "no seen item filtered")


def forge_evaluation(scene: Scene, ranks: UserRanks) -> None:
    """Record other ranks in an unpacked sample, with all that follows from them."""
    forgery = Forgery(scene.bundle.root)
    old = scene.bundle.results.final
    record: Any = make_record(
        ranks,
        scene.recipe,
        part=Part.TEST,
        epoch=old.epoch,
        data_fingerprint=old.data_fingerprint,
        num_users_skipped=old.num_users_skipped,
        num_candidates=old.num_candidates,
        coverage_at_10=old.coverage_at_10,
    ).to_json_value()

    def take(one: UserRanks) -> None:
        for name, array in vars(one).items():
            array[:] = getattr(ranks, name)

    forgery.edit_ranks(take)
    metrics = record.pop("metrics")
    forgery.record_everywhere(record.pop("epoch"), **record)
    forgery.measure_everywhere(old.epoch, **{name.replace("@", "_at_"): value for name, value in metrics.items()})
    forgery.seal()


def test_an_honest_bundle_has_no_causes(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["reproduce", "sample", "--device", "cpu", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["causes"] == []
