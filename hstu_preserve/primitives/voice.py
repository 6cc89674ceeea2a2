"""Let a verb talk while it works, in sentences and in progress; nobody hears it unless the caller listens."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True)
class Progress:
    """How far one long piece of work has come.

    Attributes:
        activity: The work that is going on, e.g. `epoch 3`.
        completed: Units done.
        total: Units in all.
        figures: Figures of the result so far, e.g. `{"loss": 5.1}`.
        in_bytes: Whether the units are bytes.
        seconds_left: Until all is done, if whoever works knows it better than by the units done so far.
    """

    activity: str
    completed: int
    total: int
    figures: Mapping[str, float] = field(default_factory=dict)
    in_bytes: bool = False
    seconds_left: float | None = None


def say_nothing(sentence: str) -> None:
    """Drop a sentence."""


def show_nothing(progress: Progress) -> None:
    """Drop a sign of progress."""


@dataclass(frozen=True, kw_only=True)
class Voice:
    """Two channels for a verb's talk; the caller decides whether and how it is shown.

    Attributes:
        say: Takes a sentence that the user should read, e.g. how much will be fetched, before it is.
        show: Takes the progress of whatever is being done.
        step_aside: Clears the progress bar, for a block in which another library draws progress of its own.
    """

    say: Callable[[str], None] = say_nothing
    show: Callable[[Progress], None] = show_nothing
    step_aside: Callable[[], AbstractContextManager[None]] = nullcontext


SILENT = Voice()


def count_nothing(num_bytes: int) -> None:
    """Count no bytes."""


STEP_BYTES = 2**20


class ByteProgress:
    """The progress of one activity in bytes: its beginning, at most one step a MiB, and its end."""

    def __init__(self, activity: str, *, total: int, voice: Voice) -> None:
        self.activity, self.total, self.voice = activity, total, voice
        self.completed = self._shown = 0
        self._show()

    def advance(self, num_bytes: int) -> None:
        """Count bytes that are done."""
        self.reach(self.completed + num_bytes)

    def reach(self, position: int) -> None:
        """Take the number of bytes that are done by now; a file that grows meanwhile does not go beyond its total."""
        self.completed = min(position, self.total)
        is_end = self._shown < self.completed == self.total
        # Drawing costs more than reading a small file, and an archive may have 100,000 of those.
        if is_end or self.completed - self._shown >= STEP_BYTES:
            self._show()

    def _show(self) -> None:
        self._shown = self.completed
        self.voice.show(Progress(activity=self.activity, completed=self.completed, total=self.total, in_bytes=True))
