"""The processes of one run: they wait for each other, agree, add up and gather."""

import pickle
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

from hstu_preserve.compute.meeting import Meeting
from hstu_preserve.compute.processes import find_processes
from hstu_preserve.compute.threads import require_communication_threads
from hstu_preserve.compute.waiting import Attention, ignore_signals
from hstu_preserve.errors import LostProcessError
from hstu_preserve.primitives.threads import leave_behind, left_behind

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
        return value.detach()

    def gather(self, value: T) -> list[T]:
        """Return every process's value, by rank.

        Raises:
            LostProcessError: One is gone.
        """
        return [value]

    def take_rows(self, num_rows: int) -> slice:
        """Return this process's rows of a batch; parts differ by one row at most."""
        return slice(num_rows * self.rank // self.size, num_rows * (self.rank + 1) // self.size)


ALONE = World()


@dataclass(frozen=True, kw_only=True)
class JoinedWorld(World):
    """Several processes, while they are one group.

    Everything that they send each other goes through `finish`: nothing else holds the group or waits outside Python.

    Attributes:
        attention: What this process heeds while it waits for the others.
    """

    attention: Attention

    def total(self, value: Tensor) -> Tensor:
        """Return the sum over the processes, without a gradient."""
        result = value.detach().clone()
        with explain_lost_processes(self.attention):
            self.finish(dist.all_reduce(result, async_op=True))
        return result

    def gather(self, value: T) -> list[T]:
        """Return every process's value, by rank."""
        content = torch.frombuffer(bytearray(pickle.dumps(value)), dtype=torch.uint8).to(communication_device())
        lengths = self.gather_tensors(torch.tensor([len(content)], device=content.device))
        padded = content.new_zeros(int(max(lengths)))
        padded[: len(content)] = content
        parts = self.gather_tensors(padded)
        # What this program pickled itself, on machines that train together.
        return [
            pickle.loads(part[: int(length)].cpu().numpy().tobytes())  # noqa: S301
            for part, length in zip(parts, lengths, strict=True)
        ]

    def gather_tensors(self, tensor: Tensor) -> list[Tensor]:
        """Return every process's tensor, by rank; all have one shape."""
        parts = [torch.empty_like(tensor) for _ in range(self.size)]
        with explain_lost_processes(self.attention):
            self.finish(dist.all_gather(parts, tensor, async_op=True))
        return parts

    def finish(self, work: dist.Work | None) -> None:
        """Wait until a collective operation is done.

        Raises:
            RuntimeError: It failed.
        """
        assert work is not None  # only a process outside the group has none
        try:
            self.attention.wait_for(work)
        finally:
            if not work.is_completed():
                leave_behind(work)


def communication_device() -> torch.device:
    """Return the device that tensors must be on to be sent."""
    return torch.device("cuda" if dist.get_backend() == "nccl" else "cpu")


@contextmanager
def join_world(
    device: torch.device, *, say: Callable[[str], None], heed: Callable[[float], None] = ignore_signals
) -> Iterator[World]:
    """Meet the other processes that torchrun started, and part at the end; yield ALONE if it started none.

    Args:
        device: Where this process computes.
        say: Takes a sentence about whom this process waits for.
        heed: Is called while it does, with the `time.monotonic()` at which the wait began; ends it by raising.

    Raises:
        UsageError: The environment contradicts itself or the other processes', or names a port in use.
        LostProcessError: Another process did not come.
    """
    processes = find_processes()
    if processes.size == 1:
        yield ALONE
        return
    require_communication_threads()
    meeting = Meeting(processes)
    with explain_lost_processes():
        place = meeting.hold(backend="nccl" if device.type == "cuda" else "gloo", say=say)
    attention = Attention(
        rank=processes.rank, size=processes.size, place=place, keeper=meeting.keeper, say=say, heed=heed
    )
    try:
        yield JoinedWorld(rank=processes.rank, size=processes.size, attention=attention)
    finally:
        part()


def part() -> None:
    """Leave the group, whose threads end with it.

    gloo's group joins its threads when it is freed, and they may be waiting for Python's lock to free what they sent.
    torch frees the group without the lock if its own registry is the last that holds it; other objects of torch that
    may be the last, such as the reducer of DistributedDataParallel, free it with the lock, and both wait for ever.
    """
    if left_behind:  # a partner hangs: the threads do not end, and whoever freed the group would wait for them
        leave_behind(dist.group.WORLD)
    else:
        dist.destroy_process_group()


@contextmanager
def explain_lost_processes(attention: Attention | None = None) -> Iterator[None]:
    """Turn the error that a collective operation raises when another process died into a LostProcessError."""
    try:
        yield
    except RuntimeError as error:
        first = next(iter(str(error).strip().splitlines()), type(error).__name__)
        if not any(word in str(error).lower() for word in MESSAGES_OF_A_LOST_PROCESS):
            raise
        whom = attention.name_missing() if attention else "another process"
        raise LostProcessError(f"{whom} of this run is gone or cannot be reached ({first[:200]})") from None
