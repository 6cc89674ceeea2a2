"""Runs of every shape agree with themselves: no check accuses an honest bundle."""

from pathlib import Path

import pytest

from hstu_preserve.bundle.tree import read_tree_manifest
from hstu_preserve.reruns.consistency import check_bundle
from hstu_preserve.reruns.opened_bundle import OpenedBundle
from hstu_preserve.verbs.train import train
from tests.runs.crashing import write_gin

SHAPES = {
    "validated": "data.protocol = 'validated'",
    "validated with patience": "data.protocol = 'validated'\ntraining.patience = 1\ntrain_fn.num_epochs = 9",
    "partly evaluated": "train_fn.full_eval_every_n = 2\ntrain_fn.partial_eval_num_iters = 1\n"
    "train_fn.eval_batch_size = 16",
    "validated and partly evaluated": "data.protocol = 'validated'\ntrain_fn.full_eval_every_n = 3\n"
    "train_fn.partial_eval_num_iters = 1\ntrain_fn.eval_batch_size = 16",
    "warmed up": "train_fn.num_warmup_steps = 5",
    "with part of the events": "train_fn.positional_sampling_ratio = 0.7",
    "drawn with replacement": "training.user_sampling = 'with_replacement'",
    "with data inside": "bundle.include_data = True",
    "with several seeds claimed": "claim.seeds = (42, 7, 9)",
}


@pytest.mark.parametrize("shape", SHAPES)
def test_an_honest_run_contradicts_nothing(shape: str, store: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    train(write_gin(tmp_path, f"{SHAPES[shape]}\n"), data=store, device="cpu", output=run)
    checks = check_bundle(OpenedBundle(root=run, manifest=read_tree_manifest(run).manifest))
    assert [check for check in checks if not check.passed] == []


def test_a_run_that_crashed_and_went_on_contradicts_nothing(finished: Path) -> None:
    checks = check_bundle(OpenedBundle(root=finished, manifest=read_tree_manifest(finished).manifest))
    assert [check for check in checks if not check.passed] == []
