"""How a verb talks while it works: sentences and progress, silent unless somebody listens."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True)
class Progress:
    """How far one long piece of work has come.

    Attributes:
        activity: What is being done, e.g. `epoch 3`.
        completed: Units done.
        total: Units in all.
        figures: What can be said of the result so far, e.g. `{"loss": 5.1}`.
        in_bytes: Whether the units are bytes.
    """

    activity: str
    completed: int
    total: int
    figures: Mapping[str, float] = field(default_factory=dict)
    in_bytes: bool = False


def say_nothing(sentence: str) -> None:
    """Drop a sentence."""


def show_nothing(progress: Progress) -> None:
    """Drop a sign of progress."""


@dataclass(frozen=True, kw_only=True)
class Voice:
    """Where a verb's talk goes; whoever listens decides whether anything is shown.

    Attributes:
        say: Takes a sentence that the user should read, e.g. how much will be fetched, before it is.
        show: Takes the progress of whatever is being done.
    """

    say: Callable[[str], None] = say_nothing
    show: Callable[[Progress], None] = show_nothing


SILENT = Voice()


class Meter:
    """Adds up the bytes of one piece of work, and shows how many of them are done.

    Args:
        activity: What is being done.
        total: Bytes in all.
        voice: Shows the progress.
    """

    def __init__(self, activity: str, *, total: int, voice: Voice) -> None:
        self.activity, self.total, self.voice = activity, total, voice
        self.completed = 0

    def add(self, num_bytes: int) -> None:
        """Count bytes; a negative number takes back what has to be done again."""
        self.completed += num_bytes
        self.voice.show(Progress(activity=self.activity, completed=self.completed, total=self.total, in_bytes=True))


def count_nothing(num_bytes: int) -> None:
    """Count no bytes."""
