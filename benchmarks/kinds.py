"""HSTU-TensorFlow's foundations and HSTU + MoL beside BASE on ml-latest-small, under every kind of evaluation.

Usage: python -m benchmarks.kinds --data FOLDER [--work FOLDER] [--seeds N] [--minutes M]
       python -m benchmarks.kinds --again

FOLDER holds `ml-latest-small/`; without it HSTU_PRESERVE_MOVIELENS is asked. The question is whether models keep their
order from kind to kind, so that all else is equal: one store (no user or movie left out), the rated movies as
candidates, a window of the last 50 events (what a model reads is what BASE's kind filters), D = 50, 2 blocks of 1 head,
a mixture of 4 x 2 logits of width 32, batches of 16 users, protocol `validated`, at most 60 epochs. Each training keeps
the epoch that is the best on validation under BASE's kind, and ends after 10 epochs without a better one. Losses,
negatives, optimizers, dropout and learning rates are each recipe's own. The checkpoint that is kept is then evaluated
under every kind.

A training that is done stays in the work folder, so that a run that was cut goes on. Writes
`benchmarks/results/kinds.json` and the table in `benchmarks/README.md`; with --again nothing is trained, and the table
is written anew from the recorded values.
"""

import json
from collections.abc import Mapping
from itertools import combinations
from pathlib import Path
from typing import Any, TypeAlias

from benchmarks.machine import machine_facts
from benchmarks.recipes import (
    BASE,
    DATASET,
    Task,
    change,
    is_done,
    make_parser,
    make_task,
    prepare_renumbered,
    run_tasks,
)
from benchmarks.scoreboard import replace_between
from hstu_preserve.bundle.layout import METRICS
from hstu_preserve.data.store import open_store
from hstu_preserve.primitives.json_values import Json
from hstu_preserve.records.evaluation import EvaluationRecord, ResultsRecord
from hstu_preserve.records.evaluation_kind import EvaluationKind
from hstu_preserve.records.recipe import Protocol, Recipe
from hstu_preserve.records.settings.encoders import FparecSettings, HstuSettings, ModelSettings, SasrecSettings
from hstu_preserve.studies.over_seeds import OverSeeds, summarize
from hstu_preserve.verbs.evaluate import evaluate

RESULT = Path(__file__).with_name("results") / "kinds.json"
MODELS = {
    BASE: "HSTU (BASE)",
    "paper-sasrec-ml-1m": "SASRec, as Meta trains it",
    "rails-hstu-mol-ml-1m": "HSTU + MoL",
    "foundations-sasrec-ml-1m": "SASRec, as published",
    "foundations-tisasrec-ml-1m": "TiSASRec",
    "foundations-fparec-ml-1m": "FPARec, as released",
    "foundations-parec-ml-1m": "PARec, as released",
}
METRIC = "ndcg@10"
MIXTURE: dict[str, Json] = {
    "query_dot_product_groups": 4,
    "item_dot_product_groups": 2,
    "dot_product_dimension": 32,
    "query_hidden_dim": 128,
    "gating_query_hidden_dim": 32,
    "gating_item_hidden_dim": 32,
    "gating_qi_hidden_dim": 32,
    "uid_embedding_hash_sizes": [610],
}
"""Of logits, at the small shape: rails' 8 x 4 x 64 with widths of 128 and 512 takes one core minutes for an epoch. Each
user has an embedding, as on ml-1m."""
WINDOW = 50
WIDTH = 50
BATCH_SIZE = 16
NUM_EPOCHS = 60
EVALUATED_EVERY = 2
PATIENCE = 10
BEGIN, END = "<!-- kinds: begin -->", "<!-- kinds: end -->"
Values: TypeAlias = dict[str, dict[int, float]]
"""The metric by recipe and seed."""


def main() -> None:
    """Train what is not trained yet, evaluate, record and print."""
    options = make_parser(__doc__, work=Path("benchmarks/work/kinds")).parse_args()
    if not options.again:
        measure(options.data, options.work, num_seeds=options.seeds, minutes=options.minutes)
    content = json.loads(RESULT.read_text())
    by_kind = {kind: summarize_kind(content["recipes"], kind) for kind in EvaluationKind}
    content["models"] = MODELS
    content["summary"] = {kind.value: describe(found) for kind, found in by_kind.items()}
    content["pairs"] = len(list(combinations(MODELS, 2)))
    content["pairs in another order"] = {kind.value: list_changes(by_kind, kind) for kind in EvaluationKind}
    RESULT.write_text(json.dumps(content, indent=2) + "\n")
    print(replace_between((BEGIN, END), list_rows(by_kind)))


def measure(data: Path, work: Path, *, num_seeds: int, minutes: float) -> None:
    """Train, evaluate under every kind, and record."""
    store = prepare_renumbered(data, work)
    seeds = range(num_seeds)
    tasks = [make_task(one, seed=seed, work=work, store=store, shrink=shrink) for seed in seeds for one in MODELS]
    run_tasks([task for task in tasks if not is_done(task)], minutes=minutes)
    if unfinished := [f"{task.recipe_id} seed {task.seed}" for task in tasks if not is_done(task)]:
        raise SystemExit(f"not finished: {', '.join(unfinished)}; run the same command again")
    content = {
        "command": f"python -m benchmarks.kinds --seeds {num_seeds}",
        "dataset": DATASET,
        "fingerprint of the renumbered data": open_store(store).fingerprint,
        "protocol": Protocol.VALIDATED.value,
        "candidates": "rated",
        "selected under": EvaluationKind.WINDOW.value,
        "shape": {"width": WIDTH, "window": WINDOW, "batch": BATCH_SIZE, "epochs": NUM_EPOCHS, "patience": PATIENCE},
        "recipes": {one: describe_runs([task for task in tasks if task.recipe_id == one]) for one in MODELS},
        "machine": machine_facts(),
    }
    RESULT.write_text(json.dumps(content, indent=2) + "\n")


def shrink(recipe: Recipe, *, seed: int) -> Recipe:
    """Return the recipe with the shape, the data and the selection that all of them share; the rest is its own."""
    changed: dict[str, dict[str, Json]] = {
        "dataset": {
            "name": DATASET,
            "fingerprint": None,
            "protocol": Protocol.VALIDATED.value,
            "max_sequence_length": WINDOW,
            "candidates": "rated",
            "min_user_events": None,
            "min_item_events": None,
        },
        "model": {"item_embedding_dim": WIDTH, "num_heads": 1, "num_blocks": 2} | list_widths(recipe.model),
        "training": {
            "random_seed": seed,
            "num_epochs": NUM_EPOCHS,
            "patience": PATIENCE,
            "local_batch_size": BATCH_SIZE,
            "save_ckpt_every_n": NUM_EPOCHS,
        },
        "evaluation": {"full_eval_every_n": EVALUATED_EVERY, "filter_all_seen": False, "kind": None},
    }
    if recipe.mol is not None:
        changed["mol"] = MIXTURE
    return change(recipe, changed)


def list_widths(settings: ModelSettings) -> dict[str, Json]:
    """Return the widths that an encoder has beside the embedding's."""
    if isinstance(settings, HstuSettings):
        return {"dqk": WIDTH, "dv": WIDTH}
    if isinstance(settings, SasrecSettings | FparecSettings):
        return {"ffn_hidden_dim": WIDTH}
    return {}


def describe_runs(tasks: list[Task]) -> dict[str, object]:
    """Return what a recipe's trainings gave under each kind, seed by seed."""
    results = [ResultsRecord.from_json((task.output / METRICS).read_bytes(), source=METRICS) for task in tasks]
    return {
        "seeds": [task.seed for task in tasks],
        "best epoch": [result.final.epoch for result in results],
        "core_seconds": [float((task.output.parent / f"{task.output.name}.seconds").read_text()) for task in tasks],
        "kinds": join_kinds([evaluate_every_kind(task) for task in tasks]),
    }


def evaluate_every_kind(task: Task) -> tuple[EvaluationRecord, ...]:
    """Return the kept checkpoint's test evaluation under each kind."""
    result = evaluate(task.output, data=task.store, device="cpu", also=("all",))
    return (result.evaluation, *result.also)


def join_kinds(runs: list[tuple[EvaluationRecord, ...]]) -> dict[str, dict[str, list[float | None]]]:
    """Return two metrics by kind, one value for each run."""
    return {
        kind.value: {
            metric: [one.metrics[metric] for run in runs for one in run if one.effective_kind is kind]
            for metric in ("ndcg@10", "hr@10")
        }
        for kind in EvaluationKind
    }


def summarize_kind(recipes: Mapping[str, Mapping[str, Any]], kind: EvaluationKind) -> dict[str, OverSeeds]:
    """Return every recipe over its seeds under one kind, compared with BASE."""
    values: Values = {
        one: dict(zip(figures["seeds"], figures["kinds"][kind.value][METRIC], strict=True))
        for one, figures in recipes.items()
    }
    return summarize(values, baseline=BASE)[0]


def list_rows(by_kind: Mapping[EvaluationKind, Mapping[str, OverSeeds]]) -> list[str]:
    """Return the table: a model's NDCG@10 and its place under each kind, in the order of BASE's kind."""
    places = {kind: order(found) for kind, found in by_kind.items()}
    lines = [f"| NDCG@10, place | {' | '.join(kind.words for kind in by_kind)} |", "|---" * (len(by_kind) + 1) + "|"]
    for one in places[EvaluationKind.WINDOW]:
        cells = [
            f"{found[one].mean:.3f} ± {found[one].half_width or 0:.3f}, {places[kind].index(one) + 1}"
            for kind, found in by_kind.items()
        ]
        lines.append(f"| {MODELS[one]} | {' | '.join(cells)} |")
    return lines


def order(found: Mapping[str, OverSeeds]) -> list[str]:
    """Return the recipes, the best mean first."""
    return sorted(found, key=lambda one: -found[one].mean)


def list_changes(by_kind: Mapping[EvaluationKind, Mapping[str, OverSeeds]], kind: EvaluationKind) -> list[list[str]]:
    """Return the pairs that a kind orders otherwise than BASE's does: first the model that is better under it."""
    first, found = by_kind[EvaluationKind.WINDOW], by_kind[kind]
    return [[other, one] for one, other in combinations(order(first), 2) if found[one].mean < found[other].mean]


def describe(found: Mapping[str, OverSeeds]) -> dict[str, dict[str, float | None]]:
    """Return each model's mean and its difference to BASE, with 95 % half widths, the best first."""
    return {
        one: {
            "mean": found[one].mean,
            "half_width": found[one].half_width,
            "difference": over.estimate.difference if (over := found[one].difference) else None,
            "difference_half_width": over.estimate.half_width if over else None,
            "p_holm": over.p_holm if over else None,
        }
        for one in order(found)
    }


if __name__ == "__main__":
    main()
