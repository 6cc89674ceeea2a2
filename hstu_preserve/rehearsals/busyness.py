"""Tell times of an idle machine from those of one that does other work."""

import time

LEAST_SHARE = 0.6
"""Of one core's time, which a process that computes on an idle machine has nearly all of."""


class CoreShare:
    """How much of one core's time this process has had since this object was made; above 1 with several threads."""

    def __init__(self) -> None:
        self.start = time.perf_counter()
        self.processor_start = time.process_time()

    def measure(self) -> float:
        """Return the share until now."""
        return (time.process_time() - self.processor_start) / max(time.perf_counter() - self.start, 1e-9)


def describe_other_work(core_share: float) -> str | None:
    """Return a warning if a measurement waited for other processes more than it computed, None if it did not."""
    if core_share >= LEAST_SHARE:
        return None
    return (
        f"the machine is busy: this process had {core_share:.0%} of one core, so that all times here are too long for "
        "an idle one"
    )
