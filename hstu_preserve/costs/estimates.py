"""Estimate time and memory of a training from its work, before any step is taken."""

import math
from dataclasses import dataclass, replace

from hstu_preserve.costs.data_shapes import DataShape, skew
from hstu_preserve.costs.evaluations import count_evaluated_users
from hstu_preserve.costs.machines import CPU_MEMORY, CPU_RANKING, CPU_STEP, H100, MemoryRates, RankingRates, StepRates
from hstu_preserve.costs.work import FORWARD_AND_BACKWARD, NUMBERS_OF_A_WEIGHT, StepWork, count_work
from hstu_preserve.records.recipe import Recipe

GIGA = 1e9
BYTES_OF_A_NUMBER = 4


@dataclass(frozen=True, kw_only=True)
class Range:
    """What a figure is between."""

    low: float
    high: float


def count_steps(recipe: Recipe, data: DataShape) -> int:
    """Return the steps of a whole training."""
    batches = data.num_users / recipe.training.local_batch_size
    is_floor = recipe.training.epoch_batches == "floor_all"
    return recipe.training.num_epochs * (max(1, math.floor(batches)) if is_floor else math.ceil(batches))


def estimate_step(work: StepWork, rates: StepRates) -> float:
    """Return how many steps of the probe one step of that work takes on a processor."""
    of_events = work.products * rates.products + work.drawn * rates.drawn + work.pairs * rates.pairs
    return (of_events + work.weights * rates.weights) / GIGA + rates.step


def estimate_user(work: StepWork, *, batch: int, rates: RankingRates) -> float:
    """Return how many steps of the probe it takes to rank one of the users of a step on a processor."""
    forward = work.products / FORWARD_AND_BACKWARD
    return (forward * rates.products + work.pairs * rates.pairs) / batch / GIGA + rates.user


def estimate_seconds(recipe: Recipe, data: DataShape, *, probe_seconds: float) -> float:
    """Return the seconds of a training and its evaluations on a processor.

    Args:
        recipe: What is trained.
        data: On what.
        probe_seconds: Of a step of the probe there.
    """
    work = count_work(recipe, data)
    steps = count_steps(recipe, data) * estimate_step(work, CPU_STEP)
    a_user = estimate_user(work, batch=recipe.training.local_batch_size, rates=CPU_RANKING)
    users = count_evaluated_users(recipe, num_users=data.num_users) * a_user
    return (steps + users) * probe_seconds


def estimate_memory(work: StepWork, recipe: Recipe, rates: MemoryRates = CPU_MEMORY) -> float:
    """Return the bytes of the largest moment of a training on a processor."""
    drawn = work.drawn / recipe.model.item_embedding_dim
    return (
        rates.program
        + work.weights * rates.weights
        + work.activations * rates.activations
        + drawn * rates.drawn
        + (work.pairs * rates.pairs if work.is_padded else 0.0)
    )


def estimate_gpu_seconds(recipe: Recipe, data: DataShape, *, base: Recipe) -> Range:
    """Return between which seconds the steps of a training are on the GPU of which one step was measured.

    No kind of work grows more, or shrinks more, than the kinds that are counted; and no step is taken to be shorter
    than the measured one only because it is smaller, since starting kernels takes its time, too.

    Args:
        recipe: What is trained.
        data: On what.
        base: The recipe of the measured step.
    """
    ratios = compare_work(recipe, data, base=base)
    num_steps = count_steps(recipe, data)
    return Range(low=num_steps * H100.seconds * min(1.0, *ratios), high=num_steps * H100.seconds * max(1.0, *ratios))


def estimate_gpu_memory(recipe: Recipe, data: DataShape, *, base: Recipe) -> float:
    """Return the bytes of the GPU, by the kind of work that grew most over the measured step."""
    weights = BYTES_OF_A_NUMBER * NUMBERS_OF_A_WEIGHT
    rest = H100.peak_bytes - weights * count_work(base, describe_measured()).weights
    return weights * count_work(recipe, data).weights + rest * max(compare_work(recipe, data, base=base))


def describe_measured() -> DataShape:
    """Return the shape of the data of the step that was measured on the GPU."""
    return DataShape(num_users=1, num_items=H100.num_rows - 1, num_rows=H100.num_rows, lengths=skew(H100.mean_length))


def compare_work(recipe: Recipe, data: DataShape, *, base: Recipe) -> tuple[float, ...]:
    """Return the work of a step over that of the measured one, by kind; attention pads on a GPU."""
    padded, measured = (
        replace(count_work(one, shape), pairs=count_padded_pairs(one))
        for one, shape in ((recipe, data), (base, describe_measured()))
    )
    return (
        padded.products / measured.products,
        padded.pairs / measured.pairs,
        padded.activations / measured.activations,
    )


def count_padded_pairs(recipe: Recipe) -> float:
    """Return the pairs of positions of a step over heads and layers, padding included."""
    model = recipe.model
    return recipe.training.local_batch_size * recipe.padded_length**2 * model.num_heads * model.num_blocks
