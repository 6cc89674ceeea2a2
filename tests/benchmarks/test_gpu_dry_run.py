"""The benchmark for GPUs, which runs unattended on machines that are rare, tried on a processor at tiny shapes."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

import benchmarks.gpu
from benchmarks.gpu import WAYS, main
from benchmarks.gpu_stages import SHAPES

COMES_WITH_TORCH = {"cython_runtime", "fbgemm_gpu", "mpmath", "numpy", "sympy", "torch", "torchgen", "triton"}
OURS = {"benchmarks", "hstu_preserve", "tests"}
DRY_RUN = """
import sys
import torch  # which imports what of its own it finds
before = set(sys.modules)
from benchmarks.gpu import main
main(["--dry-run", "--output", sys.argv[1]])
names = {name.split(".")[0] for name in set(sys.modules) - before}
print(*sorted(name for name in names - sys.stdlib_module_names if not name.startswith("_")))
"""


@pytest.mark.slow
def test_a_dry_run_measures_every_shape_in_every_way_with_the_wheels_that_it_names(tmp_path: Path) -> None:
    output = tmp_path / "record.json"
    command = [sys.executable, "-c", DRY_RUN, str(output)]
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    record = json.loads(output.read_text())
    for way in WAYS:
        for name in SHAPES:
            figures = record[f"{name}, {way}"]
            assert figures["step_milliseconds"] > 0
            assert 0 < figures["share_of_the_roofline"] < 1
            assert figures["minutes_of_100_epochs"] > 0
        first = next(iter(SHAPES))
        assert record[f"{first}, {way}: ranks"]["float32"]["users_moved"] == 0  # the processor against itself
        assert record[f"{first}, {way}: profile"]["slowest"]
        assert all(milliseconds > 0 for milliseconds in record[f"{first}, {way}: pieces"].values())
        assert record[f"{first}, {way}: any algorithm"] > 0
    modules = set(printed.splitlines()[-1].split()) - COMES_WITH_TORCH - OURS
    named = (benchmarks.gpu.__doc__ or "").split("these wheels: ")[1].strip(" .\n").split(", ")
    distributions = {"gin": "gin-config", "pydantic_core": "pydantic-core"}
    assert {distributions.get(name, name.replace("_", "-")) for name in modules} == set(named)


def test_a_stage_that_has_no_time_left_is_named(tmp_path: Path) -> None:
    output = tmp_path / "record.json"
    assert main(["--dry-run", "--output", str(output), "--seconds", "1"]) == 0
    record = json.loads(output.read_text())
    assert {record[f"{name}, {way}"] for name in SHAPES for way in WAYS} == {"skipped: no time left"}
