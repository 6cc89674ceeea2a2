"""Several processes that train one model: each takes some rows of every batch, and none takes a step of its own.

Every process assembles and draws the whole batch, which costs little, and computes its rows of it; so the order of the
users, the negatives and every other draw are those of one process, whatever the number of processes. Losses are
normalised by the whole batch's positions: a mean of the processes' means weighs their positions differently.
"""

from dataclasses import replace
from inspect import signature
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from hstu_preserve.compute.world import World, explain_lost_processes
from hstu_preserve.model.objective import Draws, Losses, count_supervised, training_losses
from hstu_preserve.model.recommender import Recommender
from hstu_preserve.model.shares import WHOLE, Share

KEEP_BUFFERS = (
    "forward_sync_buffers"
    if "forward_sync_buffers" in signature(DistributedDataParallel).parameters
    else "broadcast_buffers"  # before torch 2.13
)
"""The argument that, when False, spares sending the buffers, which are constants, before each step."""


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
        """Return this process's part of the loss, then of the main loss and the load's balance if there is one."""
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
