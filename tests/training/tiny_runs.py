"""Training runs that take a moment: a made-up store of 40 users and the tiny recipes."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
import torch

from hstu_preserve.data.arrays import BoolArray
from hstu_preserve.data.store import Store
from hstu_preserve.primitives.json_values import Json
from hstu_preserve.records.recipe import Recipe
from hstu_preserve.training.checkpoint import Content, capture_state, state_digest
from hstu_preserve.training.events import EpochEvent, StepEvent
from hstu_preserve.training.loop import TrainingRun
from hstu_preserve.training.position import Position
from tests.data.stores_in_memory import synthesize
from tests.model.tiny_models import make_model_recipe

CPU = torch.device("cpu")


@cache
def load_store() -> Store:
    """40 users, 60 items, 600 ratings; 3 steps per epoch."""
    return synthesize(seed=7, num_users=40, num_items=60, num_ratings=600)


def make_training_recipe(kind: str = "HSTU", **changes: dict[str, Json]) -> Recipe:
    return make_model_recipe(kind, **changes)


@dataclass(frozen=True, kw_only=True)
class Trained:
    """A finished run: what it yielded and what it left."""

    run: TrainingRun
    steps: list[StepEvent]
    epochs: list[EpochEvent]
    state: Content

    @property
    def losses(self) -> list[str]:
        """Every step's loss, exactly."""
        return [step.loss.hex() for step in self.steps]

    def digest(self) -> str:
        return state_digest(self.state)


def train(
    recipe: Recipe, *, store: Store | None = None, after_epoch: Callable[[TrainingRun], object] = lambda _: None
) -> Trained:
    """Train a recipe to its end; `after_epoch` may look at the run in between."""
    run = TrainingRun(recipe, store or load_store(), device=CPU)
    steps: list[StepEvent] = []
    epochs: list[EpochEvent] = []
    for event in run.epochs():
        if isinstance(event, StepEvent):
            steps.append(event)
        else:
            epochs.append(event)
            after_epoch(run)
    return Trained(run=run, steps=steps, epochs=epochs, state=capture(run, epochs[-1]))


def capture(run: TrainingRun, event: EpochEvent) -> Content:
    """Return the run's state; the fingerprint is left out, so that it says nothing of data that was not read."""
    return capture_state(
        run.model,
        run.optimizer,
        position=Position(finished_epoch=event.epoch, batch_id=event.batch_id),
        recipe=run.recipe,
        data_fingerprint="0" * 64,
    )


def mark_last_events(store: Store, count: int) -> BoolArray:
    """Return True for the last `count` events of every user."""
    places = [end - back for end in store.offsets[1:] for back in range(1, count + 1)]
    marked = np.zeros(store.num_events, dtype=np.bool_)
    marked[places] = True
    return marked


def rewrite_events(store: Store, marked: BoolArray) -> Store:
    """Return the store with another item, rating and time at every marked event."""
    first, second = store.candidate_ids[:2]
    return replace(
        store,
        item_ids=np.where(marked, np.where(store.item_ids == first, second, first), store.item_ids),
        half_stars=np.where(marked, store.half_stars % 10 + 1, store.half_stars).astype(np.int8),
        timestamps=np.where(marked, store.timestamps + 12_345_678, store.timestamps),
    )
