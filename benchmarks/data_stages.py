"""The stages of `benchmarks.data`, each run in a process of its own; prints one line of JSON.

Usage: python -m benchmarks.data_stages STAGE ARGUMENT...
"""

import importlib
import json
import os
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from itertools import islice
from pathlib import Path

from hstu_preserve.primitives.peak_memory import read_peak_bytes

MEGABYTE = 1e6
REFERENCE_LOADERS: dict[str, dict[str, int | None]] = {
    "in one process": {"num_workers": 0, "prefetch_factor": None},
    "8 workers, as its ml-20m configuration": {"num_workers": 8, "prefetch_factor": 128},
}
BUNDLES = Path(__file__).resolve().parents[1] / "bundles"
RECIPE = "paper-hstu-ml-20m"
EDITION = "ml-20m"
MAX_SEQUENCE_LENGTH, BATCH_SIZE = 200, 128
OUR_BATCHES, THEIR_BATCHES = 200, 20
Figures = dict[str, float]


class Clock:
    """Seconds since it was made or last asked, and the processor seconds of this process since it was made."""

    def __init__(self) -> None:
        self.start = self.last = time.perf_counter()
        self.start_cpu = time.process_time()

    def lap(self) -> float:
        """Return the seconds since the last lap."""
        now = time.perf_counter()
        self.last, before = now, self.last
        return round(now - before, 4)

    def total(self) -> float:
        """Return the seconds since the beginning."""
        return round(time.perf_counter() - self.start, 4)

    def total_cpu(self) -> float:
        """Return the processor seconds since the beginning: what a busy machine changes least."""
        return round(time.process_time() - self.start_cpu, 4)


def prepare(source: str, output: str, edition: str, *counts: str) -> Figures:
    """Prepare made-up data as that edition, whose published counts give way to those of the made-up data."""
    from hstu_preserve.data.known_datasets import KNOWN_DATASETS
    from hstu_preserve.verbs.data import prepare_data

    users, items, ratings = map(int, counts)
    KNOWN_DATASETS[edition] = replace(
        KNOWN_DATASETS[edition], num_users=users, num_rated_items=None, num_candidates=items, num_ratings=ratings
    )
    clock = Clock()
    prepare_data(edition, source=Path(source), output=Path(output))
    return {"seconds": clock.total(), "cpu_seconds": clock.total_cpu(), "peak_megabytes": read_peak_bytes() / MEGABYTE}


def first_batch(store_path: str) -> Figures:
    """Open a store and make batches as training does, in the order of the first epoch."""
    import torch

    from hstu_preserve.compute.determinism import draw_order
    from hstu_preserve.data.batches import assemble_batch
    from hstu_preserve.data.split import find_eligible_users
    from hstu_preserve.data.store import open_store
    from hstu_preserve.gin_recipes.reader import read_chain
    from hstu_preserve.gin_recipes.resolve import resolve
    from hstu_preserve.inputs.histories import to_training_histories
    from hstu_preserve.inputs.items import describe_items
    from hstu_preserve.training.loop import select_training_events

    recipe = resolve(read_chain(BUNDLES / RECIPE / "config" / f"{RECIPE}.gin", root=BUNDLES)).recipe
    assert recipe.dataset.max_sequence_length == MAX_SEQUENCE_LENGTH
    assert recipe.training.local_batch_size == BATCH_SIZE
    clock = Clock()
    store = open_store(Path(store_path))
    open_seconds = clock.lap()
    describe_items(store, recipe)
    items_seconds = clock.lap()
    events = select_training_events(store, recipe)
    users = find_eligible_users(events, held_out_events=0)
    order = users[draw_order(len(users), seed=1, purpose="epoch_order", position=0)]
    events_seconds = clock.lap()

    def make_batch(number: int) -> None:
        """Make one batch's tensors."""
        batch = assemble_batch(
            events,
            order[number * BATCH_SIZE : (number + 1) * BATCH_SIZE],
            held_out_events=0,
            max_sequence_length=MAX_SEQUENCE_LENGTH,
            output_length=recipe.model.gr_output_length + 1,
        )
        to_training_histories(batch, torch.device("cpu"))

    make_batch(0)
    assemble_seconds = clock.lap()
    total, total_cpu = clock.total(), clock.total_cpu()
    for number in range(1, OUR_BATCHES + 1):
        make_batch(number)
    seconds = clock.lap() / OUR_BATCHES
    return {
        "open_seconds": open_seconds,
        "items_seconds": items_seconds,
        "events_seconds": events_seconds,
        "assemble_seconds": assemble_seconds,
        "first_batch_seconds": total,
        "first_batch_cpu_seconds": total_cpu,
        "batches_per_second": round(1 / seconds, 1),
        "epoch_seconds_extrapolated": round(seconds * len(users) / BATCH_SIZE, 1),
        "peak_megabytes": read_peak_bytes() / MEGABYTE,
    }


def reference_prepare(work: str, reference: str) -> Figures:
    """Let Meta's preprocessing write its `sasrec_format.csv`."""
    enter_reference(work, reference)
    preprocessor = importlib.import_module("generative_recommenders.research.data.preprocessor")
    clock = Clock()
    preprocessor.get_common_preprocessors()[EDITION].preprocess_rating()
    return {"seconds": clock.total(), "cpu_seconds": clock.total_cpu(), "peak_megabytes": read_peak_bytes() / MEGABYTE}


def reference_first_batch(work: str, reference: str, loader: str) -> Figures:
    """Let Meta's dataset and loader make batches from its csv."""
    enter_reference(work, reference)
    datasets = importlib.import_module("generative_recommenders.research.data.reco_dataset")
    loaders = importlib.import_module("generative_recommenders.research.trainer.data_loader")
    clock = Clock()
    dataset = datasets.get_reco_dataset(EDITION, max_sequence_length=MAX_SEQUENCE_LENGTH, chronological=True)
    load_seconds = clock.lap()
    _, batches = loaders.create_data_loader(
        dataset.train_dataset, batch_size=BATCH_SIZE, world_size=1, rank=0, shuffle=True, **REFERENCE_LOADERS[loader]
    )
    iterator = iter(batches)
    next(iterator)
    figures = {
        "load_seconds": load_seconds,
        "first_batch_seconds": clock.total(),
        "peak_megabytes": read_peak_bytes() / MEGABYTE,
    }
    if REFERENCE_LOADERS[loader]["num_workers"] == 0:
        figures["first_batch_cpu_seconds"] = clock.total_cpu()
        clock.lap()
        for _ in islice(iterator, THEIR_BATCHES):
            pass
        seconds = clock.lap() / THEIR_BATCHES
        figures["batches_per_second"] = round(1 / seconds, 1)
        figures["epoch_seconds_extrapolated"] = round(seconds * len(batches), 1)
    return figures


def enter_reference(work: str, reference: str) -> None:
    """Go where Meta's code looks for its files, and let its modules be found."""
    sys.path.insert(0, str(Path(reference).resolve()))
    os.chdir(work)


STAGES: dict[str, Callable[..., Figures]] = {
    "prepare": prepare,
    "first_batch": first_batch,
    "reference_prepare": reference_prepare,
    "reference_first_batch": reference_first_batch,
}

if __name__ == "__main__":
    print(json.dumps(STAGES[sys.argv[1]](*sys.argv[2:])))
