"""What each component costs over BASE: seconds per training step and peak memory (`make bench-components`).

Usage: python -m benchmarks.components [--rounds N] [--only NAME,...]

Every component alone on upstream's ml-20m base shape (D = 256, 4 blocks, 4 heads) and a batch of 16 made-up histories
of 200 events, in one process per component: BASE and the component step in turns, and the median of the turns' ratios
counts. Peak memory is the process's own, of one model at a time. The recipe of 700 events runs as it is, batch of 128
included. Writes `benchmarks/results/components.json`; with --only, the other components' figures in it stay.
"""

import argparse
import json
import shutil
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import torch

from benchmarks.machine import machine_facts
from benchmarks.own_process import read_figures
from hstu_preserve.data.store import Store
from hstu_preserve.gin_recipes.reader import read_chain
from hstu_preserve.gin_recipes.resolve import resolve
from hstu_preserve.primitives.canonical_json import canonical_dumps
from hstu_preserve.primitives.peak_memory import read_peak_bytes
from hstu_preserve.records.recipe import Recipe
from hstu_preserve.training.loop import TrainingRun
from tests.data.stores_in_memory import synthesize

BUNDLES = Path(__file__).resolve().parents[1] / "bundles"
RESULT = Path(__file__).with_name("results") / "components.json"
BASE = "paper-hstu-ml-20m"
LONG = "iter7-exp5-l700"
BATCH_SIZE = 16
COMPONENTS = {
    "PRISM additive": "control-base-additive",
    "PRISM FiLM": "control-base-film",
    "PRISM MoE": "control-base-moe",
    "input compression": "control-base-ic",
    "time decay": "control-base-td",
    "additive + IC + TD": "iter8-exp4-SOTA",
    "additive + IC + TD + hard negatives": "iter8-exp1-HardNeg",
    "additive + IC + TD + popularity debiasing": "iter8-exp0-PopDebias",
}
VARIANTS = {
    "input compression (category)": ("control-base-ic", 'input_compression.pooling = "category"'),
    "input compression (learned)": ("control-base-ic", 'input_compression.pooling = "learned"'),
    "time decay (exp)": ("control-base-td", 'time_decay.mode = "exp"'),
    "time decay (exp_power)": ("control-base-td", 'time_decay.mode = "exp_power"'),
    "time decay (in the loss)": ("control-base-td", 'time_decay.where = "loss"\ntime_decay.learnable = False'),
    "time decay (in compressed tokens)": (
        "control-base-ic",
        "include 'shared/components/td-power.gin'\ntime_decay.where = \"pool\"",
    ),
    "hard negatives": (BASE, "include 'shared/components/hard-negatives.gin'"),
    "popularity debiasing (logits)": (BASE, "include 'shared/components/popularity-debiasing.gin'"),
    "popularity debiasing (ips)": (BASE, 'pop_debias.mode = "ips"'),
    "popularity debiasing (sampler)": (BASE, 'pop_debias.mode = "pop_sampler"'),
    "action fusion": (BASE, "action_fusion.enabled = True"),
    "full softmax": (BASE, 'train_fn.loss_module = "FullSoftmaxLoss"'),
    "attention by real length": (BASE, 'hstu_encoder.attention_normalization = "real_length"'),
}
"""Components, and forms of them, that no recipe has alone: a recipe and the gin lines that make the difference."""
WARM_UP = 2
MEGABYTE = 1e6


def main() -> None:
    """Measure every component, record and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--only", default="", help="names, separated by commas")
    parser.add_argument("--time", help="step BASE and this recipe in turns; prints JSON")
    parser.add_argument("--memory", help="step this recipe alone; prints JSON")
    parser.add_argument("--batch", type=int, default=BATCH_SIZE)
    options = parser.parse_args()
    if options.time:
        print(json.dumps(time_in_turns(options.time, rounds=options.rounds, batch=options.batch)))
        return
    if options.memory:
        print(json.dumps(measure_memory(options.memory, batch=options.batch)))
        return
    chosen = COMPONENTS | {name: name for name in VARIANTS}
    recorded: dict[str, Any] = {}
    if options.only:
        recorded = json.loads(RESULT.read_text())
        chosen = {name: chosen[name] for name in options.only.split(",")}
    base = measure("--memory", BASE)
    print(f"{'BASE':44} peak {base['peak_megabytes']:8.0f} MB")
    figures: dict[str, dict[str, float]] = recorded.get("components", {})
    for name, recipe_id in chosen.items():
        figures[name] = measure("--time", recipe_id, rounds=options.rounds) | measure("--memory", recipe_id)
        figures[name]["memory ratio"] = round(figures[name]["peak_megabytes"] / base["peak_megabytes"], 3)
        print(
            f"{name:44} step {figures[name]['step ratio']:.2f} of BASE, "
            f"peak {figures[name]['peak_megabytes']:8.0f} MB ({figures[name]['memory ratio']:.2f})",
            flush=True,
        )
    whole = recorded.get(f"{LONG}, batch 128") or measure("--memory", LONG, batch=128)
    print(f"{LONG:44} step {whole['step_seconds']:.1f} s, peak {whole['peak_megabytes']:8.0f} MB at a batch of 128")
    content = {
        "command": "python -m benchmarks.components --rounds N",
        "batch": BATCH_SIZE,
        "BASE": base,
        "components": figures,
        f"{LONG}, batch 128": whole,
        "machine": machine_facts(),
    }
    RESULT.write_text(json.dumps(content, indent=2) + "\n")


def measure(mode: str, recipe_id: str, *, rounds: int = 1, batch: int = BATCH_SIZE) -> dict[str, float]:
    """Return the figures of one recipe, measured in a process of its own."""
    return read_figures("-m", "benchmarks.components", mode, recipe_id, "--rounds", str(rounds), "--batch", str(batch))


def make_run(recipe_id: str, *, store: Store, batch: int) -> TrainingRun:
    """Return the training of a recipe or variant on the store, hard negatives from the first epoch on."""
    value = read_recipe(recipe_id).to_json_value()
    assert isinstance(value, dict)
    training, hard = value["training"], value["hard_negatives"]
    assert isinstance(training, dict)
    training["local_batch_size"] = batch
    if isinstance(hard, dict):
        hard["warmup_epochs"] = 0
    return TrainingRun(Recipe.from_json(canonical_dumps(value), source=recipe_id), store, device=torch.device("cpu"))


def read_recipe(recipe_id: str) -> Recipe:
    """Return what a recipe's chain resolves to; a variant's is its recipe's with a few lines after it."""
    chain_id, lines = VARIANTS.get(recipe_id, (recipe_id, ""))
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / BUNDLES.name
        shutil.copytree(BUNDLES, root, ignore=shutil.ignore_patterns("*.tar.gz"))
        entry = root / "variant.gin"
        entry.write_text(f"include '{chain_id}/config/{chain_id}.gin'\n{lines}\n")
        return resolve(read_chain(entry, root=root)).recipe


def make_store(*, users: int, events_per_user: int) -> Store:
    """Return made-up data whose histories fill the window."""
    return synthesize(seed=1, num_users=users, num_items=27_000, num_ratings=users * events_per_user)


def take_steps(run: TrainingRun, *, step: int) -> float:
    """Take one step on the run's first users and return its seconds."""
    users = run.users[: run.recipe.training.local_batch_size]
    start = time.perf_counter()
    run.take_step(users, epoch=0, step=step)
    return time.perf_counter() - start


def time_in_turns(recipe_id: str, *, rounds: int, batch: int) -> dict[str, float]:
    """Return the median step of BASE and of the recipe, taken in turns, and their ratio."""
    store = make_store(users=batch, events_per_user=1200)
    base, other = (make_run(one, store=store, batch=batch) for one in (BASE, recipe_id))
    seconds: dict[str, list[float]] = {"base": [], "other": []}
    for step in range(WARM_UP + rounds):
        seconds["base"].append(take_steps(base, step=step))
        seconds["other"].append(take_steps(other, step=step))
    base_step, step_seconds = (statistics.median(times[WARM_UP:]) for times in seconds.values())
    pairs = list(zip(seconds["other"], seconds["base"], strict=True))[WARM_UP:]
    return {
        "base_step_seconds": round(base_step, 4),
        "step_seconds": round(step_seconds, 4),
        "rounds": rounds,
        "step ratio": round(statistics.median(other / base for other, base in pairs), 3),
    }


def measure_memory(recipe_id: str, *, batch: int) -> dict[str, float]:
    """Return the peak memory of a process that takes three steps of the recipe, and the median step."""
    store = make_store(users=batch, events_per_user=1200 if recipe_id != LONG else 4000)
    before = read_peak_bytes() / MEGABYTE
    run = make_run(recipe_id, store=store, batch=batch)
    seconds = [take_steps(run, step=step) for step in range(3)]
    peak = read_peak_bytes() / MEGABYTE
    return {
        "peak_megabytes": round(peak, 1),
        "of_it_before_the_model": round(before, 1),
        "step_seconds": round(statistics.median(seconds), 3),
    }


if __name__ == "__main__":
    main()
