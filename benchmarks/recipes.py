"""Every recipe on ml-latest-small at upstream's ml-1m base shape, several seeds each (`make bench-recipes`).

Usage: python -m benchmarks.recipes --data FOLDER [--work FOLDER] [--seeds N] [--minutes M] [--only ID,...]
       python -m benchmarks.recipes --again

FOLDER holds `ml-latest-small/`; without it HSTU_PRESERVE_MOVIELENS is asked. Each recipe of `bundles/` keeps its
components and takes the small shape (D = 50, 2 blocks of 1 head; the large and the TensorFlow variant keep their 8
blocks of 2 heads), protocol `validated`, at most 12 epochs and a patience of 3. The movies are numbered anew from 1, so
that the item table has 9,742 rows rather than 193,610. A training that is done stays in the work folder, so that a run
that was cut goes on. Writes `benchmarks/results/recipes.json` and the table in `benchmarks/README.md`; with --only, the
other recipes' figures in them stay, provided that BASE gives the recorded ones again. With --again nothing is trained:
the comparison is computed anew from the recorded values of every seed.

What is compared is `hstu-preserve compare`'s: the same means, tests and corrections, over seeds and over users.
"""

import argparse
import csv
import json
import multiprocessing
import os
import shutil
import time
from collections.abc import Callable, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from benchmarks.machine import machine_facts
from benchmarks.scoreboard import write_table
from hstu_preserve.bundle.layout import METRICS, RUN_RECORD
from hstu_preserve.data.store import open_store
from hstu_preserve.gin_recipes.reader import read_chain
from hstu_preserve.gin_recipes.resolve import resolve
from hstu_preserve.gin_recipes.writer import write_gin
from hstu_preserve.primitives.canonical_json import canonical_dumps
from hstu_preserve.primitives.json_values import Json
from hstu_preserve.records.claim import SelectionRule
from hstu_preserve.records.evaluation import ResultsRecord
from hstu_preserve.records.manifest import MANIFEST_NAME, RunRecord
from hstu_preserve.records.recipe import Protocol, Recipe
from hstu_preserve.records.settings.encoders import HstuTfSettings, ModelSettings, SasrecSettings
from hstu_preserve.studies.over_seeds import OverSeeds, summarize
from hstu_preserve.studies.paired import LEVEL, correct_by_holm, judge
from hstu_preserve.studies.results import MeanDifference
from hstu_preserve.verbs.compare import compare
from hstu_preserve.verbs.data import prepare_data
from hstu_preserve.verbs.train import train
from hstu_preserve.verdict.statistics import quantile

BUNDLES = Path(__file__).resolve().parents[1] / "bundles"
RESULT = Path(__file__).with_name("results") / "recipes.json"
BASE = "paper-hstu-ml-20m"
DATASET = "ml-latest-small"
METRIC = "ndcg@10"
NUM_EPOCHS = 12
PATIENCE = 3
NUM_USERS = 610
"""Of ml-latest-small, each with more than two events."""
BATCH_SIZE = 16
"""610 users make 39 steps of an epoch; upstream's 128 would make 5."""
WIDTH = 50
LARGE_BLOCKS = 8
SAME_HERE = {
    "control-base-ml-32m": "BASE but for the dataset",
    "iter7-exp6-ml32m-base": "control-additive-ic-td but for the dataset",
    "paper-hstu-ml-1m": "BASE at this shape",
    "paper-hstu-large-ml-20m": "paper-hstu-large-ml-1m at this shape",
    "paper-sasrec-ml-20m": "paper-sasrec-ml-1m at this shape",
}
"""Recipes that the small shape makes equal to another one, which is run in their stead."""
OTHER_KINDS = ("foundations-", "rails-")
"""Recipes of other kinds of evaluation, or of other data: `benchmarks.kinds` compares them."""


@dataclass(frozen=True, kw_only=True)
class Task:
    """One training."""

    recipe_id: str
    seed: int
    gin: Path
    store: Path
    output: Path


def main() -> None:
    """Train what is not trained yet, compare, record and print."""
    parser = make_parser(__doc__, work=Path("benchmarks/work/recipes"))
    parser.add_argument("--only", default="", help="ids, separated by commas; BASE is always among them")
    options = parser.parse_args()
    if options.again:
        compute_again()
        return
    store = prepare_renumbered(options.data, options.work)
    chosen = {BASE, *options.only.split(",")} if options.only else None
    ids = [one for one in list_recipes() if chosen is None or one in chosen]
    seeds = range(options.seeds)
    tasks = [make_task(one, seed=seed, work=options.work, store=store, shrink=shrink) for seed in seeds for one in ids]
    run_tasks([task for task in tasks if not is_done(task)], minutes=options.minutes)
    finished = [one for one in ids if all(is_done(task) for task in tasks if task.recipe_id == one)]
    if BASE not in finished:
        raise SystemExit("BASE itself is not finished; run the same command again")
    kept = json.loads(RESULT.read_text())["recipes"] if options.only else {}
    record(finished, tasks=tasks, kept=kept, command=f"python -m benchmarks.recipes --seeds {options.seeds}")
    if len(finished) < len(ids):
        print(f"not finished: {', '.join(one for one in ids if one not in finished)}; run the same command again")


def make_parser(description: str | None, *, work: Path) -> argparse.ArgumentParser:
    """Return the options of a comparison whose trainings may be cut and gone on with in the folder `work`."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("HSTU_PRESERVE_MOVIELENS", "absent")))
    parser.add_argument("--work", type=Path, default=work)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--minutes", type=float, default=90.0, help="start no training after that many")
    parser.add_argument("--again", action="store_true", help="train nothing; compute anew from the recorded values")
    return parser


def prepare_renumbered(data: Path, work: Path) -> Path:
    """Return the store of the renumbered data set in the work folder, made unless it is there."""
    source, store = data / DATASET, work / "store"
    if not source.is_dir():
        raise SystemExit(f"{source}: no such folder; name the one that holds {DATASET}/ with --data")
    if not store.exists():
        prepare_data(DATASET, source=renumber(source, work / "renumbered"), output=store)
    return store


def renumber(source: Path, folder: Path) -> Path:
    """Write the data set with movie ids from 1 to the number of movies, in the order of the old ones; return it."""
    folder.mkdir(parents=True, exist_ok=True)
    with (source / "movies.csv").open(encoding="utf-8", newline="") as file:
        header, *movies = csv.reader(file)
    new_ids = {old: str(new) for new, old in enumerate(sorted((row[0] for row in movies), key=int), start=1)}
    write_csv(folder / "movies.csv", header, [[new_ids[row[0]], *row[1:]] for row in movies])
    with (source / "ratings.csv").open(encoding="utf-8", newline="") as file:
        header, *ratings = csv.reader(file)
    write_csv(folder / "ratings.csv", header, [[row[0], new_ids[row[1]], *row[2:]] for row in ratings])
    return folder


def write_csv(path: Path, header: list[str], rows: list[list[str]]) -> None:
    """Write a table as MovieLens does."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)


def list_recipes() -> list[str]:
    """Return the ids of `bundles/`, BASE first, without those that another benchmark or another recipe stands for."""
    ids = sorted(folder.parent.name for folder in BUNDLES.glob("*/config"))
    left_out = {BASE, "sample-hstu-synthetic", *SAME_HERE}
    return [BASE, *(one for one in ids if one not in left_out and not one.startswith(OTHER_KINDS))]


def make_task(recipe_id: str, *, seed: int, work: Path, store: Path, shrink: Callable[..., Recipe]) -> Task:
    """Write the small recipe, as `shrink` makes it of the whole one and the seed, as one flat gin file."""
    chain = BUNDLES / recipe_id / "config" / f"{recipe_id}.gin"
    resolution = resolve(read_chain(chain, root=BUNDLES))
    gin = work / "gin" / f"{recipe_id}-{seed}.gin"
    gin.parent.mkdir(parents=True, exist_ok=True)
    recipe = shrink(resolution.recipe, seed=seed)
    policies = tuple(
        policy.model_copy(
            update={
                "protocol": Protocol.VALIDATED,
                "selection_rule": SelectionRule.BEST_ON_VALIDATION,
                "margin": None,
                "margin_derivation": None,
                "seeds": (seed,),
                "evaluation": recipe.evaluation.kind,
            }
        )
        for policy in resolution.policies
    )
    gin.write_text(write_gin(recipe, policies, resolution.bundle.model_copy(update={"include_data": False})))
    return Task(recipe_id=recipe_id, seed=seed, gin=gin, store=store, output=work / "runs" / f"{recipe_id}-{seed}")


def shrink(recipe: Recipe, *, seed: int) -> Recipe:
    """Return the recipe at the small shape, its components kept."""
    changed: dict[str, dict[str, Json]] = {
        "dataset": {"name": DATASET, "fingerprint": None, "protocol": Protocol.VALIDATED.value},
        "model": {"item_embedding_dim": WIDTH} | shrink_encoder(recipe.model),
        "training": {
            "random_seed": seed,
            "num_epochs": NUM_EPOCHS,
            "patience": PATIENCE,
            "local_batch_size": BATCH_SIZE,
            "save_ckpt_every_n": 1000,
        },
        "evaluation": {"full_eval_every_n": 1},
    }
    return change(recipe, changed)


def change(recipe: Recipe, changed: Mapping[str, dict[str, Json]]) -> Recipe:
    """Return the recipe with other settings, by section and name; what does not fit together is refused."""
    value = recipe.to_json_value()
    assert isinstance(value, dict)
    for section, settings in changed.items():
        inner = value[section]
        assert isinstance(inner, dict)
        inner.update(settings)
    return Recipe.from_json(canonical_dumps(value), source=f"small {recipe.model.kind}")


def shrink_encoder(settings: ModelSettings) -> dict[str, Json]:
    """Return the encoder's own settings: upstream's ml-1m base shape, or its large one."""
    if isinstance(settings, SasrecSettings):
        return {"num_heads": 1, "num_blocks": 2, "ffn_hidden_dim": WIDTH}
    if isinstance(settings, HstuTfSettings):
        return {}
    if settings.num_blocks >= LARGE_BLOCKS:
        return {"num_heads": 2, "num_blocks": LARGE_BLOCKS, "dqk": WIDTH // 2, "dv": WIDTH // 2}
    return {"num_heads": 1, "num_blocks": 2, "dqk": WIDTH, "dv": WIDTH}


def is_done(task: Task) -> bool:
    """Whether the training was finished and sealed."""
    return (task.output / MANIFEST_NAME).exists()


def run_tasks(tasks: list[Task], *, minutes: float) -> None:
    """Train, one process with one thread on each core; start none after the given minutes."""
    deadline = time.monotonic() + 60 * minutes
    context = multiprocessing.get_context("spawn")
    workers = len(os.sched_getaffinity(0))
    with ProcessPoolExecutor(workers, mp_context=context, initializer=use_one_thread) as pool:
        running: set[Future[str]] = set()
        for number, task in enumerate(tasks, start=1):
            if time.monotonic() > deadline:
                break
            running.add(pool.submit(run_task, task))
            if len(running) < workers and number < len(tasks):
                continue
            done, running = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                print(f"{number}/{len(tasks)} {future.result()}", flush=True)
        for future in running:
            print(future.result(), flush=True)


def use_one_thread() -> None:
    """Let a worker process compute on one thread: the model is small, and two processes share two cores better."""
    torch.set_num_threads(1)


def run_task(task: Task) -> str:
    """Train one recipe with one seed; what an earlier run left unfinished is made anew."""
    shutil.rmtree(task.output, ignore_errors=True)
    start = time.process_time()
    result = train(task.gin, output=task.output, data=task.store, device="cpu")
    seconds = time.process_time() - start
    (task.output.parent / f"{task.output.name}.seconds").write_text(f"{seconds:.1f}\n")
    final = result.results.final
    return (
        f"{task.recipe_id} seed {task.seed}: ndcg@10 {final.metrics['ndcg@10']:.4f} at epoch {final.epoch} of "
        f"{len(result.results.epochs)}, {seconds:.0f} s of one core"
    )


def describe_runs(tasks: list[Task]) -> dict[str, object]:
    """Return what a recipe's trainings gave, seed by seed."""
    results = [ResultsRecord.from_json((task.output / METRICS).read_bytes(), source=METRICS) for task in tasks]
    records = [RunRecord.from_json((task.output / RUN_RECORD).read_bytes(), source=RUN_RECORD) for task in tasks]
    seconds = [float((task.output.parent / f"{task.output.name}.seconds").read_text()) for task in tasks]
    return {
        "seeds": [task.seed for task in tasks],
        "ndcg@10": [result.final.metrics["ndcg@10"] for result in results],
        "hr@10": [result.final.metrics["hr@10"] for result in results],
        "coverage@10": [result.final.coverage_at_10 for result in results],
        "validation ndcg@10": [max(epoch.value_of("ndcg@10") for epoch in result.epochs) for result in results],
        "recipe_sha256": [run_record.recipe_sha256 for run_record in records],
        "best epoch": [result.final.epoch for result in results],
        "epochs": [len(result.epochs) for result in results],
        "core_seconds": seconds,
    }


def record(finished: list[str], *, tasks: list[Task], kept: dict[str, dict[str, object]], command: str) -> None:
    """Write and print the comparison of the recipes that every seed has finished, and of those kept from before."""
    by_id = {one: [task for task in tasks if task.recipe_id == one] for one in finished}
    users = compare_users(by_id)
    measured = {one: describe_runs(its) | describe_terms(one) | users.get(one, {}) for one, its in by_id.items()}
    content = {
        "command": command,
        "dataset": DATASET,
        "fingerprint of the renumbered data": open_store(tasks[0].store).fingerprint,
        "protocol": Protocol.VALIDATED.value,
        "shape": {"width": WIDTH, "batch": BATCH_SIZE, "epochs": NUM_EPOCHS, "patience": PATIENCE},
        "same_here": SAME_HERE,
        "recipes": join(kept, measured),
        "machine": machine_facts(),
    }
    write(content)


def compute_again() -> None:
    """Compute the comparison from the recorded values of every seed."""
    content = json.loads(RESULT.read_text())
    content["recipes"] = {one: figures | describe_terms(one) for one, figures in content["recipes"].items()}
    write(content)


def write(content: dict[str, Any]) -> None:
    """Add the figures of the comparison to what was measured; write and print them."""
    content["recipes"], content["spread"] = compare_all(content["recipes"])
    RESULT.write_text(json.dumps(content, indent=2) + "\n")
    print(write_table(content["recipes"], base=BASE))


def describe_terms(recipe_id: str) -> dict[str, object]:
    """Return the terms of a recipe's number; only numbers of the same terms are compared."""
    recipe = resolve(read_chain(BUNDLES / recipe_id / "config" / f"{recipe_id}.gin", root=BUNDLES)).recipe
    return {
        "terms": {"candidates": recipe.dataset.candidates, "filter_all_seen": recipe.evaluation.filter_all_seen},
    }


def compare_users(by_id: dict[str, list[Task]]) -> dict[str, dict[str, object]]:
    """Return how many users there are, and the standard error over them of each recipe's difference to BASE.

    Recipes of other terms than BASE's have none.
    """
    comparable = [one for one in by_id if describe_terms(one) == describe_terms(BASE)]
    outputs = {str(task.output): one for one in comparable for task in by_id[one]}
    compared = compare(*outputs, baseline=by_id[BASE][0].output, metric=METRIC)
    found = {outputs[one.runs[0].path]: one.over_users for one in compared.recipes}
    return {one: describe_user_error(over) for one, over in found.items() if over is not None}


def describe_user_error(over: MeanDifference) -> dict[str, object]:
    """Return the standard error over users, from which interval and test follow."""
    assert over.num_pairs is not None
    assert over.half_width is not None
    return {
        "num_users": over.num_pairs,
        "difference_user_error": over.half_width / quantile(over.num_pairs - 1, level=LEVEL),
    }


def join(kept: dict[str, dict[str, object]], measured: dict[str, dict[str, object]]) -> dict[str, dict[str, object]]:
    """Return kept and measured figures, which must be of one BASE."""
    if kept and kept[BASE][METRIC] != measured[BASE][METRIC]:
        raise SystemExit("BASE gives other figures than those recorded; run all recipes again")
    return kept | measured


def compare_all(recipes: dict[str, dict[str, Any]]) -> tuple[dict[str, dict[str, Any]], dict[str, float]]:
    """Return the figures with those of the comparison, and the spread that the recipes share."""
    values = {
        one: dict(zip(figures["seeds"], figures[METRIC], strict=True))
        for one, figures in recipes.items()
        if figures["terms"] == recipes[BASE]["terms"]
    }
    found, spread = summarize(values, baseline=BASE)
    assert spread is not None
    others = {one: summarize({one: runs}, baseline=one)[0][one] for one, runs in list_others(recipes, values).items()}
    users = {one: judge_users(recipes[one], found[one]) for one in found if one != BASE}
    corrected = dict(zip(users, correct_by_holm(list(users.values())), strict=True))
    return {
        one: figures | describe(found.get(one) or others[one]) | {"users_p_holm": corrected.get(one)}
        for one, figures in recipes.items()
    }, {"value": spread.value, "degrees": spread.degrees}


def list_others(recipes: dict[str, dict[str, Any]], compared: Mapping[str, object]) -> dict[str, dict[int, float]]:
    """Return the values of the recipes whose terms are others: each is its own."""
    return {
        one: dict(zip(figures["seeds"], figures[METRIC], strict=True))
        for one, figures in recipes.items()
        if one not in compared
    }


def judge_users(figures: dict[str, Any], found: OverSeeds) -> float | None:
    """Return the p value of no difference over users."""
    assert found.difference is not None
    difference, error = found.difference.estimate.difference, figures["difference_user_error"]
    return judge(difference, error=error, degrees=figures.get("num_users", NUM_USERS) - 1).p_value


def describe(found: OverSeeds) -> dict[str, float | None]:
    """Return a recipe's figures over seeds by their names."""
    over = found.difference
    return {
        "mean": found.mean,
        "half_width": found.half_width,
        "difference": over.estimate.difference if over else None,
        "difference_half_width": over.estimate.half_width if over else None,
        "p_value": over.estimate.p_value if over else None,
        "p_holm": over.p_holm if over else None,
        "detectable": over.detectable if over else None,
    }


if __name__ == "__main__":
    main()
