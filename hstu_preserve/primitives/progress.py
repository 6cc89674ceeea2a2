"""What a workflow tells while it works; who listens decides whether anything is shown."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Progress:
    """One sign of life.

    Attributes:
        activity: What is being done, e.g. `epoch 3`.
        completed: Units done.
        total: Units in all.
        figures: What can be said of the result so far, e.g. `{"loss": 5.1}`.
    """

    activity: str
    completed: int
    total: int
    figures: dict[str, float]


Listener = Callable[[Progress], None]
Announcer = Callable[[str], None]
"""Is told, in words, what the user should know before it happens."""


def ignore(progress: Progress) -> None:
    """Listen to nothing."""


def say_nothing(message: str) -> None:
    """Keep what would be announced to oneself."""
