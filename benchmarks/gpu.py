"""How fast training and evaluation are on a GPU, and how far that is from its limit; runs unattended in 8 minutes.

Usage: python -m benchmarks.gpu [--output FILE] [--seconds 420]      (made-up data; nothing is downloaded)
       python -m benchmarks.gpu --dry-run                            (tiny shapes on the processor, for a test)

For upstream's shapes of ml-1m and ml-20m: milliseconds a step, tokens a second, the share of the roofline
(`benchmarks.roofline`: work counted, the device's limits measured in the same run), seconds of an evaluation, of an
epoch and of 100 epochs with an evaluation each, for each way to compute a step: first all shapes in the first way,
which is known to work. For the first shape also where a step's time goes, what single pieces of it take in both ways,
what deterministic algorithms cost, and how far ranks on the GPU are from the processor's.

The record is written after each stage, so that a run that was cut keeps what it had measured. A stage that no time is
left for is named as skipped.

Needs a machine with Python 3.11 or newer and torch 2.11 or newer with CUDA, which brings NumPy, Triton and
typing-extensions, and these wheels: annotated-types, gin-config, pydantic, pydantic-core, rfc8785, typing-inspection.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from benchmarks.gpu_pieces import measure_pieces
from benchmarks.gpu_stages import (
    EPOCHS,
    SHAPES,
    WARM_UP,
    DataShape,
    Shape,
    compare_devices,
    make_store,
    measure_evaluation,
    measure_steps,
    profile_steps,
    read_recipe,
    shrink,
)
from benchmarks.machine import machine_facts
from benchmarks.roofline import Ceilings, measure_ceilings
from hstu_preserve.compute.determinism import repeatable_arithmetic
from hstu_preserve.data.store import Store
from hstu_preserve.primitives.json_values import Json
from hstu_preserve.records.environment import TrainingPath
from hstu_preserve.training.loop import TrainingRun

RESULT = Path(__file__).with_name("results") / "gpu_shapes.json"
COMMAND = "python -m benchmarks.gpu"
SECONDS = 420
SECONDS_OF_A_STAGE = 45
"""Left, or a stage is not begun: the longest, 20 million made-up ratings, takes about as long on one core."""
NUM_STEPS = 200
MATRIX_WIDTH = 8192


@dataclass(frozen=True, kw_only=True)
class Way:
    """A way to compute a step.

    Attributes:
        path: How the step is computed.
        settings: Gin bindings after the recipe's own.
    """

    path: TrainingPath
    settings: tuple[str, ...] = ()


WAYS = {
    "reference": Way(path="reference"),
    "fused": Way(path="fused", settings=("training.negative_draws = 'philox4x32-10'",)),
}
"""What has run on a GPU before comes first, so that a fault of the other cannot take its figures away."""


class Session:
    """One run of the benchmark: its device and clock, and what it has measured so far.

    Args:
        device: What is measured.
        output: Where the record is written after each stage; None writes none.
        seconds: After which no stage is begun.
        is_dry: Whether everything is tiny.
    """

    def __init__(self, device: torch.device, *, output: Path | None, seconds: float, is_dry: bool) -> None:
        self.device = device
        self.output = output
        self.end = time.monotonic() + seconds
        self.is_dry = is_dry
        self.stores: dict[DataShape, Store] = {}
        self.evaluations: dict[Shape, dict[str, Json]] = {}
        self.record: dict[str, Json] = {"command": f"{COMMAND}{' --dry-run' if is_dry else ''}"}

    def run(self) -> None:
        """Measure everything, shape by shape."""
        self.record["device"] = torch.cuda.get_device_name(self.device) if self.device.type == "cuda" else "cpu"
        self.record["machine"] = machine_facts()
        with repeatable_arithmetic(tf32=True):
            ceilings = measure_ceilings(self.device, width=64 if self.is_dry else MATRIX_WIDTH)
            self.record["teraflops"] = round(ceilings.flops_per_second / 1e12, 3)
            self.record["terabytes_per_second"] = round(ceilings.bytes_per_second / 1e12, 4)
            for way in WAYS:
                for name in SHAPES:
                    self.measure_shape(name, way=way, ceilings=ceilings)
        self.write()

    def stage(self, name: str, measure: Callable[[], Json]) -> None:
        """Measure and record one thing; one that cannot be is recorded with the reason, and the others go on."""
        start = time.monotonic()
        if self.end - start < SECONDS_OF_A_STAGE:
            self.record[name] = "skipped: no time left"
            return
        try:
            self.record[name] = measure()
        except Exception as error:  # noqa: BLE001  on a machine that is rare, whatever fails must not end the rest
            self.record[name] = f"failed: {type(error).__name__}: {error}"
        print(f"{name} ({time.monotonic() - start:.0f} s): {json.dumps(self.record[name], indent=1)}", flush=True)
        self.write()

    def measure_shape(self, name: str, *, way: str, ceilings: Ceilings) -> None:
        """Measure a shape in one way; of the first shape, also what is asked of one only."""
        shape, small = shrink(SHAPES[name]) if self.is_dry else (SHAPES[name], ())
        title = f"{name}, {way}"
        runs: list[TrainingRun] = []

        def measure() -> Json:
            recipe = read_recipe(shape.recipe_id, settings=small + WAYS[way].settings)
            store = self.find_store(shape.data)
            runs.append(TrainingRun(recipe, store, device=self.device, path=WAYS[way].path))
            return self.measure_way(runs[0], shape, ceilings=ceilings)

        self.stage(title, measure)
        if name == next(iter(SHAPES)) and runs:
            self.stage(f"{title}: profile", lambda: profile_steps(runs[0], start=WARM_UP))
            self.stage(f"{title}: pieces", lambda: measure_pieces(runs[0]))
            self.stage(f"{title}: any algorithm", lambda: self.free_algorithms(runs[0], ceilings))
            self.stage(f"{title}: ranks", lambda: compare_devices(runs[0], self.find_store(shape.data)))

    def measure_way(self, run: TrainingRun, shape: Shape, *, ceilings: Ceilings) -> Json:
        """Return times of steps, an evaluation, an epoch and 100 epochs with an evaluation each."""
        steps = measure_steps(run, num_steps=self.num_steps, ceilings=ceilings)
        evaluation = self.find_evaluation(run, shape)
        epoch, evaluating = steps["epoch_seconds"], evaluation["evaluation_seconds"]
        assert isinstance(epoch, float)
        assert isinstance(evaluating, float)
        return {**steps, **evaluation, f"minutes_of_{EPOCHS}_epochs": round(EPOCHS * (epoch + evaluating) / 60, 3)}

    def free_algorithms(self, run: TrainingRun, ceilings: Ceilings) -> Json:
        """Return the time of a step that need not be the same in each run."""
        torch.use_deterministic_algorithms(mode=False)
        try:
            return measure_steps(run, num_steps=self.num_steps, ceilings=ceilings)["step_milliseconds"]
        finally:
            torch.use_deterministic_algorithms(mode=True)

    @property
    def num_steps(self) -> int:
        """Steps that are measured."""
        return 2 if self.is_dry else NUM_STEPS

    def find_store(self, shape: DataShape) -> Store:
        """Return data of a shape, made once."""
        if shape not in self.stores:
            self.stores[shape] = make_store(shape)
        return self.stores[shape]

    def find_evaluation(self, run: TrainingRun, shape: Shape) -> dict[str, Json]:
        """Return how fast users of a shape are ranked, measured once: no way to train changes it."""
        if shape not in self.evaluations:
            store = self.find_store(shape.data)
            self.evaluations[shape] = measure_evaluation(run, store, is_whole=shape.is_evaluated_whole)
        return self.evaluations[shape]

    def write(self) -> None:
        """Write what is measured so far."""
        if self.output is not None:
            self.output.write_text(json.dumps(self.record, indent=2) + "\n")


def main(arguments: list[str]) -> int:
    """Measure, print and record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dry-run", action="store_true")
    parser.add_argument("--output", type=Path)
    parser.add_argument("--seconds", type=float, default=SECONDS)
    options = parser.parse_args(arguments)
    if not options.dry_run and not torch.cuda.is_available():
        print("skipped: no GPU here; --dry-run tries everything on the processor")
        return 0
    device = torch.device("cpu" if options.dry_run else "cuda")
    output = options.output or (None if options.dry_run else RESULT)
    Session(device, output=output, seconds=options.seconds, is_dry=options.dry_run).run()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
