"""Users a second of an evaluation: the fast path, the reference path and Meta's evaluation, in turns in one process.

Usage: python -m benchmarks.evaluation [--reference FOLDER] [--shape NAME] [--users N] [--rounds N] [--threads N]

Each shape is measured in two processes, one with glibc's allocator as it is and one with an allocator that keeps its
pages.

FOLDER (or the environment variable HSTU_PRESERVE_REFERENCE) holds a checkout of Meta's generative-recommenders, which
needs fbgemm and gin. Without it only the two paths of ours are compared. The model has random weights, the same for all
three; data are made up, of ml-1m's shape and of a cut of ml-20m's. All are given the same users, an even sample of the
store's, whose batches our own loader assembles for Meta's code, too: its own one is far slower. Writes
`benchmarks/results/evaluation.json` and the table in `benchmarks/README.md`; with --shape, the other shape's figures
stay.
"""

import argparse
import importlib
import json
import os
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from benchmarks.machine import machine_facts
from benchmarks.own_process import ALLOCATORS, read_figures
from benchmarks.peer import build_model
from benchmarks.scoreboard import replace_between
from hstu_preserve.compute.determinism import initialization_generators, repeatable_arithmetic
from hstu_preserve.compute.world import ALONE
from hstu_preserve.data.store import Store
from hstu_preserve.evaluation.grouped.users import make_steps, order_by_length
from hstu_preserve.evaluation.ranks import concatenate
from hstu_preserve.evaluation.steps import Steps
from hstu_preserve.evaluation.users import assemble_evaluation_batch, rank_users
from hstu_preserve.gin_recipes.reader import read_chain
from hstu_preserve.gin_recipes.resolve import resolve
from hstu_preserve.inputs.histories import to_evaluation_histories
from hstu_preserve.inputs.items import describe_items
from hstu_preserve.model.initialization import initialize
from hstu_preserve.model.recommender import Recommender
from hstu_preserve.model.upstream_weights import to_upstream
from tests.data.stores_in_memory import synthesize

BUNDLES = Path(__file__).resolve().parents[1] / "bundles"
RESULT = Path(__file__).with_name("results") / "evaluation.json"
MARKS = ("<!-- evaluation: begin -->", "<!-- evaluation: end -->")
CPU = torch.device("cpu")
RESEARCH = "generative_recommenders.research"
FAST, REFERENCE_PATH, PEER = "ours, fast", "ours, reference path", "Meta's code"


@dataclass(frozen=True, kw_only=True)
class Shape:
    """A recipe and the made-up store that it is evaluated on."""

    recipe_id: str
    num_users: int
    num_items: int
    num_ratings: int
    sample: int


SHAPES = {
    "ml-1m": Shape(recipe_id="paper-hstu-ml-1m", num_users=6040, num_items=3706, num_ratings=1_000_209, sample=1280),
    "ml-20m": Shape(recipe_id="paper-hstu-ml-20m", num_users=2000, num_items=26744, num_ratings=289_000, sample=512),
}

Ranks = npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Setup:
    """The model, the store and the users that are ranked."""

    model: Recommender
    store: Store
    users: Ranks


def main() -> None:
    """Measure, record and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    reference = os.environ.get("HSTU_PRESERVE_REFERENCE")
    parser.add_argument("--reference", type=Path, default=Path(reference) if reference else None)
    parser.add_argument("--shape", choices=SHAPES, help="this one alone")
    parser.add_argument("--users", type=int, help="users of the sample")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--in-turns", choices=SHAPES, help="rank a shape's users in this process; prints JSON")
    options = parser.parse_args()
    if options.in_turns:
        print(json.dumps(rank_in_turns(options.in_turns, options)))
    else:
        record([options.shape] if options.shape else list(SHAPES), options)


def record(names: list[str], options: argparse.Namespace) -> None:
    """Measure the shapes, each in a process for each allocator; write the result and the table."""
    content: dict[str, Any] = json.loads(RESULT.read_text()) if RESULT.exists() else {"shapes": {}}
    chosen = ["--rounds", str(options.rounds), "--threads", str(options.threads)]
    chosen += [] if options.users is None else ["--users", str(options.users)]
    peer = [] if options.reference is None else ["--reference", str(options.reference)]
    for name in names:
        content["shapes"][name] = {
            allocator: read_figures(
                "-m", "benchmarks.evaluation", "--in-turns", name, *chosen, *peer, environment=environment
            )
            for allocator, environment in ALLOCATORS.items()
        }
        print(json.dumps({name: content["shapes"][name]}, indent=1), flush=True)
    content["command"] = f"python -m benchmarks.evaluation --reference FOLDER {' '.join(chosen)}"
    content["machine"] = machine_facts()
    RESULT.write_text(json.dumps(content, indent=2) + "\n")
    print(replace_between(MARKS, list_lines(content["shapes"])))


def rank_in_turns(name: str, options: argparse.Namespace) -> dict[str, Any]:
    """Return what a shape's users were ranked with, how fast and how alike."""
    torch.set_num_threads(options.threads)
    setup = set_up(SHAPES[name], num_users=options.users or SHAPES[name].sample)
    with repeatable_arithmetic(tf32=False), torch.no_grad():
        figures = compare(setup, reference=options.reference, rounds=options.rounds)
    return figures | {"threads": options.threads, "load average": round(os.getloadavg()[0], 1)}


def list_lines(shapes: dict[str, Any]) -> list[str]:
    """Return the table's lines: users a second of ours, and the ratios to it; of both allocators."""
    columns = (
        "shape",
        "users",
        "fast path, users a second",
        "× our reference path",
        "× Meta's code",
        "… by processor time",
    )
    lines = [f"| {' | '.join(columns)} |", "|---" * len(columns) + "|"]
    for name in SHAPES:
        if name in shapes:
            both = [shapes[name][allocator] for allocator in ALLOCATORS]
            cells = [
                name,
                str(both[0]["users"]),
                "; ".join(f"{one['users a second'][FAST]:,.0f}" for one in both),
                "; ".join(f"{one['times as fast'][REFERENCE_PATH]:.1f}" for one in both),
                "; ".join(tell(one["times as fast"].get(PEER)) for one in both),
                "; ".join(tell(one["times as fast, by processor time"].get(PEER)) for one in both),
            ]
            lines.append(f"| {' | '.join(cells)} |")
    return lines


def tell(ratio: float | None) -> str:
    """Return a ratio in words, also one that was not measured."""
    return "not measured" if ratio is None else f"{ratio:.1f}"


def set_up(shape: Shape, *, num_users: int) -> Setup:
    """Return a model of random weights, a made-up store and an even sample of its users."""
    (file,) = (BUNDLES / shape.recipe_id / "config").glob("*.gin")
    recipe = resolve(read_chain(file, root=BUNDLES)).recipe
    store = synthesize(seed=7, num_users=shape.num_users, num_items=shape.num_items, num_ratings=shape.num_ratings)
    model = Recommender(recipe, describe_items(store, recipe))
    initialize(model, initialization_generators(1))
    users = np.unique(np.linspace(0, store.num_users - 1, num_users).astype(np.int64))
    return Setup(model=model.eval(), store=store, users=users)


def compare(setup: Setup, *, reference: Path | None, rounds: int) -> dict[str, Any]:
    """Return users a second of each contender, over rounds in which they take turns."""
    contenders: dict[str, Callable[[], Ranks]] = {
        FAST: lambda: rank_fast(setup),
        REFERENCE_PATH: lambda: rank_ours(setup, steps=None),
    }
    if reference is not None:
        contenders[PEER] = load_reference(setup, reference)
    ranks = {name: rank() for name, rank in contenders.items()}  # warms everything up, too
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    cpu_seconds: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(rounds):
        for name, rank in contenders.items():
            start, cpu_start = time.perf_counter(), time.process_time()
            rank()
            seconds[name].append(time.perf_counter() - start)
            cpu_seconds[name].append(time.process_time() - cpu_start)
    num_users = len(setup.users)
    return {
        "users": num_users,
        "rounds": rounds,
        "users a second": {name: round(num_users / statistics.median(spent), 1) for name, spent in seconds.items()},
        "times as fast": {name: median_ratio(spent, seconds[FAST]) for name, spent in seconds.items() if name != FAST},
        "times as fast, by processor time": {
            name: median_ratio(spent, cpu_seconds[FAST]) for name, spent in cpu_seconds.items() if name != FAST
        },
        "users with another rank": {name: int((found != ranks[FAST]).sum()) for name, found in ranks.items()},
    }


def median_ratio(slower: list[float], faster: list[float]) -> float:
    """Return the median over rounds of how many times as long one took."""
    return round(statistics.median(one / other for one, other in zip(slower, faster, strict=True)), 2)


def rank_ours(setup: Setup, *, steps: Steps | None) -> Ranks:
    """Return upstream's rank of each user by ours, in the order of the users."""
    batches = rank_users(setup.model, setup.store, setup.users, held_out_events=0, device=CPU, steps=steps)
    return concatenate([batch.users for batch in batches]).ranks_topk


def rank_fast(setup: Setup) -> Ranks:
    """Return upstream's rank of each user by the fast path, its check now and then included."""
    limit = setup.model.recipe.dataset.max_sequence_length
    order = order_by_length(setup.store, setup.users, held_out_events=0, max_sequence_length=limit)
    ordered = Setup(model=setup.model, store=setup.store, users=setup.users[order])
    return rank_ours(ordered, steps=make_steps(setup.model, world=ALONE))[np.argsort(order)]


def load_reference(setup: Setup, folder: Path) -> Callable[[], Ranks]:
    """Return the evaluation of Meta's code, with the weights of our model."""
    sys.path.insert(0, str(folder.resolve()))
    evaluation = importlib.import_module(f"{RESEARCH}.data.eval")
    features = importlib.import_module(f"{RESEARCH}.modeling.sequential.features")
    top_k = importlib.import_module(f"{RESEARCH}.indexing.utils")
    losses = importlib.import_module(f"{RESEARCH}.modeling.sequential.autoregressive_losses")
    model, recipe = build_reference(setup.model), setup.model.recipe
    item_ids = setup.model.candidate_I.tolist()
    sampler = losses.LocalNegativesSampler(
        num_items=len(setup.model.item_id_J) - 1,
        item_emb=model.get_submodule("_embedding_module._item_emb"),
        all_item_ids=item_ids,
        l2_norm=recipe.loss.item_l2_norm,
        l2_norm_eps=recipe.loss.l2_norm_eps,
    )

    def rank() -> Ranks:
        state = evaluation.get_eval_state(
            model=model,
            all_item_ids=item_ids,
            negatives_sampler=sampler,
            top_k_module_fn=lambda embeddings, ids: top_k.get_top_k_module(
                recipe.evaluation.top_k_method, model, embeddings, ids
            ),
            device="cpu",
        )
        found = []
        for start in range(0, len(setup.users), recipe.evaluation.eval_batch_size):
            users = setup.users[start : start + recipe.evaluation.eval_batch_size]
            batch = assemble_evaluation_batch(recipe, setup.store, users, held_out_events=0)
            histories = to_evaluation_histories(batch, CPU)
            metrics = evaluation.eval_metrics_v2_from_tensors(
                state,
                model,
                features.SequentialFeatures(
                    past_lengths=histories.length_B,
                    past_ids=histories.item_BN,
                    past_embeddings=None,
                    past_payloads={"timestamps": histories.time_BN, "ratings": histories.half_star_BN},
                ),
                target_ids=torch.from_numpy(batch.target_ids)[:, None],
                target_ratings=torch.from_numpy(batch.target_half_stars)[:, None] // 2,
                user_max_batch_size=recipe.evaluation.eval_user_max_batch_size,
            )
            found.append((1 / metrics["mrr"]).round().long())
        return torch.cat(found).numpy()

    return rank


def build_reference(ours: Recommender) -> Any:
    """Return Meta's model with our weights."""
    model = build_model(ours.recipe, max_item_id=len(ours.item_id_J) - 1)
    model.load_state_dict({name.removeprefix("module."): value for name, value in to_upstream(ours).items()})
    return model.eval()


if __name__ == "__main__":
    main()
