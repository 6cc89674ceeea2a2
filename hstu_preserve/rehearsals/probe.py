"""The probe: one small training step whose time says how fast this machine is."""

import time
from dataclasses import dataclass
from functools import cache

import torch

from hstu_preserve.compute.determinism import repeatable_arithmetic
from hstu_preserve.costs.machines import PROBE_BATCH, PROBE_ITEMS, PROBE_RECIPE
from hstu_preserve.data.store import Store
from hstu_preserve.gin_recipes.reader import read_chain
from hstu_preserve.gin_recipes.resolve import resolve
from hstu_preserve.library.catalog import list_chains
from hstu_preserve.primitives.temporary_folders import scratch_folder
from hstu_preserve.records.recipe import Recipe
from hstu_preserve.rehearsals.busyness import CoreShare
from hstu_preserve.synthetic.stores import write_synthetic_store
from hstu_preserve.training.loop import TrainingRun

NUM_EVENTS = 100
"""Of each user, on average."""
NUM_STEPS = 3


@dataclass(frozen=True, kw_only=True)
class Probe:
    """What a step of the probe took on this machine's processor.

    Attributes:
        seconds: Of a few steps after the first, the fastest.
        core_share: Of one core's time that this process had meanwhile.
    """

    seconds: float
    core_share: float


def measure_probe() -> Probe:
    """Return what a step of the probe takes here."""
    with scratch_folder() as folder, repeatable_arithmetic(tf32=False):
        store = write_synthetic_store(
            folder / "probe",
            seed=1,
            num_users=PROBE_BATCH,
            num_items=PROBE_ITEMS,
            num_ratings=PROBE_BATCH * NUM_EVENTS,
        )
        training = make_probe(store)
        seconds = []
        share = CoreShare()
        for step in range(1 + NUM_STEPS):
            start = time.perf_counter()
            training.take_step(training.users, epoch=0, step=step)
            seconds.append(time.perf_counter() - start)
    return Probe(seconds=min(seconds[1:]), core_share=share.measure())


def make_probe(store: Store) -> TrainingRun:
    """Return the probe's training on a store of as many users as it takes at once."""
    return TrainingRun(read_probe(), store, device=torch.device("cpu"), path="fast")


@cache
def read_probe() -> Recipe:
    """Return the probe's recipe."""
    recipe = resolve(read_chain(list_chains()[PROBE_RECIPE], root=None)).recipe
    return recipe.model_copy(update={"training": recipe.training.model_copy(update={"local_batch_size": PROBE_BATCH})})
