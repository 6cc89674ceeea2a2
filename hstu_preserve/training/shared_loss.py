"""Several processes that train one model: each takes some rows of every batch, and none takes a step of its own.

Every process assembles and draws the whole batch, which costs little, and computes its rows of it; so the order of the
users, the negatives and every other draw are those of one process, whatever the number of processes. Losses are
normalised by the whole batch's positions: a mean of the processes' means weighs their positions differently.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Protocol

import torch
from torch import Tensor

from hstu_preserve.compute.world import World
from hstu_preserve.model.objective import Draws, Losses, count_supervised, training_losses
from hstu_preserve.model.recommender import Recommender
from hstu_preserve.model.shares import WHOLE, Share

BUCKET_BYTES = 25 * 2**20
"""Of gradients that are sent at once, as DistributedDataParallel's default: each sending has a cost of its own."""


class TrainingLosses(Protocol):
    """The loss of a batch or a part of it, as one of the paths computes it."""

    def __call__(self, model: Recommender, draws: Draws, *, share: Share) -> Losses:
        """Return the losses with their graph."""


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

    def sum_of_means(self, value_TK: Tensor, function: Callable[[Tensor], Tensor]) -> Tensor:
        """Return Σ_k f(mean_t v_tk); its mean over processes, and that of its gradients, is the whole batch's."""
        count = self.count(value_TK)
        mean_K = (self.world.total(value_TK.sum(0, dtype=torch.float64) * self.weight) / count).to(value_TK.dtype)
        own_K = value_TK.sum(0) * float(self.world.size * self.weight / count)
        mean_K.requires_grad_()
        total = function(mean_K).sum()
        (slope_K,) = torch.autograd.grad(total, mean_K)
        # The tangent at the whole batch's means: own_K is one process's share of them.
        return total.detach() + (slope_K * (own_K - mean_K.detach())).sum()


class SharedLoss:
    """The loss of a step, and its gradients, over all processes.

    Args:
        model: The same on every process.
        world: The processes.
        losses: `training_losses` of the path that is taken.
    """

    def __init__(self, model: Recommender, world: World, *, losses: TrainingLosses = training_losses) -> None:
        self.model = model
        self.world = world
        self.losses = losses

    def compute_gradients(self, draws: Draws) -> Losses:
        """Leave the gradients of the whole batch in the parameters and return its losses.

        Args:
            draws: Of the whole batch, the same on every process.

        Raises:
            LostProcessError: Another process is gone; no parameter has changed.
        """
        if self.world.size == 1:
            losses = self.losses(self.model, draws, share=WHOLE)
            losses.total.backward()  # type: ignore[no-untyped-call]  # torch does not annotate it
            return losses.detach()
        rows = self.world.take_rows(len(draws.histories.length_B))
        is_stand_in = rows.start == rows.stop
        part = take_part(self.model, draws, slice(0, 1) if is_stand_in else rows)
        own = self.losses(self.model, part, share=PartOfBatch(self.world, is_stand_in=is_stand_in))
        own.total.backward()  # type: ignore[no-untyped-call]  # torch does not annotate it
        average_gradients(list(self.model.parameters()), self.world)
        # One sum each: the total's bits do not depend on whether there is more to tell.
        total = self.average(own.total)
        if own.total is own.main:
            return Losses(total=total, main=total, load_balance=None)
        balance = None if own.load_balance is None else self.average(own.load_balance)
        auxiliary = {name: self.average(value) for name, value in own.auxiliary.items()}
        return Losses(total=total, main=self.average(own.main), load_balance=balance, auxiliary=auxiliary)

    def average(self, value: Tensor) -> Tensor:
        """Return the mean over the processes, without a gradient."""
        return self.world.total(value) / self.world.size


def average_gradients(parameters: Sequence[Tensor], world: World) -> None:
    """Replace the gradients by their means over the processes; one that no process has stays missing.

    Not DistributedDataParallel, which would do this while gradients are still computed: it waits outside Python, where
    no signal is heard, and its reducer keeps the group from ending (see `compute.world.part`).
    """
    has_gradient_P = torch.tensor([float(one.grad is not None) for one in parameters], device=parameters[0].device)
    is_shared = (world.total(has_gradient_P) > 0).tolist()
    for bucket in fill_buckets([one for one, shared in zip(parameters, is_shared, strict=True) if shared]):
        flat = torch.cat([(torch.zeros_like(one) if one.grad is None else one.grad).flatten() for one in bucket])
        means = torch.split(world.total(flat.mul_(1 / world.size)), [one.numel() for one in bucket])
        for one, mean in zip(bucket, means, strict=True):
            one.grad = mean.view_as(one)


def fill_buckets(parameters: Sequence[Tensor]) -> list[list[Tensor]]:
    """Return the parameters in groups that are sent at once, of one type each and, but for single ones, not too large.

    The groups depend on the model alone, so that a resumed run adds up in the same order.
    """
    buckets: list[list[Tensor]] = []
    num_bytes = 0
    for one in parameters:
        size = one.numel() * one.element_size()
        if not buckets or buckets[-1][0].dtype != one.dtype or num_bytes + size > BUCKET_BYTES:
            buckets.append([])
            num_bytes = 0
        buckets[-1].append(one)
        num_bytes += size
    return buckets


def take_part(model: Recommender, draws: Draws, rows: slice) -> Draws:
    """Return some rows of a batch, with what was drawn for them."""
    histories = draws.histories
    part = replace(
        histories,
        length_B=histories.length_B[rows],
        item_BN=histories.item_BN[rows],
        time_BN=histories.time_BN[rows],
        half_star_BN=histories.half_star_BN[rows],
        user_B=None if histories.user_B is None else histories.user_B[rows],
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
