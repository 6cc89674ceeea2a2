"""What a training step of each recipe takes over a fixed probe, and its memory: what `doctor` estimates costs from.

Usage: python -m benchmarks.costs [--only ID,...] [--rounds N]

Every recipe steps in turns with the probe of `rehearsals.probe`, on one thread and by
processor time, so that other work on the machine counts little; made-up histories, as long as those of the
recipe's data, and as many items. The batch is 16; the own batch of a few recipes says how far that carries. Users
are ranked by the trained model's own path. Memory is the largest of a process that takes two steps
of that batch. Writes `benchmarks/results/costs.json`. `--fit` measures nothing: it fits `costs.machines` to the record,
and prints the coefficients and how far they are from what was measured, each recipe left out of its own fit.
"""

import argparse
import json
import statistics
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.optimize import nnls

from benchmarks.machine import machine_facts
from benchmarks.own_process import read_figures
from hstu_preserve.compute.determinism import repeatable_arithmetic
from hstu_preserve.costs import machines
from hstu_preserve.costs.data_shapes import DataShape, find_shape
from hstu_preserve.costs.estimates import GIGA
from hstu_preserve.costs.machines import PROBE_BATCH, PROBE_ITEMS
from hstu_preserve.costs.work import FORWARD_AND_BACKWARD, count_work, is_counted
from hstu_preserve.data.split import Part
from hstu_preserve.data.store import Store
from hstu_preserve.evaluation.one_evaluation import evaluate_model
from hstu_preserve.evaluation.paths import choose_ranking_path
from hstu_preserve.gin_recipes.reader import read_chain
from hstu_preserve.gin_recipes.resolve import resolve
from hstu_preserve.library.catalog import list_chains
from hstu_preserve.primitives.peak_memory import read_peak_bytes
from hstu_preserve.primitives.voice import Progress, Voice
from hstu_preserve.records.recipe import Recipe
from hstu_preserve.rehearsals.probe import NUM_EVENTS, make_probe
from hstu_preserve.training.loop import TrainingRun
from tests.data.stores_in_memory import synthesize

RESULT = Path(__file__).with_name("results") / "costs.json"
SMALL_BATCH = 16
RANKED = 8
"""Users that are ranked at once; the first batch of three is not counted."""
WHOLE = ("paper-hstu-ml-1m", "sample-hstu-synthetic", "paper-hstu-ml-20m", "paper-sasrec-ml-20m", "iter8-exp4-SOTA")
"""Recipes whose steps are timed with their own batch, too."""
HELD = (*WHOLE, "hstu-tensorflow-ml-1m", "iter7-exp5-l700")
"""Recipes whose memory is measured."""
MEGABYTE = 1e6


def main() -> None:
    """Measure, record and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="ids, separated by commas; the others stay as recorded")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--memory", help="take steps of this recipe as it is; prints JSON")
    parser.add_argument("--fit", action="store_true", help="fit the factors to the record, and print them")
    parser.add_argument("--batch", type=int, default=SMALL_BATCH)
    options = parser.parse_args()
    if options.fit:
        fit()
    elif options.memory:
        print(json.dumps(measure_memory(options.memory, batch=options.batch)))
    else:
        record([one for one in options.only.split(",") if one] or list_ids(), rounds=options.rounds)


def list_ids() -> list[str]:
    """Return the recipes whose data have a size that is known."""
    return [one for one in sorted(list_chains()) if find_shape(read_recipe(one).dataset.name) is not None]


def record(ids: list[str], *, rounds: int) -> None:
    """Measure the recipes, memory in processes of its own, and write after each."""
    content = json.loads(RESULT.read_text()) if RESULT.exists() else {"recipes": {}}
    for recipe_id in ids:
        own = read_recipe(recipe_id).training.local_batch_size
        batches = sorted({min(SMALL_BATCH, own), *([own] if recipe_id in WHOLE else [])})
        steps = [time_in_turns(recipe_id, batch=batch, rounds=rounds) for batch in batches]
        content["recipes"][recipe_id] = {"steps": steps}
        if recipe_id in HELD:
            content["recipes"][recipe_id]["memory"] = [read_memory(recipe_id, batch=batch) for batch in batches]
        print(recipe_id, json.dumps(content["recipes"][recipe_id]), flush=True)
        content["command"] = f"python -m benchmarks.costs --rounds {rounds}"
        content["machine"] = machine_facts()
        RESULT.write_text(json.dumps(content, indent=1) + "\n")


def read_memory(recipe_id: str, *, batch: int) -> dict[str, Any]:
    """Return what `measure_memory` gives in a process of its own."""
    return read_figures("-m", "benchmarks.costs", "--memory", recipe_id, "--batch", str(batch))


def read_recipe(recipe_id: str, *, batch: int | None = None) -> Recipe:
    """Return a recipe with another batch, whose hard negatives begin with the first epoch."""
    recipe = resolve(read_chain(list_chains()[recipe_id], root=None)).recipe
    hard = recipe.hard_negatives
    training = recipe.training.model_copy(update={"local_batch_size": batch or recipe.training.local_batch_size})
    evaluation = recipe.evaluation.model_copy(update={"eval_batch_size": RANKED})
    return recipe.model_copy(
        update={
            "training": training,
            "evaluation": evaluation,
            "hard_negatives": hard and hard.model_copy(update={"warmup_epochs": 0}),
        }
    )


def make_store(recipe: Recipe) -> Store:
    """Return made-up data with histories as long as those of the recipe's data, and as many items, for one batch."""
    shape = find_shape(recipe.dataset.name)
    assert shape is not None
    users = max(recipe.training.local_batch_size, 3 * RANKED)
    events = round(users * shape.mean(1, most=10**9))
    return synthesize(seed=1, num_users=users, num_items=shape.num_items, num_ratings=events)


def describe_store(store: Store, *, num_users: int) -> dict[str, Any]:
    """Return the sizes of the data that a step was taken on, as `read_shape` takes them."""
    tenths = [float(part.mean()) for part in np.array_split(np.sort(store.lengths[:num_users] - 1), 10)]
    return {"items": len(store.candidate_ids), "rows": store.max_item_id + 1, "tenths": tenths}


def read_shape(figures: dict[str, Any]) -> DataShape:
    """Return the shape of the data that a step was taken on."""
    return DataShape(
        num_users=1, num_items=figures["items"], num_rows=figures["rows"], lengths=tuple(figures["tenths"])
    )


def time_in_turns(recipe_id: str, *, batch: int, rounds: int) -> dict[str, Any]:
    """Return the processor time of a step, and of ranking a user, over that of a step of the probe."""
    torch.set_num_threads(1)
    recipe = read_recipe(recipe_id, batch=batch)
    store = make_store(recipe)
    with repeatable_arithmetic(tf32=False):
        training = TrainingRun(recipe, store, device=torch.device("cpu"), path="fast")
        probe = make_probe(
            synthesize(seed=1, num_users=PROBE_BATCH, num_items=PROBE_ITEMS, num_ratings=PROBE_BATCH * NUM_EVENTS)
        )
        users = training.users[:batch]
        taken: list[tuple[float, float]] = []
        for number in range(1 + rounds):
            start = time.process_time()
            training.take_step(users, epoch=0, step=number)
            middle = time.process_time()
            probe.take_step(probe.users, epoch=0, step=number)
            taken.append((middle - start, time.process_time() - middle))
        ranking = time_ranking(training, store)
    probe_seconds = statistics.median(one for _, one in taken[1:])
    return {
        "batch": batch,
        "data": describe_store(store, num_users=batch),
        "probe_seconds": round(probe_seconds, 4),
        "step_over_probe": round(statistics.median(step / one for step, one in taken[1:]), 3),
        "user_over_probe": round(ranking / probe_seconds, 5),
    }


def time_ranking(training: TrainingRun, store: Store) -> float:
    """Return the processor seconds of ranking a user; the first batch, which is ranked in two ways, is left out."""
    marks: list[tuple[int, float]] = []

    def mark(progress: Progress) -> None:
        marks.append((progress.completed, time.process_time()))

    evaluate_model(
        training.model,
        store,
        part=Part.TEST,
        epoch=0,
        num_batches=3,
        ranking_path=choose_ranking_path("cpu"),
        voice=Voice(show=mark),
    )
    (first, start), (last, end) = marks[0], marks[-1]
    return (end - start) / (last - first)


def measure_memory(recipe_id: str, *, batch: int) -> dict[str, Any]:
    """Return the peak memory of this process after two steps of the recipe with that batch."""
    recipe = read_recipe(recipe_id, batch=batch)
    store = make_store(recipe)
    before = read_peak_bytes() / MEGABYTE
    with repeatable_arithmetic(tf32=False):
        training = TrainingRun(recipe, store, device=torch.device("cpu"), path="fast")
        for number in range(2):
            training.take_step(training.users[:batch], epoch=0, step=number)
    return {
        "batch": batch,
        "data": describe_store(store, num_users=batch),
        "peak_megabytes": round(read_peak_bytes() / MEGABYTE),
        "of_it_before_the_model": round(before),
    }


@dataclass(frozen=True, kw_only=True)
class Observation:
    """What was measured, and the work that it should follow from.

    Attributes:
        name: Of the recipe, and its batch.
        kinds: Of work, each in the unit of its factor.
        measured: In the unit of all factors' products.
    """

    name: str
    kinds: list[float]
    measured: float


def list_recorded() -> list[tuple[str, dict[str, Any]]]:
    """Return what was recorded of the recipes whose work is counted."""
    recorded = json.loads(RESULT.read_text())["recipes"]
    return [(one, figures) for one, figures in recorded.items() if is_counted(read_recipe(one))]


def list_steps() -> list[Observation]:
    """Return the recorded steps and the kinds of work that `StepRates` has."""
    observations = []
    for recipe_id, figures in list_recorded():
        for step in figures["steps"]:
            work = count_work(read_recipe(recipe_id, batch=step["batch"]), read_shape(step["data"]))
            kinds = [work.products / GIGA, work.drawn / GIGA, work.pairs / GIGA, work.weights / GIGA, 1.0]
            name = f"{recipe_id}, batch {step['batch']}"
            observations.append(Observation(name=name, kinds=kinds, measured=step["step_over_probe"]))
    return observations


def list_rankings() -> list[Observation]:
    """Return the recorded rankings and the kinds of work that `RankingRates` has."""
    observations = []
    for recipe_id, figures in list_recorded():
        step = figures["steps"][0]
        recipe = read_recipe(recipe_id, batch=1)
        work = count_work(recipe, read_shape(step["data"]))
        kinds = [work.products / FORWARD_AND_BACKWARD / GIGA, work.pairs / GIGA, 1.0]
        observations.append(Observation(name=recipe_id, kinds=kinds, measured=step["user_over_probe"]))
    return observations


def list_memory() -> list[Observation]:
    """Return the recorded memory and the kinds of work that `MemoryRates` has."""
    observations = []
    for recipe_id, figures in list_recorded():
        for memory in figures.get("memory", []):
            recipe = read_recipe(recipe_id, batch=memory["batch"])
            work = count_work(recipe, read_shape(memory["data"]))
            drawn = work.drawn / recipe.model.item_embedding_dim
            kinds = [work.weights, work.activations, drawn, work.pairs if work.is_padded else 0.0, 1e6]
            name = f"{recipe_id}, batch {memory['batch']}"
            observations.append(
                Observation(name=name, kinds=[one / 1e6 for one in kinds], measured=memory["peak_megabytes"])
            )
    return observations


def solve(observations: list[Observation]) -> list[float]:
    """Return the factors that are not negative and whose relative errors are least in square."""
    rows = np.array([[kind / one.measured for kind in one.kinds] for one in observations])
    factors, _ = nnls(rows, np.ones(len(rows)))
    return [float(factor) for factor in factors]


def apply(factors: list[float], observation: Observation) -> float:
    """Return the relative error of the factors for an observation."""
    return sum(a * b for a, b in zip(factors, observation.kinds, strict=True)) / observation.measured - 1


def list_errors() -> dict[str, float]:
    """Return the relative error of each recorded step by the factors that the program has."""
    rates = machines.CPU_STEP
    factors = [rates.products, rates.drawn, rates.pairs, rates.weights, rates.step]
    return {one.name: apply(factors, one) for one in list_steps()}


def list_memory_errors() -> dict[str, float]:
    """Return the relative error of each recorded peak of memory by the factors that the program has."""
    rates = machines.CPU_MEMORY
    factors = [rates.weights, rates.activations, rates.drawn, rates.pairs, rates.program / MEGABYTE]
    return {one.name: apply(factors, one) for one in list_memory()}


def fit() -> None:
    """Print the factors, and the error of each observation, left out of the fit and not."""
    for title, observations in (("step", list_steps()), ("user", list_rankings()), ("memory", list_memory())):
        print(title, [round(factor, 6) for factor in solve(observations)])
        factors = solve(observations)
        for one in observations:
            others = solve([other for other in observations if other is not one])
            print(f"  {one.name:45} {one.measured:10.4f} {apply(factors, one):+6.0%} {apply(others, one):+6.0%}")


if __name__ == "__main__":
    main()
