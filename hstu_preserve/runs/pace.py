"""How fast a run trains, and how long it will take, with its evaluations."""

import time
from collections.abc import Callable

from hstu_preserve.primitives.wording import count, describe_duration


class Pace:
    """Times the steps and evaluations of a run since this process began to train it.

    Args:
        num_steps: Of the whole run.
        num_epochs: Of the whole run.
        now: Seconds on a clock that only goes forward.
    """

    def __init__(self, *, num_steps: int, num_epochs: int, now: Callable[[], float] = time.monotonic) -> None:
        self.num_steps = num_steps
        self.num_epochs = num_epochs
        self.now = now
        self.began_at = self.mark = now()
        self.steps_taken = self.epochs_ended = 0
        self.step_seconds = self.evaluation_seconds = 0.0

    def note_step(self) -> None:
        """Take the time since the last call for one step."""
        self.step_seconds += self.take_time()
        self.steps_taken += 1

    def note_epoch(self) -> None:
        """Take the time since the last call for what follows an epoch: evaluation and checkpoint."""
        self.evaluation_seconds += self.take_time()
        self.epochs_ended += 1

    def take_time(self) -> float:
        """Return the seconds since the last call."""
        before, self.mark = self.mark, self.now()
        return self.mark - before

    @property
    def steps_per_second(self) -> float:
        """Steps per second of training, evaluations apart."""
        return self.steps_taken / max(self.step_seconds, 1e-9)

    def estimate_seconds_left(self, *, steps_done: int, epochs_done: int) -> float | None:
        """Return how long the rest of the run takes, None before a step and an evaluation were timed.

        Args:
            steps_done: Of the whole run, those before this process included.
            epochs_done: Likewise, evaluated.
        """
        if not (self.epochs_ended and self.steps_taken):
            return None
        evaluations = (self.num_epochs - epochs_done) * self.evaluation_seconds / self.epochs_ended
        return (self.num_steps - steps_done) / self.steps_per_second + evaluations

    def describe_epoch(self, epoch: int, *, steps_done: int, figures: dict[str, float]) -> str:
        """Return how an epoch went that has just been evaluated, in one line."""
        shown = ", ".join(f"{name} {value:.4f}" for name, value in figures.items())
        left = self.estimate_seconds_left(steps_done=steps_done, epochs_done=epoch + 1)
        ending = f", {describe_duration(left)} left" if left is not None and epoch + 1 < self.num_epochs else ""
        return f"epoch {epoch} of {self.num_epochs}: {shown}, {self.steps_per_second:.1f} steps/s{ending}"

    def summarize(self, *, loss: float) -> str:
        """Return what this process did, in one line."""
        return (
            f"trained {count(self.epochs_ended, 'epoch')} in {describe_duration(self.now() - self.began_at)}: "
            f"{count(self.steps_taken, 'step')}, {self.steps_per_second:.1f} steps/s, final loss {loss:.4f}"
        )
