"""Let the processes of a run find each other, and say whom they wait for meanwhile."""

import os
import secrets
import socket
import time
from collections.abc import Callable
from datetime import timedelta

import torch.distributed as dist
from torch.distributed.distributed_c10d import PrefixStore, Store
from torch.distributed.rendezvous import TCPStore  # type: ignore[attr-defined]  # public, yet not exported

from hstu_preserve.compute.processes import Processes
from hstu_preserve.errors import LostProcessError, UnavailableError, UsageError
from hstu_preserve.primitives.threads import call_in_thread
from hstu_preserve.primitives.wording import list_some

MEETING_TIME = timedelta(minutes=30)
"""As long as torch waits for processes that do not come."""
POLL_SECONDS = 0.1
KNOCK_SECONDS = 2.0
SAY_AFTER_SECONDS = 2.0
"""Processes that are started together meet sooner."""


class Meeting:
    """Where the processes of one run find each other.

    Args:
        processes: Who this process is, and where they meet.
    """

    def __init__(self, processes: Processes) -> None:
        self.processes = processes
        self.deadline = time.monotonic() + MEETING_TIME.total_seconds()
        self.is_given_up = False
        self.obstacle = ""
        """What the meeting waits for now, in words."""
        self.said = ""

    @property
    def where(self) -> str:
        """The address and port at which the processes meet."""
        return f"{self.processes.address}:{self.processes.port}"

    @property
    def keeper(self) -> int | None:
        """The process that keeps the place, None if torchrun does."""
        return None if os.environ.get("TORCHELASTIC_USE_AGENT_STORE") == "True" else 0

    def hold(self, *, backend: str, say: Callable[[str], None]) -> Store:
        """Meet all other processes, form their group, and return the place where each can write something down.

        Args:
            backend: Of the group: `gloo` or `nccl`.
            say: Takes a sentence about whom this process waits for, each time that this changes.

        Raises:
            UsageError: The port is in use, or two processes contradict each other.
            LostProcessError: A process did not come.
        """
        since = time.monotonic()

        def between() -> None:
            obstacle = self.obstacle
            if obstacle != self.said and time.monotonic() - since > SAY_AFTER_SECONDS:
                self.said = obstacle
                say(f"process {self.processes.rank} of {self.processes.size} waits for {obstacle}")

        try:
            return call_in_thread(lambda: self.meet(backend), between=between, purpose="meeting the other processes")
        except BaseException:
            self.is_given_up = True
            if self.obstacle != self.said:
                say(f"process {self.processes.rank} of {self.processes.size} waited for {self.obstacle}")
            raise

    def meet(self, backend: str) -> Store:
        """Meet all other processes and form their group."""
        place = self.open_place()
        self.await_all(place)
        self.obstacle = "the connections to all other processes"
        dist.init_process_group(
            backend,
            store=PrefixStore("group", place),
            rank=self.processes.rank,
            world_size=self.processes.size,
            timeout=MEETING_TIME,
        )
        return place

    def open_place(self) -> Store:
        """Open the store that the first process, or torchrun, keeps for all.

        Raises:
            UsageError: This process is to keep it, and the port is in use.
            LostProcessError: Nobody keeps it, or it is something else.
        """
        is_keeper = self.keeper == self.processes.rank
        if self.keeper is not None:
            self.await_keeper(is_keeper=is_keeper)
        self.obstacle = f"an answer at {self.where}"
        assert self.processes.address is not None
        try:
            store = TCPStore(
                self.processes.address,
                self.processes.port,
                None,
                is_keeper,
                timeout=MEETING_TIME,
                wait_for_workers=False,
            )
        except dist.DistNetworkError as error:
            raise explain_refusal(error, where=self.where) from None
        # torchrun keeps one store for all its attempts.
        attempt = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")
        return PrefixStore(f"hstu-preserve/{attempt}", store)

    def await_keeper(self, *, is_keeper: bool) -> None:
        """Wait until the address is known and, unless this process keeps the place, somebody listens there.

        torch would wait outside Python, and write a page of its own calls at each attempt.
        """
        processes = self.processes
        while True:
            try:
                if is_keeper:
                    socket.getaddrinfo(processes.address, processes.port)
                else:
                    socket.create_connection((processes.address, processes.port), timeout=KNOCK_SECONDS).close()
            except (socket.gaierror, UnicodeError) as error:
                reason = error.strerror if isinstance(error, OSError) else "no host name"
                self.obstacle = f"the address {processes.address} of MASTER_ADDR to be known here ({reason})"
            except OSError:
                self.obstacle = f"process 0 to listen at {self.where}"
            else:
                return
            self.pause()

    def await_all(self, place: Store) -> None:
        """Write down that this process is here, and wait until all others did.

        Raises:
            UsageError: Another process has this one's number, or counts other processes.
        """
        rank, size = self.processes.rank, self.processes.size
        me = f"{size} {secrets.token_hex(8)}"
        place.set(f"here/{rank}", me)
        waiting = [other for other in range(size) if other != rank]
        while True:
            # Of two with one number, the second one stays: it may be the first one's successor, started by hand.
            if place.get(f"here/{rank}").decode() != me:
                raise UsageError(f"RANK={rank}: another process came to {self.where} under this number")
            waiting = [other for other in waiting if not place.check([f"here/{other}"])]
            if not waiting:
                break
            whom = list_some(map(str, waiting), at_most=8)
            self.obstacle = f"process{'es' if len(waiting) > 1 else ''} {whom}, to come to {self.where}"
            self.pause()
        for other in range(size):
            count = place.get(f"here/{other}").decode().split()[0]
            if count != str(size):
                raise UsageError(
                    f"WORLD_SIZE={size}: process {other}, which came to {self.where}, has WORLD_SIZE={count}"
                )

    def pause(self) -> None:
        """Let a moment pass.

        Raises:
            LostProcessError: The meeting took too long, or nobody waits for it any more.
        """
        if self.is_given_up or time.monotonic() > self.deadline:
            raise LostProcessError(
                f"process {self.processes.rank} of {self.processes.size} waited {MEETING_TIME} for {self.obstacle}"
            )
        time.sleep(POLL_SECONDS)


def explain_refusal(error: Exception, *, where: str) -> UsageError | UnavailableError:
    """Return what torch says of a meeting place that it could not open or reach, in one sentence."""
    text = str(error)
    if "EADDRINUSE" in text:
        return UsageError(f"MASTER_PORT: {where} is in use by another program; name a free port")
    if "EACCES" in text:
        return UsageError(f"MASTER_PORT: {where} is not allowed to this user; name a port above 1023")
    first = next(iter(text.splitlines()), type(error).__name__)
    return LostProcessError(f"{where}: the processes cannot meet there ({first[:200]})")
