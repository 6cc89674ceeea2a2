"""How far ranks move when the same weights are scored by another device or in another number format.

Usage: python -m benchmarks.number_formats [--steps 200] [--users 2048]      (uses a GPU where there is one)

A model of upstream's ml-20m HSTU base shape is trained for some steps on synthetic data of 27,000 items. Its users are
then ranked in float32 on the CPU, and again in each other way. A user *violates* a tolerance where the rank moved by
more places than there are candidates within the tolerance of the target's score. For comparison, the same is counted
for weights that are other ones: changed by noise of some share of each tensor's spread.
"""

import argparse
import copy
import json
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from benchmarks.gpu_check import ML_20M_GIN
from benchmarks.machine import machine_facts
from hstu_preserve.compute.determinism import repeatable_arithmetic
from hstu_preserve.compute.tf32 import rounding_to_tf32
from hstu_preserve.data.batches import list_history_item_ids
from hstu_preserve.data.store import Store
from hstu_preserve.evaluation.ranking import CandidateIndex
from hstu_preserve.evaluation.users import assemble_evaluation_batch
from hstu_preserve.gin_recipes.reader import read_chain
from hstu_preserve.gin_recipes.resolve import resolve
from hstu_preserve.inputs.histories import to_evaluation_histories
from hstu_preserve.model.recommender import Recommender
from hstu_preserve.records.recipe import Recipe
from hstu_preserve.training.loop import TrainingRun
from tests.data.stores_in_memory import synthesize

RESULT = Path(__file__).with_name("results") / "number_formats.json"
TOLERANCES = (1e-6, 1e-5, 1e-4, 1e-3, 2e-3, 4e-3, 8e-3)
NOISES = (1e-4, 1e-3, 1e-2, 5e-2)
BATCH = 256
GPU = torch.device("cuda")
CPU = torch.device("cpu")


@dataclass(frozen=True, kw_only=True)
class Ranked:
    """The users' ranks, and per tolerance how many candidates score as the target does within it."""

    rank: Tensor
    near: Tensor


def train(recipe: Recipe, store: Store, *, num_steps: int, device: torch.device) -> Recommender:
    """Return a model after so many steps."""
    run = TrainingRun(recipe, store, device=device)
    for step in range(num_steps):
        epoch, place = divmod(step, run.steps_per_epoch)
        run.take_step(run.split_users(epoch)[place], epoch=epoch, step=step)
    return run.model.eval()


@torch.no_grad()
def rank(model: Recommender, store: Store, *, num_users: int, device: torch.device, scores: torch.dtype) -> Ranked:
    """Rank the targets of the first users.

    Args:
        model: Any.
        store: The data.
        num_users: How many.
        device: Where it is computed.
        scores: The format of the embeddings that are multiplied.
    """
    model = copy.deepcopy(model).to(device)
    embedding_ID = model.item_table().index_select(0, model.candidate_I).to(scores)
    index = CandidateIndex(model.candidate_I, embedding_ID, max_item_id=store.max_item_id)
    parts = []
    for start in range(0, num_users, BATCH):
        users = np.arange(start, min(start + BATCH, num_users))
        batch = assemble_evaluation_batch(model.recipe, store, users, held_out_events=0)
        user_BD = model.encode_users(to_evaluation_histories(batch, device)).to(scores)
        score_BI = (user_BD @ index.embedding_DI).float()
        seen = torch.from_numpy(list_history_item_ids(store, users, held_out_events=0)).to(device)
        column_B1 = index.columns(torch.from_numpy(batch.target_ids).to(device))[:, None]
        eligible_BI = ~index.seen_mask(seen)
        gap_BI = score_BI - score_BI.gather(1, column_B1)
        higher_B = (eligible_BI & (gap_BI > 0)).sum(1)
        near = [(eligible_BI & (gap_BI.abs() <= tolerance)).sum(1) - 1 for tolerance in TOLERANCES]
        parts.append(torch.stack([higher_B + 1, *near]).cpu())
    found = torch.cat(parts, dim=1)
    return Ranked(rank=found[0], near=found[1:])


def compare(found: Ranked, recorded: Ranked) -> dict[str, object]:
    """Return how many users moved, and how many violate each tolerance."""
    move = (found.rank - recorded.rank).abs()
    gain = [(1 / torch.log2(one.rank + 1.0) * (one.rank <= 10)).mean().item() for one in (found, recorded)]
    return {
        "moved": int((move > 0).sum()),
        "largest_move": int(move.max()),
        "ndcg_at_10_difference": gain[0] - gain[1],
        "violations": {
            f"{tolerance:g}": int((move > near).sum()) for tolerance, near in zip(TOLERANCES, found.near, strict=True)
        },
    }


def disturb(model: Recommender, *, share: float) -> Recommender:
    """Return the model with noise of some share of each tensor's standard deviation."""
    disturbed = copy.deepcopy(model)
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for weight in disturbed.parameters():
            noise = torch.randn(weight.shape, generator=generator).to(weight.device)
            weight.add_(noise * share * weight.std())
    return disturbed


def measure(model: Recommender, store: Store, *, num_users: int, device: torch.device) -> dict[str, object]:
    """Return the comparison of each way to rank with float32 on the CPU."""

    def ranked(model: Recommender, *, on: torch.device = CPU, scores: torch.dtype = torch.float32) -> Ranked:
        return rank(model, store, num_users=num_users, device=on, scores=scores)

    with repeatable_arithmetic(tf32=False):
        recorded = ranked(model)
        found = {
            "bfloat16 scores on the CPU": ranked(model, scores=torch.bfloat16),
            "float16 scores on the CPU": ranked(model, scores=torch.float16),
        }
        with rounding_to_tf32():
            found["TF32 rounded on the CPU"] = ranked(model)
        if device == GPU:
            found["float32 on the GPU"] = ranked(model, on=GPU)
            found["bfloat16 scores on the GPU"] = ranked(model, on=GPU, scores=torch.bfloat16)
        found |= {f"noise of {share:g}, float32": ranked(disturb(model, share=share), on=device) for share in NOISES}
    if device == GPU:
        with repeatable_arithmetic(tf32=True):
            found["TF32 on the GPU"] = ranked(model, on=GPU)
            found |= {f"noise of {share:g}, TF32": ranked(disturb(model, share=share), on=device) for share in NOISES}
    return {name: compare(one, recorded) for name, one in found.items()}


def main(arguments: list[str]) -> int:
    """Train, rank in every way, print and record the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--users", type=int, default=2048)
    parser.add_argument("--items", type=int, default=27_000)
    options = parser.parse_args(arguments)
    device = GPU if torch.cuda.is_available() else CPU
    with tempfile.TemporaryDirectory() as folder:
        gin = Path(folder) / "ml-20m.gin"
        gin.write_text(ML_20M_GIN)
        recipe = resolve(read_chain(gin, root=None)).recipe
    store = synthesize(seed=1, num_users=8192, num_items=options.items, num_ratings=8192 * 100)
    start = time.monotonic()
    with repeatable_arithmetic(tf32=False):
        model = train(recipe, store, num_steps=options.steps, device=device).cpu()
    record = {
        "command": f"python -m benchmarks.number_formats --steps {options.steps} --users {options.users}",
        "device": torch.cuda.get_device_name(0) if device == GPU else "cpu",
        "users": options.users,
        "training_seconds": round(time.monotonic() - start, 1),
        "against_float32_on_the_cpu": measure(model, store, num_users=options.users, device=device),
        "machine": machine_facts(),
    }
    print(json.dumps(record, indent=2))
    RESULT.write_text(json.dumps(record, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
