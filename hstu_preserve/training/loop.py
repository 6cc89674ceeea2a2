"""The training loop: yields an event after each step and epoch, and knows no path, writer or flag."""

import math
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from hstu_preserve.compute.determinism import (
    draw_order,
    draw_with_replacement,
    initialization_generators,
    make_generator,
    seed_dropout,
    seed_global_generators,
)
from hstu_preserve.compute.generator_states import restore_rng
from hstu_preserve.compute.memory import require_memory
from hstu_preserve.compute.training_path import find_possible_path
from hstu_preserve.compute.world import ALONE, World
from hstu_preserve.data.batches import assemble_batch, list_item_ids
from hstu_preserve.data.own_times import tell_times
from hstu_preserve.data.sequences import Sequences, look_until, mask_remaining_events, select_events
from hstu_preserve.data.split import Part, bound_training, count_held_out_events, find_eligible_users, find_short
from hstu_preserve.data.store import Store
from hstu_preserve.errors import ContentError
from hstu_preserve.inputs.histories import to_training_histories
from hstu_preserve.inputs.items import describe_items, naming_item_rows
from hstu_preserve.inputs.resident import ResidentEvents
from hstu_preserve.model.fast.objective import training_losses as fast_training_losses
from hstu_preserve.model.fused.objective import training_losses as fused_training_losses
from hstu_preserve.model.histories import Histories
from hstu_preserve.model.initialization import initialize
from hstu_preserve.model.objective import Losses, draw, training_losses
from hstu_preserve.model.recommender import Recommender, measure_bytes
from hstu_preserve.model.time_decay import project_rates
from hstu_preserve.model.upstream_weights import load_state
from hstu_preserve.records.environment import TrainingPath
from hstu_preserve.records.recipe import BinaryCrossEntropySettings, Recipe, TrainingSettings
from hstu_preserve.training.checkpoint import Checkpoint, read_position
from hstu_preserve.training.events import EpochEvent, StepEvent
from hstu_preserve.training.optimizers import make_optimizer
from hstu_preserve.training.position import START, Position
from hstu_preserve.training.resumability import require_optimizer
from hstu_preserve.training.shared_loss import SharedLoss, TrainingLosses

LOSSES: dict[TrainingPath, TrainingLosses] = {
    "reference": training_losses,
    "fast": fast_training_losses,
    "fused": fused_training_losses,
}


class TrainingRun:
    """Trains a model by a recipe, from the beginning or from a checkpoint.

    Args:
        recipe: All settings that decide the result.
        store: The data; of the events that the protocol holds out, nothing is read but TiSASRec's unit of time.
        device: Where the model lives.
        world: The processes that train it together.
        path: How steps are computed, as the run's environment records it; `fast` is for a CPU, and elsewhere the
            reference path is taken, for a run that goes on there.
    """

    def __init__(
        self,
        recipe: Recipe,
        store: Store,
        *,
        device: torch.device,
        world: World = ALONE,
        path: TrainingPath = "reference",
    ) -> None:
        self.recipe = recipe
        self.device = device
        self.world = world
        self.seed = recipe.training.random_seed
        seed_global_generators(self.seed)
        with naming_item_rows(store):
            items = describe_items(store, recipe)
            require_memory(measure_bytes(recipe, items))
            self.model = Recommender(recipe, items)
        # By parameter name, so that adding a component shifts no other's initial weights.
        initialize(self.model, initialization_generators(self.seed))
        self.model.to(device)
        path = find_possible_path(path, recipe, device=device)
        self.optimizer = make_optimizer(recipe, self.model.parameters(), is_fused=path != "reference")
        self.loss = SharedLoss(self.model, world, losses=LOSSES[path])
        self.events = select_training_events(tell_times(store, recipe), recipe)
        self.all_events = leave_out_held_out_events(store, recipe)
        # A processor reads them where they are; to a GPU each batch would be copied, and the copy waited for.
        self.resident = ResidentEvents(self.events, device) if device.type == "cuda" else None
        self.users = find_training_users(self.events, store=store, recipe=recipe)
        self.position = START
        """Epochs and steps that are done; within an epoch until whoever received its EpochEvent asks for more."""

    @property
    def steps_per_epoch(self) -> int:
        """How many steps each epoch has."""
        return count_steps_per_epoch(len(self.users), num_all=self.events.num_users, settings=self.recipe.training)

    def restore(self, checkpoint: Checkpoint) -> None:
        """Continue where a checkpoint of this recipe and data was written.

        Raises:
            CheckpointError: Weights, optimizer or generators are missing or of another form.
        """
        source = str(checkpoint.path)
        position = read_position(checkpoint)
        load_state(self.model, checkpoint.weights, source=source)
        require_optimizer(
            checkpoint.content.get("optimizer_state_dict"),
            parameters=dict(self.model.named_parameters()),
            steps=position.batch_id,
            source=source,
        )
        self.optimizer.load_state_dict(checkpoint.content["optimizer_state_dict"])  # type: ignore[arg-type]  # see above
        restore_rng(checkpoint.content.get("rng"), source=source)
        self.position = position

    def epochs(self) -> Iterator[StepEvent | EpochEvent]:
        """Train, yielding after every step and every epoch; the model may be evaluated, or the run left, in between."""
        last = self.recipe.training.num_epochs - 1
        for epoch in range(self.position.finished_epoch + 1, self.recipe.training.num_epochs):
            batches = self.split_users(epoch)
            for place in range(self.position.epoch_steps, len(batches)):
                step = self.position.batch_id
                losses, learning_rate = self.take_step(batches[place], epoch=epoch, step=step)
                # Before the yield: whoever receives the event may save the run as it is now.
                self.position = Position(finished_epoch=epoch - 1, epoch_steps=place + 1, batch_id=step + 1)
                yield StepEvent(
                    epoch=epoch,
                    step=step,
                    loss=float(losses.total),
                    main_loss=float(losses.main),
                    load_balance=None if losses.load_balance is None else float(losses.load_balance),
                    learning_rate=learning_rate,
                    steps_per_epoch=len(batches),
                    auxiliary={name: float(value) for name, value in losses.auxiliary.items()},
                )
            yield EpochEvent(epoch=epoch, batch_id=self.position.batch_id, is_last=epoch == last)
            self.position = self.position.after_epoch()

    def split_users(self, epoch: int) -> list[npt.NDArray[np.int64]]:
        """Return the epoch's batches of user indices, drawn by (seed, epoch).

        Users drawn with replacement fill every batch, as HSTU-Tensorflow's sampler does; of an order, the last one
        holds what is left.
        """
        size = self.recipe.training.local_batch_size
        order = self.draw_users(epoch)
        return [self.users[order[start : start + size]] for start in range(0, len(order), size)]

    def draw_users(self, epoch: int) -> npt.NDArray[np.int64]:
        """Return the epoch's users by their place in `users`: each once, or as many as fill its batches."""
        settings, num_users = self.recipe.training, len(self.users)
        if settings.user_sampling == "shuffled":
            return draw_order(num_users, seed=self.seed, purpose="epoch_order", position=epoch)
        count = self.steps_per_epoch * settings.local_batch_size
        return draw_with_replacement(num_users, count=count, seed=self.seed, purpose="epoch_order", position=epoch)

    def take_step(self, users: npt.NDArray[np.int64], *, epoch: int, step: int) -> tuple[Losses, float]:
        """Take one optimizer step on the users and return (losses, learning rate).

        Raises:
            LostProcessError: Another process is gone; the step was not taken.
        """
        histories = self.assemble(users)
        draws = draw(
            self.model,
            histories,
            epoch=epoch,
            own_BH=self.list_own_items(users),
            generator_for=lambda purpose: make_generator(self.seed, purpose, epoch, step),
        )
        # For each step anew: a resumed run draws the masks that it would have drawn had it never stopped.
        seed_dropout(self.seed, epoch=epoch, step=step, rank=self.world.rank)
        self.model.train()
        learning_rate = self.set_learning_rate(step)
        self.optimizer.zero_grad()
        losses = self.loss.compute_gradients(draws)
        self.optimizer.step()
        project_rates(self.model)
        return losses, learning_rate

    def assemble(self, users: npt.NDArray[np.int64]) -> Histories:
        """Return the users' histories with their targets, the same to the bit on every device."""
        length = self.recipe.dataset.max_sequence_length
        output_length = self.recipe.model.gr_output_length + 1
        if self.resident is not None:
            return self.resident.assemble_training(users, max_sequence_length=length, output_length=output_length)
        batch = assemble_batch(
            self.events, users, held_out_events=0, max_sequence_length=length, output_length=output_length
        )
        return to_training_histories(batch, self.device)

    def list_own_items(self, users: npt.NDArray[np.int64]) -> Tensor | None:
        """Return each user's whole training sequence as own_BH (int64 ids, 0 is padding), None if nobody asks.

        It has the events that a positional sampling drops, too: the user saw those items.
        """
        hard = self.recipe.hard_negatives
        is_unseen = isinstance(self.recipe.loss, BinaryCrossEntropySettings)
        if not is_unseen and (hard is None or not hard.exclude_history):
            return None
        return torch.from_numpy(list_item_ids(self.all_events, users)).to(self.device)

    def set_learning_rate(self, step: int) -> float:
        """Set the rate of this step, and return it."""
        rate = learning_rate_at(step, settings=self.recipe.training)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        return rate


def learning_rate_at(step: int, *, settings: TrainingSettings) -> float:
    """Return the learning rate of a step, from 0: upstream's linear warm-up, then constant."""
    warmup = settings.num_warmup_steps
    scale = min(1.0, (step + 1) / warmup) if step < warmup else 1.0
    return scale * settings.learning_rate


def count_steps_per_epoch(num_users: int, *, num_all: int, settings: TrainingSettings) -> int:
    """Return how many steps each epoch has, at least one.

    Args:
        num_users: That are trained on.
        num_all: Of the data, by which some references count.
        settings: Decide which of both counts, and how the last batch does.
    """
    if settings.epoch_batches == "floor_all":
        return max(1, num_all // settings.local_batch_size)
    counted = num_users if settings.epoch_batches is None else num_all
    return math.ceil(counted / settings.local_batch_size)


def find_training_users(events: Sequences, *, store: Store, recipe: Recipe) -> npt.NDArray[np.int64]:
    """Return the users that have a history and a target among the events that training may see.

    Raises:
        ContentError: Nobody has.
    """
    users = find_eligible_users(events, held_out_events=0)
    if not len(users):
        raise ContentError(
            f"{store.name}: no user has the history and target that training needs ({describe_need(recipe)})"
        )
    return users


def describe_need(recipe: Recipe) -> str:
    """Return in words which users are trained on."""
    is_short_trained = recipe.dataset.short_histories is not None
    held_out = 0 if is_short_trained else count_held_out_events(recipe.dataset.protocol, part=Part.TRAINING)
    least = held_out + 2
    ratio = recipe.dataset.positional_sampling_ratio
    left = "" if ratio == 1 else f", of which train_fn.positional_sampling_ratio = {ratio} must leave 2 for training"
    return f"at least {least} events under the protocol '{recipe.dataset.protocol.value}'{left}"


def leave_out_held_out_events(sequences: Sequences, recipe: Recipe) -> Sequences:
    """Return every event that the protocol does not hold out from training."""
    return look_until(sequences, bounds=bound_training(sequences, recipe.dataset))


def select_training_events(sequences: Sequences, recipe: Recipe) -> Sequences:
    """Return the events that training may see: without those the protocol holds out, and a share of the rest.

    Upstream draws `positional_sampling_ratio` once per loader worker; here it is drawn once per run.
    """
    ratio = recipe.dataset.positional_sampling_ratio
    if ratio == 1:
        return leave_out_held_out_events(sequences, recipe)
    held_out = count_held_out_events(recipe.dataset.protocol, part=Part.TRAINING)
    mask = mask_remaining_events(sequences, held_out_events=held_out)
    mask |= np.repeat(find_short(sequences, recipe.dataset), sequences.lengths)
    generator = make_generator(recipe.training.random_seed, "positional_sampling")
    mask &= torch.rand(sequences.num_events, generator=generator).numpy() < ratio
    return select_events(sequences, mask=mask)
