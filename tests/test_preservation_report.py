"""PRESERVATION_REPORT.md says what the records say: a heading turns with its figures, and the date with the newest day.

That it is not stale is tested with everything else that is generated (`test_generated.py`).
"""

import json
import re
from pathlib import Path

import pytest

from tools.finding import Figures
from tools.findings import FINDERS, read_benchmark
from tools.preservation_report import JudgedHere, compose_preservation_report, describe_one, read_judged

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results"


def read(name: str) -> Figures:
    figures: Figures = json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))
    return figures


def test_every_record_is_dated_and_read() -> None:
    benchmarks = [read_benchmark(path) for path in RESULTS.glob("*.json")]
    assert not [one.name for one in benchmarks if one.measured_on is None], "the record needs 'measured_on'"
    assert {path.stem for path in RESULTS.glob("*.json")} >= set(FINDERS)
    text = compose_preservation_report()
    assert f"The newest is of {max(one.measured_on or '' for one in benchmarks)}." in text
    assert all(f"`benchmarks/results/{one.name}`" in text for one in benchmarks)


def test_a_record_that_nobody_can_read_is_named_without_a_finding(tmp_path: Path) -> None:
    (tmp_path / "other.json").write_text('{"command": "python", "machine": {"measured_on": "2026-01-02"}}')
    benchmark = read_benchmark(tmp_path / "other.json")
    assert benchmark.finding is None
    assert benchmark.measured_on == "2026-01-02"


def test_a_recipe_that_differs_is_named_in_the_heading() -> None:
    figures = read("recipes")
    assert FINDERS["recipes"](figures).heading.startswith("Nothing tells")
    figures["recipes"]["control-base-td"]["users_p_holm"] = 0.01
    assert FINDERS["recipes"](figures).heading.startswith("control-base-td of 20 recipes differ")


def test_pairs_of_models_that_a_kind_turns_around_stand_in_the_heading() -> None:
    figures = read("kinds")
    base, other = list(figures["models"])[:2]
    kinds = figures["pairs in another order"]
    for pairs in kinds.values():
        pairs.clear()
    assert FINDERS["kinds"](figures).heading.startswith("Every kind of evaluation orders 7 models alike")
    kinds["sampled-100-training-excluded"].append([other, base])
    finding = FINDERS["kinds"](figures)
    assert finding.heading.startswith("Another kind of evaluation puts up to 1 of 21 pairs of models in another order")
    (said,) = [one for one in finding.sentences if "Other order" in one]
    assert said.startswith("sampled 100")
    assert said.endswith(f"Other order: {figures['models'][other]} before {figures['models'][base]}.")


def test_a_step_without_a_peer_is_set_beside_base_alone() -> None:
    figures = read("steps")
    heading = FINDERS["steps"](figures).heading
    figures["shapes"]["iter8-exp4-SOTA"]["steps"]["as it is"]["ratios"]["fast, BASE"] = 0.5
    finding = FINDERS["steps"](figures)
    assert finding.heading == heading, "it says what Meta's code takes"
    (said,) = [one for one in finding.sentences if one.startswith("iter8-exp4-SOTA")]
    assert ", 2.00 of BASE's, and" in said


def test_a_user_whom_one_path_ranks_otherwise_is_counted_under_each_allocator() -> None:
    figures = read("evaluation")
    assert FINDERS["evaluation"](figures).heading.startswith("Every user has the same rank")
    figures["shapes"]["ml-1m"]["keeps its pages"]["users with another rank"]["Meta's code"] = 1
    assert FINDERS["evaluation"](figures).heading.startswith("1 user has another rank")


def test_what_was_cut_off_is_said_to_take_at_least_that_long() -> None:
    figures = read("spinning")
    beside = figures["step_seconds"]["beside loops"]
    beside["OpenMP's own"] = [figures["a process that was ended counts as"]] * 3
    beside["as the command line"] = [figures["a process that was ended counts as"] / 4] * 3
    assert "at least 4.0 times beside" in FINDERS["spinning"](figures).heading
    beside["OpenMP's own"] = [figures["a process that was ended counts as"] / 2] * 3
    assert "and 2.0 times beside" in FINDERS["spinning"](figures).heading


def test_a_gpu_that_moves_ranks_says_so() -> None:
    figures = read("gpu")
    figures["evaluation_gpu_against_cpu"]["users_moved"] = 3
    figures["training_twice"]["same_ranks"] = False
    heading = FINDERS["gpu"](figures).heading
    assert "moves the rank of 3 of" in heading
    assert "does not give equal bits" in heading


def test_an_error_limit_that_is_not_kept_stands_in_the_heading() -> None:
    figures = read("verdict_operating_characteristics")
    figures["limits_not_kept"] = ["normal, 3 against 3: 7 %"]
    finding = FINDERS["verdict_operating_characteristics"](figures)
    assert finding.heading == "Verdicts on retrainings do not keep the limits of their errors"
    assert "normal, 3 against 3: 7 %" in finding.sentences[0]


@pytest.mark.parametrize(("outcome", "said"), [("NOT_REPRODUCED", "NOT_REPRODUCED"), ("INCONCLUSIVE", "neither claim")])
def test_the_outcome_of_retraining_stands_in_the_heading(outcome: str, said: str) -> None:
    figures = read("sample_retraining")
    for verdict in figures["verdicts"]:
        verdict["outcome"] = outcome
    assert said in FINDERS["sample_retraining"](figures).heading


def test_a_case_that_ends_in_a_traceback_is_counted() -> None:
    figures = read("attacks")
    figures["problems"][0]["traceback"] = True
    next(iter(figures["kinds"].values()))["exit_codes"] = "1 3"
    heading = FINDERS["attacks"](figures).heading
    assert "1 ends in a traceback" in heading
    assert "some (1) with an undocumented exit code" in heading


def test_a_verdict_that_does_not_hold_stands_in_the_heading() -> None:
    judged = read_judged(ROOT / "reproductions" / "sample")
    assert judged.day is not None
    text = (ROOT / "reproductions" / "sample" / "reproduction.json").read_text(encoding="utf-8")
    changed = json.loads(text)
    changed["verdicts"][0]["outcome"] = "NOT_REPRODUCED"
    other = type(judged.reproduction).from_json(
        json.dumps(changed, sort_keys=True, separators=(",", ":")).encode(), source="test"
    )
    failed = describe_one(JudgedHere(place="x", reproduction=other, certificate=None))
    assert failed.splitlines()[0].endswith(": bytes NOT_REPRODUCED")
    assert not re.search("^#.*REPRODUCED_", failed.splitlines()[0].replace("NOT_REPRODUCED", ""))
