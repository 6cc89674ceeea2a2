"""What `benchmarks.gpu` measures of one shape: its data, steps, evaluation, ranks on another device, a profile."""

import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch.profiler import ProfilerActivity, profile

from benchmarks.roofline import Ceilings, Size, count_work, measure_size, wait
from hstu_preserve.compute.determinism import repeatable_arithmetic
from hstu_preserve.data.arrays import Int32Array
from hstu_preserve.data.ratings import join_ratings
from hstu_preserve.data.split import Part
from hstu_preserve.data.store import Store
from hstu_preserve.evaluation.evaluated import Evaluated
from hstu_preserve.evaluation.moves import measure_moves
from hstu_preserve.evaluation.one_evaluation import evaluate_model
from hstu_preserve.gin_recipes.overlay import read_changed_chain
from hstu_preserve.gin_recipes.resolve import resolve
from hstu_preserve.model.objective import count_supervised
from hstu_preserve.primitives.json_values import Json
from hstu_preserve.primitives.voice import Voice
from hstu_preserve.records.recipe import Recipe
from hstu_preserve.records.store import TiePolicy
from hstu_preserve.synthetic.stores import DEFAULT_NAME, make_data, make_origin
from hstu_preserve.training.loop import TrainingRun
from hstu_preserve.verdict.number_formats import TOLERANCES, NumberFormat
from tests.data.stores_in_memory import build_store

BUNDLES = Path(__file__).resolve().parents[1] / "bundles"
SEED = 1
EPOCHS = 100
EVALUATED_BATCHES = 20
"""Of an evaluation that is extrapolated."""
RANKED_BATCHES = 4
"""Of users that the processor ranks, too."""
WARM_UP = 5
PROFILED_STEPS = 5
LISTED_KERNELS = 20
LAUNCHES = ("cudaLaunchKernel", "cudaLaunchKernelExC", "cuLaunchKernel", "cuLaunchKernelEx")
CPU = torch.device("cpu")


@dataclass(frozen=True, kw_only=True)
class DataShape:
    """How much data there is, and how its items are numbered: a table has a row for each id, given or not."""

    num_users: int
    num_items: int
    max_item_id: int
    num_ratings: int


ML_1M = DataShape(num_users=6_040, num_items=3_883, max_item_id=3_952, num_ratings=1_000_209)
ML_20M = DataShape(num_users=138_493, num_items=27_278, max_item_id=131_262, num_ratings=20_000_263)
TINY = DataShape(num_users=40, num_items=50, max_item_id=90, num_ratings=400)


@dataclass(frozen=True, kw_only=True)
class Shape:
    """A recipe on data of a shape.

    Attributes:
        recipe_id: Of a folder in `bundles/`.
        data: Made up.
        is_evaluated_whole: Whether all users are ranked; else a few batches, and the rest extrapolated.
    """

    recipe_id: str
    data: DataShape
    is_evaluated_whole: bool = False


SHAPES = {
    "ml-20m base": Shape(recipe_id="paper-hstu-ml-20m", data=ML_20M, is_evaluated_whole=True),
    "ml-1m base": Shape(recipe_id="paper-hstu-ml-1m", data=ML_1M, is_evaluated_whole=True),
    "iter8-exp4": Shape(recipe_id="iter8-exp4-SOTA", data=ML_20M),
    "ml-1m large": Shape(recipe_id="paper-hstu-large-ml-1m", data=ML_1M),
    "ml-20m large": Shape(recipe_id="paper-hstu-large-ml-20m", data=ML_20M),
}
"""The most wanted first: the last ones are left out if time runs short."""
SMALL = (
    "train_fn.item_embedding_dim = 8",
    "train_fn.max_sequence_length = 12",
    "train_fn.local_batch_size = 8",
    "train_fn.num_negatives = 4",
    "train_fn.eval_batch_size = 8",
    "hstu_encoder.num_blocks = 2",
    "hstu_encoder.dqk = 4",
    "hstu_encoder.dv = 4",
)
"""What makes a shape small enough to be tried on any processor."""
SMALL_COMPRESSION = (
    "input_compression.recent_len = 8",
    "input_compression.ratio = 2",
    "input_compression.num_tokens = 3",
)


def read_recipe(recipe_id: str, *, settings: tuple[str, ...]) -> Recipe:
    """Return what a recipe's chain resolves to with more bindings after its own."""
    path = BUNDLES / recipe_id / "config" / f"{recipe_id}.gin"
    return resolve(read_changed_chain(path, root=BUNDLES, settings=settings)).recipe


def shrink(shape: Shape) -> tuple[Shape, tuple[str, ...]]:
    """Return a shape for a dry run, and the gin bindings that make its recipe small."""
    is_compressed = read_recipe(shape.recipe_id, settings=()).is_compressed
    return replace(shape, data=TINY), SMALL + (SMALL_COMPRESSION if is_compressed else ())


def make_store(shape: DataShape) -> Store:
    """Return made-up data of a shape, its items' ids spread up to the largest one."""
    data = make_data(SEED, num_users=shape.num_users, num_items=shape.num_items, num_ratings=shape.num_ratings)

    def spread_out(item_ids: Int32Array) -> Int32Array:
        return (item_ids.astype(np.int64) * shape.max_item_id // shape.num_items).astype(np.int32)

    ratings, movies = join_ratings(data.parts), data.movies
    return build_store(
        replace(ratings, item_ids=spread_out(ratings.item_ids)),
        replace(movies, item_ids=spread_out(movies.item_ids)),
        name=DEFAULT_NAME,
        tie_policy=TiePolicy.STABLE,
        origin=make_origin(SEED),
    )


def take_steps(run: TrainingRun, *, start: int, count: int) -> None:
    """Take so many steps of a training, one epoch after the other, and wait for the last."""
    batches = run.split_users(start // run.steps_per_epoch)
    for step in range(start, start + count):
        epoch, place = divmod(step, run.steps_per_epoch)
        if not place:
            batches = run.split_users(epoch)
        losses, _ = run.take_step(batches[place], epoch=epoch, step=step)
        float(losses.total)  # as the loop does, which logs it
    wait(run.device)


def measure_steps(run: TrainingRun, *, num_steps: int, ceilings: Ceilings) -> dict[str, Json]:
    """Return the time of a training's steps, and how near the device's limits that is."""
    is_cuda = run.device.type == "cuda"
    take_steps(run, start=0, count=WARM_UP)
    if is_cuda:
        torch.cuda.reset_peak_memory_stats(run.device)
    start = time.perf_counter()
    take_steps(run, start=WARM_UP, count=num_steps)
    seconds = (time.perf_counter() - start) / num_steps
    size = measure_batches(run, start=WARM_UP, count=min(num_steps, run.steps_per_epoch))
    work = count_work(run.recipe, size)
    shortest = ceilings.seconds(work)
    return {
        "steps": num_steps,
        "step_milliseconds": round(seconds * 1000, 3),
        "tokens_per_second": round(size.tokens / seconds),
        "tokens_per_step": size.tokens,
        "gigaflop_per_step": round(work.flops / 1e9, 4),
        "gigabytes_per_step": round(work.num_bytes / 1e9, 4),
        "roofline_milliseconds": round(shortest * 1000, 4),
        "share_of_the_roofline": round(shortest / seconds, 5),
        "peak_gigabytes": round(torch.cuda.max_memory_allocated(run.device) / 1e9, 3) if is_cuda else None,
        "epoch_seconds": round(seconds * run.steps_per_epoch, 3),
        "steps_per_epoch": run.steps_per_epoch,
    }


@torch.no_grad()
def measure_batches(run: TrainingRun, *, start: int, count: int) -> Size:
    """Return the mean size of so many steps, by the batches of the first epoch."""
    sizes = []
    parameters = sum(one.numel() for one in run.model.parameters())
    batches = run.split_users(0)
    for step in range(start, start + count):
        histories = run.assemble(batches[step % len(batches)])
        tokens = run.model.make_tokens(run.model.embed(histories).event_BLD, histories)
        supervised = count_supervised(run.model, histories)
        sizes.append(measure_size(tokens.length_B, supervised=supervised, parameters=parameters))
    return Size(
        tokens=sum(size.tokens for size in sizes) // len(sizes),
        pairs=sum(size.pairs for size in sizes) // len(sizes),
        supervised=sum(size.supervised for size in sizes) // len(sizes),
        parameters=parameters,
    )


def evaluate(run: TrainingRun, store: Store, *, num_batches: int | None, tolerance: float | None = None) -> Evaluated:
    """Rank the users' last items with a training's model."""
    return evaluate_model(
        run.model,
        store,
        part=Part.TEST,
        epoch=0,
        num_batches=num_batches,
        tolerance=tolerance,
        voice=Voice(),
    )


def measure_evaluation(run: TrainingRun, store: Store, *, is_whole: bool) -> dict[str, Json]:
    """Return how fast users are ranked, and how long all of them take."""
    start = time.perf_counter()
    evaluated = evaluate(run, store, num_batches=None if is_whole else EVALUATED_BATCHES)
    wait(run.device)
    speed = evaluated.record.num_users / (time.perf_counter() - start)
    return {
        "users_ranked": evaluated.record.num_users,
        "users_per_second": round(speed, 1),
        "evaluation_seconds": round(store.num_users / speed, 2),
    }


def compare_devices(run: TrainingRun, store: Store) -> dict[str, Json]:
    """Return how far ranks on this device are from the processor's, in float32 and, on a GPU, in TF32.

    As the verdict holds them: a user is beyond the near-ties if the rank moved by more places than there are candidates
    within the format's tolerance of the target's score.
    """
    device = run.device

    def ranked(on: torch.device, format_: NumberFormat) -> Evaluated:
        run.model.to(on)
        with repeatable_arithmetic(tf32=format_ is NumberFormat.TF32):
            return evaluate(run, store, num_batches=RANKED_BATCHES, tolerance=TOLERANCES[format_])

    recorded = ranked(CPU, NumberFormat.FLOAT32)
    moves: dict[str, Json] = {}
    for format_ in (NumberFormat.FLOAT32, NumberFormat.TF32):
        found = ranked(device, format_)
        assert found.within is not None
        moved = measure_moves(found.ranks, recorded.ranks, within=found.within)
        moves[format_.value] = {
            "users": moved.num_users,
            "users_moved": moved.num_moved,
            "largest_move": moved.largest_move,
            "users_beyond_their_near_ties": moved.num_beyond,
            "tolerance": TOLERANCES[format_],
            "ndcg@10_difference": moved.effects["ndcg@10"].difference,
        }
    return moves


def profile_steps(run: TrainingRun, *, start: int) -> dict[str, Json]:
    """Return what takes the device's time in a step, and how many kernels are launched for it."""
    is_cuda = run.device.type == "cuda"
    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if is_cuda else [])]
    with profile(activities=activities) as profiled:
        take_steps(run, start=start, count=PROFILED_STEPS)
    averages = profiled.key_averages()
    field = "self_device_time_total" if is_cuda else "self_cpu_time_total"
    # On a GPU an operation's own row repeats the time of the kernels that it launched: kernels alone are counted.
    rows = [row for row in averages if not is_cuda or str(row.device_type).endswith("CUDA")]
    milliseconds = {row.key: getattr(row, field) / 1000 / PROFILED_STEPS for row in rows}
    slowest = sorted(milliseconds, key=milliseconds.__getitem__, reverse=True)[:LISTED_KERNELS]
    return {
        "milliseconds_per_step": round(sum(milliseconds.values()), 3),
        "launches_per_step": sum(row.count for row in averages if row.key in LAUNCHES) / PROFILED_STEPS,
        "slowest": [{"name": name[:100], "milliseconds": round(milliseconds[name], 4)} for name in slowest],
    }
