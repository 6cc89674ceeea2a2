"""Training steps on a CPU: ours and Meta's research code, in alternation in one process, on the same batches.

Meta's code is measured as its trainer runs it ("as shipped": anomaly detection on, the allocator as it is) and
flattered (anomaly detection off, an allocator that keeps its pages). `--reference` names a checkout of
generative-recommenders, which needs fbgemm. Peak memory is that of a process which takes three steps of one kind. The
roofline is `benchmarks.roofline`'s: the least that a step's work takes at the limits measured in the same process.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from benchmarks.components import LONG, read_recipe
from benchmarks.gpu_stages import measure_batches
from benchmarks.machine import machine_facts
from benchmarks.own_process import ALLOCATORS, read_figures
from benchmarks.peer import Peer
from benchmarks.roofline import count_work, measure_ceilings
from benchmarks.scoreboard import replace_between
from hstu_preserve.compute.determinism import repeatable_arithmetic
from hstu_preserve.data.batches import assemble_batch
from hstu_preserve.inputs.histories import to_training_histories
from hstu_preserve.model.histories import Histories
from hstu_preserve.primitives.canonical_json import canonical_dumps
from hstu_preserve.primitives.peak_memory import read_peak_bytes
from hstu_preserve.records.environment import TrainingPath
from hstu_preserve.records.recipe import Recipe
from hstu_preserve.training.loop import TrainingRun
from tests.data.stores_in_memory import synthesize

RESULT = Path(__file__).with_name("results") / "steps.json"
MARKS = ("<!-- steps: begin -->", "<!-- steps: end -->")
WARM_UP = 2
NUM_BATCHES = 4
MEGABYTE = 1e6
CPU = torch.device("cpu")
CEILING_WIDTH = 2048
"""Of the matrices that the processor's limits are measured with: far too large for its caches."""
ML_20M = "ml-20m base"


@dataclass(frozen=True, kw_only=True)
class Shape:
    """A recipe and made-up data of a published data set's shape.

    Attributes:
        recipe: An id of `bundles/`.
        items: How many there are.
        events: Mean number for each user; the window cuts longer histories.
        has_peer: Whether Meta's code has this model.
    """

    recipe: str
    items: int
    events: int
    has_peer: bool


SHAPES = {
    "ml-1m base": Shape(recipe="paper-hstu-ml-1m", items=3_706, events=165, has_peer=True),
    ML_20M: Shape(recipe="paper-hstu-ml-20m", items=26_744, events=144, has_peer=True),
    "iter8-exp4-SOTA": Shape(recipe="iter8-exp4-SOTA", items=26_744, events=144, has_peer=False),
    "l = 700": Shape(recipe=LONG, items=26_744, events=4_000, has_peer=False),
}

Step = Callable[[int], None]


def main() -> None:
    """Measure, record and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--reference", type=Path, help="a checkout of meta-recsys/generative-recommenders")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--only", choices=SHAPES, action="append", help="these shapes; the others stay as recorded")
    parser.add_argument("--time", choices=SHAPES, help="step in turns in this process; prints JSON")
    parser.add_argument("--memory", choices=SHAPES, help="take steps of one --kind in this process; prints JSON")
    parser.add_argument("--kind", default="fast")
    options = parser.parse_args()
    if options.time:
        print(json.dumps(time_in_turns(options.time, reference=options.reference, rounds=options.rounds)))
    elif options.memory:
        print(json.dumps(measure_memory(options.memory, kind=options.kind, reference=options.reference)))
    else:
        record(options.only or list(SHAPES), reference=options.reference, rounds=options.rounds)


def record(names: list[str], *, reference: Path | None, rounds: int) -> None:
    """Measure the shapes, each in processes of its own; write the result and the table."""
    content = json.loads(RESULT.read_text()) if RESULT.exists() else {"shapes": {}}
    for name in names:
        figures = {
            allocator: run("--time", name, reference=reference, rounds=rounds, environment=environment)
            for allocator, environment in ALLOCATORS.items()
        }
        kinds = ["fast", "reference path"] + ["peer"] * (SHAPES[name].has_peer and reference is not None)
        memory = {kind: run("--memory", name, "--kind", kind, reference=reference) for kind in kinds}
        content["shapes"][name] = {"steps": figures, "memory": memory}
        print(json.dumps({name: content["shapes"][name]}, indent=1), flush=True)
    content["command"] = f"python -m benchmarks.steps --reference PATH --rounds {rounds}"
    content["machine"] = machine_facts()
    RESULT.write_text(json.dumps(content, indent=2) + "\n")
    print(replace_between(MARKS, list_lines(content["shapes"])))


def run(
    *arguments: str, reference: Path | None, rounds: int = 1, environment: dict[str, str] | None = None
) -> dict[str, Any]:
    """Return the figures that a process of its own prints."""
    peer = [] if reference is None else ["--reference", str(reference)]
    return read_figures("-m", "benchmarks.steps", *arguments, "--rounds", str(rounds), *peer, environment=environment)


class Bench:
    """Batches of a shape, and what steps on them.

    Args:
        name: Of the shape.
    """

    def __init__(self, name: str) -> None:
        self.shape = SHAPES[name]
        self.recipe = read_with_hard_negatives(self.shape.recipe)
        users = NUM_BATCHES * self.recipe.training.local_batch_size
        self.store = synthesize(
            seed=1, num_users=users, num_items=self.shape.items, num_ratings=users * self.shape.events
        )

    def make_ours(self, path: TrainingPath, *, recipe: Recipe | None = None) -> Step:
        """Return our step on a batch: assembling it, drawing negatives, loss, gradients and optimizer."""
        training = TrainingRun(recipe or self.recipe, self.store, device=CPU, path=path)

        def step(number: int) -> None:
            with repeatable_arithmetic(tf32=False):
                training.take_step(choose_users(training, number), epoch=0, step=number)

        return step

    def count_least_seconds(self) -> float:
        """Return what a step of the shape takes at the least, at this machine's limits, which are measured now."""
        training = TrainingRun(self.recipe, self.store, device=CPU)
        size = measure_batches(training, start=0, count=NUM_BATCHES)
        return measure_ceilings(CPU, width=CEILING_WIDTH).seconds(count_work(self.recipe, size))

    def make_peer(self, reference: Path, *, anomaly_detection: bool) -> Step:
        """Return Meta's step on the same batch, which was assembled before."""
        training = TrainingRun(self.recipe, self.store, device=CPU)
        batches = [self.assemble(training, choose_users(training, number)) for number in range(NUM_BATCHES)]
        peer = Peer(reference, self.recipe, candidates=training.model.candidate_I)

        def step(number: int) -> None:
            peer.take_step(batches[number % NUM_BATCHES], anomaly_detection=anomaly_detection)

        return step

    def assemble(self, training: TrainingRun, users: npt.NDArray[np.int64]) -> Histories:
        """Return a batch as our step assembles it."""
        batch = assemble_batch(
            training.events,
            users,
            held_out_events=0,
            max_sequence_length=self.recipe.dataset.max_sequence_length,
            output_length=self.recipe.model.gr_output_length + 1,
        )
        return to_training_histories(batch, training.device)


def read_with_hard_negatives(recipe_id: str) -> Recipe:
    """Return a recipe whose hard negatives, if it has any, begin with the first epoch."""
    value = read_recipe(recipe_id).to_json_value()
    assert isinstance(value, dict)
    if isinstance(hard := value["hard_negatives"], dict):
        hard["warmup_epochs"] = 0
    return Recipe.from_json(canonical_dumps(value), source=recipe_id)


def choose_users(training: TrainingRun, number: int) -> npt.NDArray[np.int64]:
    """Return the users of one of the batches, over and over."""
    size = training.recipe.training.local_batch_size
    start = number % NUM_BATCHES * size
    return training.users[start : start + size]


def list_steps(bench: Bench, *, reference: Path | None) -> dict[str, Step]:
    """Return what steps in turns on a shape's batches."""
    steps = {"fast": bench.make_ours("fast"), "reference path": bench.make_ours("reference")}
    if bench.shape.has_peer and reference is not None:
        steps["peer"] = bench.make_peer(reference, anomaly_detection=False)
        steps["peer with anomaly detection"] = bench.make_peer(reference, anomaly_detection=True)
    elif bench.recipe.training.local_batch_size == 128:
        steps["fast, BASE"] = bench.make_ours("fast", recipe=read_recipe(SHAPES[ML_20M].recipe))
    return steps


def time_in_turns(name: str, *, reference: Path | None, rounds: int) -> dict[str, Any]:
    """Return the median seconds of each kind of step, taken in turns, and the median ratio to our fast one."""
    bench = Bench(name)
    steps = list_steps(bench, reference=reference)
    seconds: dict[str, list[float]] = {kind: [] for kind in steps}
    for number in range(WARM_UP + rounds):
        for kind, step in steps.items():
            start = time.perf_counter()
            step(number)
            seconds[kind].append(time.perf_counter() - start)
    taken = {kind: values[WARM_UP:] for kind, values in seconds.items()}
    return {
        "rounds": rounds,
        "seconds": {kind: round(statistics.median(values), 4) for kind, values in taken.items()},
        "ratios": {
            kind: round(statistics.median(one / ours for one, ours in zip(values, taken["fast"], strict=True)), 2)
            for kind, values in taken.items()
        },
        "roofline_seconds": round(bench.count_least_seconds(), 4),
    }


def measure_memory(name: str, *, kind: str, reference: Path | None) -> dict[str, float]:
    """Return the peak memory of this process after three steps of one kind, and how much of it was there before."""
    bench = Bench(name)
    before = read_peak_bytes() / MEGABYTE
    if kind == "peer":
        assert reference is not None
        step = bench.make_peer(reference, anomaly_detection=False)
    else:
        step = bench.make_ours("fast" if kind == "fast" else "reference")
    for number in range(3):
        step(number)
    peak = read_peak_bytes() / MEGABYTE
    return {"peak_megabytes": round(peak), "of_it_before_the_model": round(before)}


def list_lines(shapes: dict[str, Any]) -> list[str]:
    """Return the table's lines."""
    columns = (
        "shape",
        "fast path",
        "roofline",
        "reference path",
        "Meta's, as shipped",
        "Meta's, flattered",
        "peak memory",
        "Meta's",
    )
    return [
        f"| {' | '.join(columns)} |",
        "|---" * len(columns) + "|",
        *(describe(name, shapes[name]) for name in SHAPES if name in shapes),
    ]


def describe(name: str, figures: dict[str, Any]) -> str:
    """Return one shape's line; ratios are to our fast step of the same process."""
    plain, tuned = (figures["steps"][allocator] for allocator in ALLOCATORS)
    memory = {kind: f"{one['peak_megabytes']:,.0f} MB" for kind, one in figures["memory"].items()}
    base = plain["ratios"].get("fast, BASE")
    cells = [
        name if base is None else f"{name} ({1 / base:.2f} x BASE)",
        f"{plain['seconds']['fast']:.3f} s; {tuned['seconds']['fast']:.3f} s",
        describe_roofline(plain),
        tell(plain, "reference path"),
        tell(plain, "peer with anomaly detection"),
        tell(tuned, "peer"),
        memory["fast"],
        memory.get("peer", ""),
    ]
    return f"| {' | '.join(cells)} |"


def describe_roofline(figures: dict[str, Any]) -> str:
    """Return the least seconds of a step, and their share of our fast one's; nothing of figures from before."""
    if "roofline_seconds" not in figures:
        return ""
    least: float = figures["roofline_seconds"]
    return f"{least:.3f} s ({least / figures['seconds']['fast']:.0%})"


def tell(figures: dict[str, Any], kind: str) -> str:
    """Return seconds and ratio of a kind of step, nothing if it was not measured."""
    if kind not in figures["seconds"]:
        return ""
    return f"{figures['seconds'][kind]:.3f} s, {figures['ratios'][kind]:.1f} x"


if __name__ == "__main__":
    main()
