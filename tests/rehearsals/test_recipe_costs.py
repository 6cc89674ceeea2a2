"""`doctor --costs`: every recipe that comes with the program has a line, which says that it is an estimate."""

import json

import jsonschema
import pytest

from hstu_preserve.cli.main import main
from hstu_preserve.library.catalog import list_chains
from hstu_preserve.records.estimates.costs import CostTable
from hstu_preserve.rehearsals.recipe_costs import estimate_recipes
from tools.schemas import generate_schema

Capture = pytest.CaptureFixture[str]


def test_every_recipe_has_a_cost_here_and_on_a_named_gpu(capsys: Capture) -> None:
    assert main(["doctor", "--costs", "--json"]) == 0
    record = json.loads(capsys.readouterr().out)
    jsonschema.validate(record, generate_schema("diagnosis"))
    costs = record["costs"]
    without_size = {f"foundations-sasrec-{data}" for data in ("amzn-games", "amzn-beauty", "steam")}
    without_count = {f"foundations-{model}-ml-1m" for model in ("tisasrec", "fparec", "parec")}
    without = {*without_size, *without_count, "rails-hstu-mol-ml-1m", "rails-hstu-mol-ml-20m"}
    assert [one["id"] for one in costs["recipes"]] == sorted(list_chains().keys() - without)
    (left_out,) = (sentence for sentence in costs["basis"] if sentence.startswith("left out"))
    assert all(name in left_out for name in without)
    assert costs["gpu"] == "NVIDIA H100 80GB HBM3"
    assert costs["probe_seconds"] > 0
    by_id = {one["id"]: one for one in costs["recipes"]}
    small, large = by_id["paper-hstu-ml-1m"], by_id["paper-hstu-ml-20m"]
    for figure in ("memory_bytes", "seconds", "gpu_memory_bytes", "gpu_seconds_low"):
        assert 0 < small[figure] < large[figure], figure
    assert small["command"] == "hstu-preserve train paper-hstu-ml-1m --output run"


@pytest.fixture(scope="module")
def without_torch() -> CostTable:
    return estimate_recipes(can_train=False)


def test_without_pytorch_no_time_is_given_for_this_machine(without_torch: CostTable) -> None:
    assert all(one.seconds is None and one.gpu_seconds_high > 0 for one in without_torch.recipes)
    assert "PyTorch cannot train on this machine" in without_torch.basis[0]


def test_plain_doctor_says_what_to_type_for_the_costs(capsys: Capture) -> None:
    assert main(["doctor"]) == 0
    text = capsys.readouterr().out
    assert "hstu-preserve doctor --costs" in text
    assert "estimated, not measured" not in text
