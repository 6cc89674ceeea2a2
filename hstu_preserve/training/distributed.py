"""Several processes that train one model: each takes some rows of every batch, and none takes a step of its own.

Every process assembles and draws the whole batch, which costs little, and computes its rows of it; so the order of the
users, the negatives and everything else that is drawn are those of one process, whatever their number. Losses are
normalised by the whole batch's positions: a mean of the processes' means weighs their positions differently.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from inspect import signature
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from hstu_preserve.errors import LostProcessError, UsageError
from hstu_preserve.model.objective import Draws, Losses, count_supervised, training_losses
from hstu_preserve.model.recommender import Recommender
from hstu_preserve.model.shares import WHOLE, Share

T = TypeVar("T")
KEEP_BUFFERS = (
    "forward_sync_buffers"
    if "forward_sync_buffers" in signature(DistributedDataParallel).parameters
    else "broadcast_buffers"  # before torch 2.13
)
"""The argument that, when False, spares sending the buffers, which are constants, before each step."""
MESSAGES_OF_A_LOST_PROCESS = ("gloo", "nccl", "connection", "broken pipe", "timed out", "process group")


@dataclass(frozen=True, kw_only=True)
class World:
    """The processes of a run.

    Attributes:
        rank: This one, from 0; the first one writes.
        size: How many.
    """

    rank: int = 0
    size: int = 1

    @property
    def is_first(self) -> bool:
        """Whether this process writes what is written once."""
        return self.rank == 0

    def wait(self) -> None:
        """Wait until every process is here.

        Raises:
            LostProcessError: One is gone.
        """
        self.agree(False)

    def agree(self, is_wanted: bool) -> bool:
        """Return whether any process wants it, the same answer on all of them.

        Raises:
            LostProcessError: One is gone.
        """
        if self.size == 1:
            return is_wanted
        return bool(self.total(torch.tensor(float(is_wanted), device=communication_device())) > 0)

    def total(self, value: Tensor) -> Tensor:
        """Return the sum over the processes, without a gradient.

        Raises:
            LostProcessError: One is gone.
        """
        if self.size == 1:
            return value.detach()
        result = value.detach().clone()
        with explain_lost_processes():
            dist.all_reduce(result)
        return result

    def gather(self, value: T) -> list[T]:
        """Return every process's value, by rank.

        Raises:
            LostProcessError: One is gone.
        """
        if self.size == 1:
            return [value]
        values: list[T | None] = [None] * self.size
        with explain_lost_processes():
            dist.all_gather_object(values, value)
        return [one for one in values if one is not None]

    def take_rows(self, num_rows: int) -> slice:
        """Return this process's rows of a batch; parts differ by one row at most."""
        return slice(num_rows * self.rank // self.size, num_rows * (self.rank + 1) // self.size)


ALONE = World()


def communication_device() -> torch.device:
    """Return where tensors must lie to be sent."""
    return torch.device("cuda" if dist.get_backend() == "nccl" else "cpu")


def find_world() -> World:
    """Return the processes as torchrun's environment describes them; this one alone where it did not start it."""
    return World(rank=int(os.environ.get("RANK", "0")), size=int(os.environ.get("WORLD_SIZE", "1")))


def require_alone(verb: str) -> None:
    """Raise UsageError where torchrun started several processes for a command that is one process's work."""
    if find_world().size > 1:
        raise UsageError(f"{verb}: runs in one process; only 'train' shares its work among those of torchrun")


@contextmanager
def join_world(device: torch.device) -> Iterator[World]:
    """Meet the other processes that torchrun started, and part at the end; a process on its own meets nobody."""
    world = find_world()
    if world.size == 1:
        yield ALONE
        return
    with explain_lost_processes():
        dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        yield world
    finally:
        dist.destroy_process_group()


@contextmanager
def explain_lost_processes() -> Iterator[None]:
    """Turn what a collective operation raises when another process died into a LostProcessError."""
    try:
        yield
    except RuntimeError as error:
        first = next(iter(str(error).strip().splitlines()), type(error).__name__)
        if not any(word in str(error).lower() for word in MESSAGES_OF_A_LOST_PROCESS):
            raise
        raise LostProcessError(f"another process of this run is gone or cannot be reached ({first[:200]})") from None


class PartOfBatch(Share):
    """Some rows of a batch.

    Args:
        world: The processes that hold the others.
        is_stand_in: Whether the rows are another process's, since there are fewer rows than processes: they then count
            for nothing.
    """

    def __init__(self, world: World, *, is_stand_in: bool) -> None:
        self.world = world
        self.weight = 0.0 if is_stand_in else 1.0

    def count(self, value_T: Tensor) -> Tensor:
        """Return the rows of the whole batch."""
        return self.world.total(torch.tensor(self.weight * len(value_T), dtype=torch.float64, device=value_T.device))

    def mean(self, value_T: Tensor) -> Tensor:
        """Return the mean over the whole batch, of values without gradients."""
        total = self.world.total(value_T.sum(dtype=torch.float64) * self.weight)
        return (total / self.count(value_T)).to(value_T.dtype)

    def contribute(self, value_T: Tensor) -> Tensor:
        """Return what this process adds to the mean over the whole batch; the mean over processes is that mean."""
        factor = float(self.world.size * self.weight / self.count(value_T))
        return value_T.sum() * factor

    def sum_squared_means(self, value_TK: Tensor) -> Tensor:
        """Return Σ_k (mean_t v_tk)²; its mean over processes, and that of its gradients, is the whole batch's."""
        count = self.count(value_TK)
        mean_K = (self.world.total(value_TK.sum(0, dtype=torch.float64) * self.weight) / count).to(value_TK.dtype)
        own_K = value_TK.sum(0) * float(self.world.size * self.weight / count)
        return (2 * mean_K * own_K).sum() - mean_K.square().sum()


class Step(nn.Module):
    """The loss of one step as a module, which DistributedDataParallel asks for."""

    def __init__(self, model: Recommender) -> None:
        super().__init__()
        self.model = model

    def forward(self, draws: Draws, share: Share) -> list[Tensor]:
        """Return this process's part of the loss, then of the main loss and the load's balance where there is one."""
        losses = training_losses(self.model, draws, share=share)
        if losses.load_balance is None:
            return [losses.total]
        return [losses.total, losses.main.detach(), losses.load_balance.detach()]


class SharedLoss:
    """The loss of a step, and its gradients, over all processes.

    Gradients are averaged in buckets that stay as they were made: a run that is resumed adds them up in the same order.

    Args:
        model: The same on every process.
        world: The processes.
    """

    def __init__(self, model: Recommender, world: World) -> None:
        self.model = model
        self.world = world
        self.step: nn.Module | None = None
        if world.size > 1:
            # Buckets are made anew after the first step unless unused parameters are looked for.
            settings: dict[str, Any] = {KEEP_BUFFERS: False}
            self.step = DistributedDataParallel(Step(model), find_unused_parameters=True, **settings)

    def compute_gradients(self, draws: Draws) -> Losses:
        """Leave the gradients of the whole batch in the parameters and return its losses.

        Args:
            draws: Of the whole batch, the same on every process.

        Raises:
            LostProcessError: Another process is gone; no parameter has changed.
        """
        if self.step is None:
            losses = training_losses(self.model, draws, share=WHOLE)
            losses.total.backward()  # type: ignore[no-untyped-call]  # torch does not annotate it
            return losses.detach()
        rows = self.world.take_rows(len(draws.histories.length_B))
        is_stand_in = rows.start == rows.stop
        part = take_part(self.model, draws, slice(0, 1) if is_stand_in else rows)
        with explain_lost_processes():
            own: list[Tensor] = self.step(part, PartOfBatch(self.world, is_stand_in=is_stand_in))
            own[0].backward()  # type: ignore[no-untyped-call]  # torch does not annotate it
        # One sum each: the total's bits do not depend on whether there is more to tell.
        total, *parts = [self.world.total(loss) / self.world.size for loss in own]
        main, balance = parts or (total, None)
        return Losses(total=total, main=main, load_balance=balance)


def take_part(model: Recommender, draws: Draws, rows: slice) -> Draws:
    """Return some rows of a batch, with what was drawn for them."""
    histories = draws.histories
    part = replace(
        histories,
        length_B=histories.length_B[rows],
        item_BN=histories.item_BN[rows],
        time_BN=histories.time_BN[rows],
        half_star_BN=histories.half_star_BN[rows],
    )
    negative_TK = draws.negative_TK
    if negative_TK is not None:
        before = replace(histories, length_B=histories.length_B[: rows.start])
        start = count_supervised(model, before)
        negative_TK = negative_TK[start : start + count_supervised(model, part)]
    return replace(
        draws,
        histories=part,
        negative_TK=negative_TK,
        own_BH=None if draws.own_BH is None else draws.own_BH[rows],
    )
