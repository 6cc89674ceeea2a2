"""What a GPU changes, on the embedded sample and at upstream's ml-20m HSTU base shape; skips where there is none.

Usage: python -m benchmarks.gpu_check        (torch 2.11 or newer with CUDA; nothing is downloaded)

Prints, and writes to `benchmarks/results/gpu.json`: users whose rank moved between CPU and GPU on the sample's
checkpoint, whether two GPU trainings of the sample end in one state, whether one that was cut off and resumed does,
what several GPUs change of its losses, seconds per training step at the ml-20m shape, and how far the gradient of a
small table is from its value in double precision.
"""

import contextlib
import json
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

import torch

from benchmarks.machine import machine_facts
from hstu_preserve.bundle.layout import METRICS
from hstu_preserve.bundle.layout import STEPS as STEP_LOSSES
from hstu_preserve.compute.determinism import repeatable_arithmetic
from hstu_preserve.evaluation.ranks import compare_ranks, read_ranks
from hstu_preserve.gin_recipes.reader import read_chain
from hstu_preserve.gin_recipes.resolve import resolve
from hstu_preserve.kernels.small_table import add_up
from hstu_preserve.model.time_buckets import NUM_TIME_BUCKETS
from hstu_preserve.primitives.voice import Progress, Voice
from hstu_preserve.records.evaluation import ResultsRecord
from hstu_preserve.runs.durability import Durability
from hstu_preserve.training.loop import TrainingRun
from hstu_preserve.verbs.evaluate import evaluate
from hstu_preserve.verbs.train import train
from hstu_preserve.verbs.unpack import unpack
from tests.data.stores_in_memory import synthesize

RESULT = Path(__file__).with_name("results") / "gpu.json"
STEPS = 20
CUT_AFTER = 45
ML_20M_GIN = """
train_fn.dataset_name = "synthetic"
train_fn.main_module = "HSTU"
train_fn.item_embedding_dim = 256
hstu_encoder.num_blocks = 4
hstu_encoder.num_heads = 4
hstu_encoder.dqk = 64
hstu_encoder.dv = 64
hstu_encoder.linear_dropout_rate = 0.2
train_fn.num_negatives = 128
train_fn.sampling_strategy = "local"
train_fn.item_l2_norm = True
train_fn.weight_decay = 0
train_fn.enable_tf32 = True
"""


class CutOffError(Exception):
    """What ends a training in the middle."""


def compare_evaluation(work: Path) -> dict[str, int]:
    """Return how many of the sample's users have another rank on the GPU."""
    for device in ("cpu", "cuda"):
        evaluate("sample", ranks=work / f"{device}.npz", device=device)
    found, recorded = (read_ranks(work / f"{device}.npz", source=device) for device in ("cuda", "cpu"))
    comparison = compare_ranks(found, recorded)
    return {
        "users": comparison.num_users,
        "users_moved": comparison.num_moved,
        "users_moved_without_near_tie": comparison.num_moved_without_near_tie,
        "largest_move": comparison.largest_move,
    }


def compare_trainings(work: Path) -> dict[str, bool]:
    """Return whether training the sample twice on the GPU ends in one state."""
    unpack("sample", output=work / "sample")
    runs = [
        train("sample-hstu-synthetic", data=work / "sample" / "data", device="cuda", output=work / name)
        for name in ("first", "second")
    ]
    return {
        "same_state": runs[0].results.state_sha256 == runs[1].results.state_sha256,
        "same_ranks": runs[0].results.final.ranks_sha256 == runs[1].results.final.ranks_sha256,
    }


def compare_resumption(work: Path) -> dict[str, bool]:
    """Return whether a training that was cut off within an epoch and resumed ends in the state of the others."""

    def cut_off(progress: Progress) -> None:
        if progress.activity.startswith("epoch") and progress.completed == CUT_AFTER:
            raise CutOffError

    run = partial(train, "sample-hstu-synthetic", data=work / "sample" / "data", device="cuda", output=work / "cut")
    with contextlib.suppress(CutOffError):
        run(durability=Durability(minutes=0), voice=Voice(show=cut_off))
    resumed = run(durability=Durability(resume=True))
    return {"same_state": resumed.results.state_sha256 == read_state(work / "first")}


def compare_processes(work: Path) -> dict[str, float] | str:
    """Return the largest relative difference of a step's loss between one GPU and all of them."""
    count = torch.cuda.device_count()
    if count < 2:
        return "skipped: one GPU"
    command = [
        *(sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(count)),
        *("-m", "hstu_preserve", "train", "sample-hstu-synthetic", "--data", str(work / "sample" / "data")),
        *("--device", "cuda", "--output", str(work / "several")),
    ]
    subprocess.run(command, check=True)
    one, several = (read_losses(work / name) for name in ("first", "several"))
    return {
        "processes": count,
        "largest_relative_difference": max(abs(a - b) / abs(b) for a, b in zip(several, one, strict=True)),
    }


def compare_small_table() -> dict[str, float | bool]:
    """Return error and milliseconds of a small table's gradient, for as many gaps of time as a step of ml-20m has."""
    generator = torch.Generator(device="cuda").manual_seed(1)
    index = torch.randint(NUM_TIME_BUCKETS + 1, (128, 211, 211), device="cuda", generator=generator)
    value = torch.randn(index.shape, device="cuda", generator=generator)
    sums = [add_up(value, index, num_entries=NUM_TIME_BUCKETS + 1) for _ in range(2)]
    exact = torch.zeros_like(sums[0], dtype=torch.float64).index_add_(0, index.flatten(), value.flatten().double())
    start = time.perf_counter()
    for _ in range(STEPS):
        add_up(value, index, num_entries=NUM_TIME_BUCKETS + 1)
    torch.cuda.synchronize()
    return {
        "relative_error": float((sums[0] - exact).norm() / exact.norm()),
        "same_bits": torch.equal(*sums),
        "milliseconds": round((time.perf_counter() - start) / STEPS * 1000, 4),
    }


def read_state(run: Path) -> str:
    """Return the digest of a run's final state."""
    return ResultsRecord.from_json((run / METRICS).read_bytes(), source=METRICS).state_sha256


def read_losses(run: Path) -> list[float]:
    """Return every step's loss."""
    return [float.fromhex(json.loads(line)["loss"]) for line in (run / STEP_LOSSES).read_text().splitlines()]


def time_steps(work: Path) -> dict[str, float]:
    """Return seconds per step and peak memory at the ml-20m base shape, on synthetic data."""
    gin = work / "ml-20m.gin"
    gin.write_text(ML_20M_GIN)
    recipe = resolve(read_chain(gin, root=None)).recipe
    store = synthesize(seed=1, num_users=STEPS * 128, num_items=27_000, num_ratings=STEPS * 128 * 150)
    with repeatable_arithmetic(tf32=True):
        run = TrainingRun(recipe, store, device=torch.device("cuda"))
        batches = run.split_users(0)
        run.take_step(batches[0], epoch=0, step=0)
        torch.cuda.synchronize()
        start = time.perf_counter()
        for step, users in enumerate(batches[1:], start=1):
            run.take_step(users, epoch=0, step=step)
        torch.cuda.synchronize()
    seconds = (time.perf_counter() - start) / (len(batches) - 1)
    return {"seconds_per_step": round(seconds, 4), "peak_gigabytes": torch.cuda.max_memory_allocated() / 1e9}


def main() -> int:
    """Run the checks, print and record the figures."""
    if not torch.cuda.is_available():
        print("skipped: no GPU here")
        return 0
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        record = {
            "command": "python -m benchmarks.gpu_check",
            "gpu": torch.cuda.get_device_name(0),
            "evaluation_gpu_against_cpu": compare_evaluation(work),
            "training_twice": compare_trainings(work),
            "training_cut_off_and_resumed": compare_resumption(work),
            "training_on_several": compare_processes(work),
            "ml_20m_shape": time_steps(work),
            "gradient_of_a_small_table": compare_small_table(),
            "machine": machine_facts(),
        }
    print(json.dumps(record, indent=2))
    RESULT.write_text(json.dumps(record, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
