"""What once passed by accident: one test for each of the five ways."""

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from hstu_preserve.cli.main import main
from hstu_preserve.verbs.train import train
from hstu_preserve.verbs.unpack import unpack
from tests.forked import run_in_words
from tests.record_values import make_claim
from tests.reruns.lies import Forgery, perturb
from tests.runs.crashing import write_gin

OTHER_CAPABILITY = "default" if torch.backends.cpu.get_cpu_capability() == "AVX2" else "avx2"
"""Vector instructions that this processor has and torch would not choose."""


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("sample") / "tree"
    unpack("sample", output=root)
    return root


def reproduce_elsewhere(root: Path) -> tuple[int, dict[str, Any]]:
    """Evaluate again in a process with other vector instructions."""
    environment = {**os.environ, "ATEN_CPU_CAPABILITY": OTHER_CAPABILITY}
    done = run_in_words("reproduce", str(root), "--device", "cpu", "--json", environment=environment)
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout)


def test_the_honest_sample_passes_under_other_vector_instructions(sample: Path) -> None:
    code, shown = reproduce_elsewhere(sample)
    numeric = [one for one in shown["verdicts"] if one["rung"] == "evaluation-numeric"]
    assert code == 0
    assert {one["outcome"] for one in numeric} == {"REPRODUCED_NUMERIC"}
    assert all("as claimed" in one["reason"] for one in numeric)


def test_weights_with_noise_do_not_pass_where_the_processor_differs(sample: Path, tmp_path: Path) -> None:
    root = tmp_path / "tree"
    shutil.copytree(sample, root)
    forgery = Forgery(root)
    forgery.edit_checkpoint(11, perturb)
    forgery.seal()
    code, shown = reproduce_elsewhere(root)
    outcomes = {(one["rung"], one["outcome"]) for one in shown["verdicts"]}
    assert code == 5
    assert ("evaluation-bitwise", "NOT_RUN") in outcomes  # the processor is no excuse, though it is another one
    assert ("evaluation-numeric", "NOT_REPRODUCED") in outcomes
    assert "other weights than those behind the recorded ranks" in json.dumps(shown)


WIDE = "claim.margin = 0.5\nclaim.margin_derivation = 'a test of wide margins'\n"


def test_one_retraining_with_the_recorded_seed_says_nothing_of_other_seeds(
    store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    train(write_gin(tmp_path, WIDE), data=store, device="cpu", output=run)
    capsys.readouterr()
    code = main(["reproduce", str(run), "--data", str(store), "--device", "cpu", "--rung", "training", "--json"])
    shown = json.loads(capsys.readouterr().out)["verdicts"]
    training = {one["rung"]: one for one in shown if one["rung"].startswith("training")}
    assert training.keys() == {"training-bitwise", "training-numeric"}
    assert training["training-bitwise"]["outcome"] == "REPRODUCED_BITWISE"
    assert "one draw made twice" in training["training-numeric"]["reason"]
    assert "% of the claim" in training["training-numeric"]["reason"]
    assert code == 6  # so wide a margin is met by an order drawn at random


def test_no_single_value_within_a_margin_is_a_statement_on_the_recipe() -> None:
    """A value from one other seed is judged by `training-statistical`, whose rule is an interval."""
    from hstu_preserve.records.verdict import Outcome
    from hstu_preserve.verdict.same_draw import LossComparison, judge_training_numeric

    other_seed = LossComparison(differences=[0.02, 0.01, 0.03], num_steps=3, num_recorded=3)
    claim = make_claim(0.284, margin=0.002)
    verdict = judge_training_numeric(claim, 0.284, losses=other_seed, environment_differences=["torch"])
    assert verdict.outcome is Outcome.NOT_REPRODUCED


DERIVED = "claim.margin_derivation = 'a guess'"


@pytest.mark.parametrize(
    ("line", "place"),
    [
        ("claim.margin = 1e9", "experiment.gin:20: claim.margin: "),
        (f"claim.margin = 1.0\n{DERIVED}", "experiment.gin:20: claim.margin: "),
        (f"claim.margin = -0.1\n{DERIVED}", "experiment.gin:20: claim.margin: "),
        (f"claim.margin = 1e999\n{DERIVED}", "experiment.gin:20: claim.margin: not a finite number"),
        ("claim.spread = 0.0007", "experiment.gin:20: claim.spread"),
        ("claim.spread_degrees = 4", "claim.spread_degrees"),
        ("claim.spread_derivation = 'runs'", "claim.spread_derivation"),
        (
            "claim.spread = 0.0\nclaim.spread_degrees = 4\nclaim.spread_derivation = 'runs'",
            "experiment.gin:20: claim.spread: ",
        ),
        ("claim.margin = 0.1\nclaim.margin_derivation = ''", "experiment.gin:21: claim.margin_derivation: is empty"),
        ("claim.loss_tolerance = 1e9", "experiment.gin:20: claim.loss_tolerance: "),
        ("claim.seeds = (1, 1, 2, 3)", "experiment.gin:20: claim.seeds: names 1 twice"),
        ("claim.seeds = (1, 2)", "experiment.gin:20: claim.seeds: begins with train_fn.random_seed, which is 42"),
        ("claim.seeds = (1, 42)", "the bundle's own run: the first is 1"),
    ],
)
def test_a_policy_without_meaning_is_refused_before_the_first_step(
    line: str, place: str, store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = len(write_gin(tmp_path).read_text().splitlines())
    gin = write_gin(tmp_path, "\n" * (19 - lines) + line)
    assert main(["train", str(gin), "--data", str(store), "--output", str(tmp_path / "run")]) == 2
    shown = " ".join(capsys.readouterr().err.split())
    assert place in shown
    assert not (tmp_path / "run").exists()
