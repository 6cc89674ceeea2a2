"""The processes of one run: they wait for each other, agree, add up and gather."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

from hstu_preserve.compute.processes import count_processes, find_rank
from hstu_preserve.compute.threads import require_communication_threads
from hstu_preserve.errors import LostProcessError

T = TypeVar("T")


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
        """Whether this process is the one that writes the files of the run."""
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
    """Return the device that tensors must be on to be sent."""
    return torch.device("cuda" if dist.get_backend() == "nccl" else "cpu")


@contextmanager
def join_world(device: torch.device) -> Iterator[World]:
    """Meet the other processes that torchrun started, and part at the end; yield ALONE if it started none."""
    world = World(rank=find_rank(), size=count_processes())
    if world.size == 1:
        yield ALONE
        return
    require_communication_threads()
    with explain_lost_processes():
        dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        yield world
    finally:
        dist.destroy_process_group()


@contextmanager
def explain_lost_processes() -> Iterator[None]:
    """Turn the error that a collective operation raises when another process died into a LostProcessError."""
    try:
        yield
    except RuntimeError as error:
        first = next(iter(str(error).strip().splitlines()), type(error).__name__)
        if not any(word in str(error).lower() for word in MESSAGES_OF_A_LOST_PROCESS):
            raise
        raise LostProcessError(f"another process of this run is gone or cannot be reached ({first[:200]})") from None
