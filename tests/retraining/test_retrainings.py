"""Retraining with other seeds through the command line: each outcome, the plan, and how it goes on."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from hstu_preserve.cli.main import main
from hstu_preserve.records.results import Reproduction
from hstu_preserve.records.verdict import Outcome, Rung, Verdict
from tests.retraining.seeds import Workshop, recipe

NARROW = "claim.margin = 0.0001\nclaim.margin_derivation = 'none'\n"
SURE = f"{NARROW}claim.spread = 0.000001\nclaim.spread_degrees = 1000\nclaim.spread_derivation = 'a wish'\n"


def read(folder: Path) -> Reproduction:
    return Reproduction.from_json((folder / "reproduction.json").read_bytes(), source="test")


@pytest.fixture(autouse=True)
def quick(one_thread: None) -> None:
    """See `one_thread`."""


def find(reproduction: Reproduction, rung: Rung = Rung.TRAINING_STATISTICAL) -> Verdict:
    (verdict,) = [verdict for verdict in reproduction.verdicts if verdict.rung is rung]
    return verdict


def list_values(reproduction: Reproduction) -> list[float]:
    agreement = find(reproduction).agreement
    assert agreement is not None
    return [run.value for run in agreement.reruns]


def read_json(capsys: pytest.CaptureFixture[str]) -> Any:
    return json.loads(capsys.readouterr().out)


def test_three_seeds_decide_a_claim_of_three_runs_in_one_command(
    workshop: Workshop, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = workshop.retrained()
    told = capsys.readouterr()
    reproduction = read(folder)
    verdict = find(reproduction)
    assert (reproduction.exit_code, verdict.outcome) == (0, Outcome.REPRODUCED_STATISTICAL)
    assert reproduction.plan is not None
    assert reproduction.plan.seeds == (3, 4, 5)
    assert reproduction.code is not None
    assert reproduction.decided_by == "training-statistical hr@50"
    assert not reproduction.is_exploratory
    agreement = verdict.agreement
    assert agreement is not None
    assert [run.seed for run in agreement.references] == [0, 1, 2]
    assert [run.seed for run in agreement.reruns] == [3, 4, 5]
    assert all(run.identity for run in agreement.reruns)
    assert (agreement.degrees, agreement.num_users) == (4, 200)
    assert agreement.floor is not None
    assert 0.005 < agreement.floor < 0.1
    assert find(reproduction, Rung.TRAJECTORY).reason.startswith("3 recorded curves make no band (5 do)")
    assert "plan.json" in {path.name for path in folder.iterdir()}
    if told.out:  # what the one command that trained them printed
        for run in (*agreement.reruns, *agreement.references):
            assert f"{run.value:.4f} (seed {run.seed})" in told.out
        assert "hr@50: 3 retrainings of an equal recipe against 3 recorded runs come out inside ±0.1500 (a" in told.err
        assert "% of the claim) in" in told.err
        assert "3 retrainings, seeds 3 4 5; one took" in told.err


def test_the_same_command_goes_on_and_trains_nothing_twice(
    workshop: Workshop, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = workshop.retrained()
    before = read(folder)
    capsys.readouterr()
    assert workshop.reproduce(workshop.bundle(), "--seeds", "3", "--output", str(folder)) == 0
    told = capsys.readouterr()
    assert "epoch 0" not in told.err
    assert find(read(folder)) == find(before)
    assert "decided by training-statistical hr@50: REPRODUCED_STATISTICAL, exit 0" in told.out


def test_a_run_that_was_removed_is_trained_again_to_the_same_bits(workshop: Workshop, tmp_path: Path) -> None:
    folder = tmp_path / "retrained"
    shutil.copytree(workshop.retrained(), folder)
    before = list_values(read(folder))
    shutil.rmtree(folder / "seed-4")
    assert workshop.reproduce(workshop.bundle(), "--seeds", "3", "--output", str(folder)) == 0
    assert list_values(read(folder)) == before


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--seeds", "3", "--margin", "0.1"), "judged by ±0.1000, the plan fixed ±0.1500"),
        (("--seeds", "2"), "2 retrainings, the plan fixed 3 before its first step"),
        (("--seeds", "3", "--margin", "0.2"), "judged by ±0.2000, the claim fixed ±0.1500 before its run"),
    ],
    ids=["another margin", "fewer", "a wider margin"],
)
def test_what_differs_from_the_plan_is_exploratory(
    words: tuple[str, ...], says: str, workshop: Workshop, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = workshop.retrained()
    plan = (folder / "plan.json").read_bytes()
    capsys.readouterr()
    assert workshop.reproduce(workshop.bundle(), *words, "--output", str(folder), "--json") == 6
    found = read_json(capsys)
    assert found["is_exploratory"]
    assert found["plan"]["seeds"] == [3, 4, 5]
    (verdict,) = [one for one in found["verdicts"] if one["rung"] == "training-statistical"]
    assert verdict["outcome"] == "INCONCLUSIVE"
    assert verdict["reason"].startswith("exploratory: ")
    assert says in verdict["reason"]
    assert (folder / "plan.json").read_bytes() == plan


def test_more_seeds_than_planned_are_trained_and_exploratory(workshop: Workshop, tmp_path: Path) -> None:
    folder = tmp_path / "retrained"
    shutil.copytree(workshop.retrained(), folder)
    assert workshop.reproduce(workshop.bundle(), "--seeds", "4", "--margin", "0.01", "--output", str(folder)) == 6
    assert (folder / "seed-6").is_dir()
    assert "4 retrainings, the plan fixed 3" in find(read(folder)).reason


def test_runs_from_anywhere_are_taken_without_data(workshop: Workshop, capsys: pytest.CaptureFixture[str]) -> None:
    runs = [workshop.rerun(seed) for seed in (3, 4, 5)]
    capsys.readouterr()
    words = [word for run in runs for word in ("--rerun", run)]
    assert workshop.reproduce(workshop.bundle(), *words, "--json", data=False) == 0
    found = read_json(capsys)
    (verdict,) = [one for one in found["verdicts"] if one["rung"] == "training-statistical"]
    assert verdict["agreement"]["level"] == 0.9
    assert any("left others out" in limit for limit in found["limits"])


def test_a_run_that_exists_and_one_that_is_trained_are_judged_together(workshop: Workshop, tmp_path: Path) -> None:
    folder = tmp_path / "mixed"
    words = ("--rerun", workshop.rerun(4), "--seeds", "1", "--output", str(folder))
    assert workshop.reproduce(workshop.bundle(), *words) == 0
    agreement = find(read(folder)).agreement
    assert agreement is not None
    assert [run.seed for run in agreement.reruns] == [4, 3]


def test_a_narrow_margin_is_crossed_and_what_would_decide_is_said(
    workshop: Workshop, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [word for seed in (3, 4) for word in ("--rerun", workshop.rerun(seed))]
    capsys.readouterr()
    assert workshop.reproduce(workshop.bundle(), *words, "--margin", "0.001", "--json", data=False) == 6
    found = read_json(capsys)
    assert not found["is_exploratory"]
    assert "no number of retrainings decides" in found["verdicts"][-2]["reason"]


def test_an_interval_beyond_the_margin_is_not_reproduced(
    workshop: Workshop, capsys: pytest.CaptureFixture[str]
) -> None:
    target = workshop.alone(SURE, name="sure")
    words = [word for seed in (3, 4, 5) for word in ("--rerun", workshop.rerun(seed))]
    capsys.readouterr()
    assert workshop.reproduce(target, *words, "--json", data=False) == 5
    found = read_json(capsys)
    (verdict,) = [one for one in found["verdicts"] if one["rung"] == "training-statistical"]
    assert verdict["outcome"] == "NOT_REPRODUCED"
    assert "the declared spread 1e-06 is too small: 200 users alone scatter the metric by" in verdict["reason"]


def test_one_retraining_against_one_run_is_neither_near_nor_far(
    workshop: Workshop, capsys: pytest.CaptureFixture[str]
) -> None:
    run = workshop.rerun(3)
    capsys.readouterr()
    assert workshop.reproduce(workshop.alone(), "--rerun", run, data=False) == 6
    said = " ".join(capsys.readouterr().out.split())
    assert "nothing is known of the scatter over seeds" in said


def test_values_that_are_all_equal_decide_nothing(workshop: Workshop, capsys: pytest.CaptureFixture[str]) -> None:
    claim = f"claim.metric = 'hr@200'\n{NARROW}"  # of 200 items, so that it is 1 whatever was learned
    texts = [recipe(seed=seed, seeds=(seed,), claim=claim, num_epochs=1) for seed in range(3)]
    target, *reruns = (workshop.train(f"sated-{seed}", text) for seed, text in enumerate(texts))
    words = [word for run in reruns for word in ("--rerun", str(run))]
    capsys.readouterr()
    assert workshop.reproduce(target, *words, data=False) == 6
    said = " ".join(capsys.readouterr().out.split())
    assert "no scatter at all: the seed decides nothing here, or the runs are copies" in said
    assert "decided by training-statistical hr@200: INCONCLUSIVE, exit 6" in said


def test_a_dry_run_trains_nothing_and_tells_seeds_power_and_cost(
    workshop: Workshop, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target, folder = workshop.bundle(), tmp_path / "plan"
    capsys.readouterr()
    assert workshop.reproduce(target, "--seeds", "5", "--dry-run", "--output", str(folder), "--json") == 6
    found = read_json(capsys)
    (verdict,) = [one for one in found["verdicts"] if one["rung"] == "training-statistical"]
    assert verdict["outcome"] == "NOT_RUN"
    again = "the same command without --dry-run goes on (about 5 × "
    assert verdict["reason"].startswith(f"0 of 5 retrainings are there; {again}")
    assert "seeds 3 4 5 6 7; hr@50: 5 retrainings of an equal recipe against 3 recorded runs" in verdict["reason"]
    assert {fact["name"]: fact["value"] for fact in verdict["evidence"]}["power"] > 0.9
    assert found["plan"]["looks"] == [
        {"level": pytest.approx(0.96), "num_reruns": 3},
        {"level": pytest.approx(0.94), "num_reruns": 5},
    ]
    assert {path.name for path in folder.iterdir()} == {"plan.json", "reproduction.json"}


def test_the_first_of_two_looks_ends_it(workshop: Workshop, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "planned"
    assert workshop.reproduce(workshop.bundle(), "--seeds", "5", "--dry-run", "--output", str(folder)) == 6
    for seed in (3, 4, 5):
        shutil.copytree(workshop.rerun(seed), folder / f"seed-{seed}")
    capsys.readouterr()
    assert workshop.reproduce(workshop.bundle(), "--seeds", "5", "--output", str(folder)) == 0
    assert "decided at the first look, after 3 retrainings" in capsys.readouterr().err
    agreement = find(read(folder)).agreement
    assert agreement is not None
    assert (agreement.look, agreement.looks, len(agreement.reruns)) == (1, 2, 3)
    assert not (folder / "seed-6").exists()


def test_another_machine_trains_one_seed_of_a_plan(
    workshop: Workshop, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "planned"
    assert workshop.reproduce(workshop.bundle(), "--seeds", "3", "--dry-run", "--output", str(folder)) == 6
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "plan.json").write_bytes((folder / "plan.json").read_bytes())
    command = ["train", "--plan", str(elsewhere / "plan.json"), "--data", str(workshop.store), "--device", "cpu"]
    assert main([*command, "--seed", "4", "--output", str(elsewhere / "seed-4")]) == 0
    (elsewhere / "seed-4").rename(folder / "seed-4")
    capsys.readouterr()
    assert workshop.reproduce(workshop.bundle(), "--seeds", "3", "--output", str(folder), "--dry-run") == 6
    assert "1 of 3 retrainings are there" in " ".join(capsys.readouterr().out.split())
    assert workshop.reproduce(workshop.bundle(), "--seeds", "3", "--output", str(folder)) == 0
    assert list_values(read(folder)) == list_values(read(workshop.retrained()))
    assert main([*command, "--seed", "9", "--output", str(elsewhere / "seed-9")]) == 2
    assert "--seed 9: not one of those that the plan trains (3, 4, 5)" in capsys.readouterr().err


def test_a_diverged_run_counts_as_the_worst_value_and_is_named(
    workshop: Workshop, capsys: pytest.CaptureFixture[str]
) -> None:
    diverged = workshop.diverge("diverged")
    words = ("--rerun", workshop.rerun(3), "--rerun", str(diverged))
    capsys.readouterr()
    assert workshop.reproduce(workshop.bundle(), *words, data=False) == 6
    out = capsys.readouterr().out
    assert "0.0000 (seed 4, diverged)" in out
    assert "seed 4 diverged and counts as 0" in " ".join(out.split())


def test_a_seed_that_diverged_is_neither_trained_again_nor_dropped(workshop: Workshop, tmp_path: Path) -> None:
    folder = tmp_path / "retrained"
    shutil.copytree(workshop.retrained(), folder)
    shutil.rmtree(folder / "seed-4")
    shutil.copytree(workshop.diverge("diverged-too"), folder / "seed-4")
    assert workshop.reproduce(workshop.bundle(), "--seeds", "3", "--output", str(folder)) == 6
    agreement = find(read(folder)).agreement
    assert agreement is not None
    assert [(run.seed, run.is_diverged) for run in agreement.reruns] == [(3, False), (4, True), (5, False)]


def test_power_below_one_percent_needs_an_output(
    workshop: Workshop, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    words = ("--seeds", "3", "--margin", "0.0001")
    target = workshop.bundle()
    capsys.readouterr()
    assert workshop.reproduce(target, *words) == 2
    assert "in less than 1 % of cases" in capsys.readouterr().err
    assert workshop.reproduce(target, *words, "--dry-run") == 6
