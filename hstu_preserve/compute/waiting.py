"""Wait for other processes in Python, in short stretches: what waits outside Python hears no signal until it is over.

A process that waits longer than a moment writes down at the meeting place that it does, so that those who wait can name
the process that is missing.
"""

import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from functools import partial

import torch.distributed as dist
from torch.distributed.distributed_c10d import Store

from hstu_preserve.primitives.threads import start_thread
from hstu_preserve.primitives.wording import list_some

STRETCH_SECONDS = 0.2
"""How long a signal goes unheard."""
POLL_SECONDS = 0.001
"""Between two looks at work that can't be waited for outside Python: NCCL gives up what is waited for with a limit."""
ASK_AFTER_SECONDS = 0.6
NOTICE_AFTER_SECONDS = 30.0
"""When the first of those who wait says so; then after twice as long, and so on. A checkpoint may take that long."""


def ignore_signals(since: float) -> None:
    """Wait whatever comes."""


@dataclass(kw_only=True)
class Attention:
    """What a process that waits for others heeds and says meanwhile.

    Attributes:
        rank: This process.
        size: How many there are.
        place: Where the processes write down who is there.
        keeper: The process that keeps the place, None if torchrun does.
        say: Takes a sentence for the user.
        heed: Is called between two stretches with the `time.monotonic()` at which the wait began; ends it by raising.
    """

    rank: int
    size: int
    place: Store
    keeper: int | None
    say: Callable[[str], None]
    heed: Callable[[float], None] = ignore_signals
    number: int = 0
    """Of the waits so far: the processes wait for the same things in the same order."""
    missing: tuple[int, ...] = ()
    """The processes that had not come to what this one waits for when they were last asked after."""

    def wait_for(self, work: dist.Work) -> None:
        """Wait until a collective operation is done on this process.

        Raises:
            RuntimeError: It failed: another process is gone, or did not come within the group's time.
        """
        self.number += 1
        self.missing = ()
        is_over = threading.Event()
        try:
            self.wait_in_stretches(work, is_over)
        finally:
            is_over.set()

    def wait_in_stretches(self, work: dist.Work, is_over: threading.Event) -> None:
        """Wait, and between two stretches heed signals, ask after the others and say who is missing."""
        since, ask, notice = time.monotonic(), ASK_AFTER_SECONDS, NOTICE_AFTER_SECONDS
        while not wait_a_stretch(work):
            waited = time.monotonic() - since
            if waited >= ask:
                ask = math.inf
                start_thread(partial(self.ask_after_others, self.number, is_over), name="asks after other processes")
            try:
                self.heed(since)
            except BaseException:
                self.say(f"process {self.rank} of {self.size} waits for {self.name_missing()} no longer")
                raise
            if waited >= notice:
                notice *= 2
                # The first of those that wait says it for all.
                if all(rank in self.missing for rank in range(self.rank)):
                    self.say(f"process {self.rank} of {self.size} has waited {waited:.0f} s for {self.name_missing()}")

    def ask_after_others(self, number: int, is_over: threading.Event) -> None:
        """Write down that this process waits, and look who else does until it is over.

        In a thread of its own: the place is another process's, which may be the one that hangs.
        """
        others = [rank for rank in range(self.size) if rank != self.rank]
        if self.keeper in others:
            self.missing = (self.keeper,)  # until it answers
        try:
            self.place.set(f"waits/{self.rank}/{number}", "")
            while not is_over.wait(STRETCH_SECONDS):
                self.missing = tuple(rank for rank in others if not self.place.check([f"waits/{rank}/{number}"]))
            self.place.delete_key(f"waits/{self.rank}/{number}")
        except RuntimeError:  # the place is gone, too
            return

    def name_missing(self) -> str:
        """Return whom this process waits for, by number if anybody could be asked."""
        if not self.missing:
            return "another process"
        return f"process{'es' if len(self.missing) > 1 else ''} {list_some(map(str, self.missing), at_most=8)}"


def wait_a_stretch(work: dist.Work) -> bool:
    """Wait a moment, and return whether the work is done.

    Raises:
        RuntimeError: It failed.
    """
    if dist.get_backend() == dist.Backend.GLOO:
        try:
            return work.wait(timedelta(seconds=STRETCH_SECONDS))
        except RuntimeError:
            if work.is_completed():
                work.wait()  # again, for the error it may have ended with
                return True
            return False
    deadline = time.monotonic() + STRETCH_SECONDS
    while not work.is_completed():
        if time.monotonic() >= deadline:
            return False
        time.sleep(POLL_SECONDS)
    return work.wait()
