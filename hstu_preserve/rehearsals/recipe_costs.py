"""Estimate what each recipe that comes with the program costs, here and on a GPU."""

from hstu_preserve.costs.data_shapes import DataShape, find_shape
from hstu_preserve.costs.estimates import (
    count_steps,
    estimate_gpu_memory,
    estimate_gpu_seconds,
    estimate_memory,
    estimate_seconds,
)
from hstu_preserve.costs.evaluations import count_evaluated_users
from hstu_preserve.costs.machines import H100, PROBE_RECIPE, TYPICAL_ERROR, WORST_ERROR
from hstu_preserve.costs.work import count_work, is_counted
from hstu_preserve.gin_recipes.reader import read_chain
from hstu_preserve.gin_recipes.resolve import resolve
from hstu_preserve.library.catalog import list_chains
from hstu_preserve.records.estimates.costs import CostTable, RecipeCost
from hstu_preserve.records.recipe import Recipe
from hstu_preserve.rehearsals.busyness import describe_other_work


def estimate_recipes(*, can_train: bool) -> CostTable:
    """Return the estimated costs of all recipes whose data has a known size.

    Args:
        can_train: Whether a step can be measured here.

    Raises:
        UnavailableError: There is no memory for the measured step, or no place for its data.
    """
    probe_seconds, busy = None, None
    if can_train:
        from hstu_preserve.rehearsals.probe import measure_probe  # needs torch

        probe = measure_probe()
        probe_seconds, busy = probe.seconds, describe_other_work(probe.core_share)
    recipes = {name: resolve(read_chain(path, root=None)).recipe for name, path in sorted(list_chains().items())}
    shapes = {name: find_shape(recipe.dataset.name) for name, recipe in recipes.items()}
    counted = {name: shape for name, shape in shapes.items() if shape is not None and is_counted(recipes[name])}
    return CostTable(
        recipes=tuple(
            estimate_recipe(name, recipes[name], shape, probe_seconds=probe_seconds, base=recipes[PROBE_RECIPE])
            for name, shape in counted.items()
        ),
        gpu=H100.gpu,
        probe_seconds=probe_seconds,
        basis=(
            *describe_basis(probe_seconds),
            *describe_left_out(sorted(recipes.keys() - counted.keys())),
            *([] if busy is None else [busy]),
        ),
    )


def estimate_recipe(
    name: str, recipe: Recipe, data: DataShape, *, probe_seconds: float | None, base: Recipe
) -> RecipeCost:
    """Return the estimated cost of one recipe.

    Args:
        name: Its id.
        recipe: What is trained.
        data: Of the published data.
        probe_seconds: Of a step of the probe here; None if none can be taken.
        base: Of the step that was measured on the GPU.
    """
    work = count_work(recipe, data)
    gpu = estimate_gpu_seconds(recipe, data, base=base)
    return RecipeCost(
        id=name,
        dataset=recipe.dataset.name,
        num_weights=round(work.weights),
        num_steps=count_steps(recipe, data),
        evaluated_users=count_evaluated_users(recipe, num_users=data.num_users),
        memory_bytes=round(estimate_memory(work, recipe)),
        seconds=None if probe_seconds is None else estimate_seconds(recipe, data, probe_seconds=probe_seconds),
        gpu_memory_bytes=round(estimate_gpu_memory(recipe, data, base=base)),
        gpu_seconds_low=gpu.low,
        gpu_seconds_high=gpu.high,
        command=f"hstu-preserve train {name} --output run",
    )


def describe_left_out(names: list[str]) -> list[str]:
    """Return which recipes have no line and why, in a sentence; nothing if each has one."""
    if not names:
        return []
    return [
        f"left out, since their work is not counted, or nothing here knows the size of their data: {', '.join(names)}"
    ]


def describe_basis(probe_seconds: float | None) -> list[str]:
    """Return what the figures are extrapolated from, in sentences."""
    here = "here: PyTorch cannot train on this machine, so no time is given"
    if probe_seconds is not None:
        here = (
            f"here: from one small step that took {probe_seconds:.3g} s just now, evaluations included; "
            f"its factors miss the measured steps of these recipes by {TYPICAL_ERROR:.0%}, "
            f"the worst by {WORST_ERROR:.0%}"
        )
    there = (
        f"on the {H100.gpu}: from one measured step of {PROBE_RECIPE} ({H100.seconds} s); steps alone, since "
        "evaluations were not measured there; its memory by the kind of work that grows most, so rather too much"
    )
    return [here, there, "histories are taken to be as skewed as those of ml-latest-small"]
