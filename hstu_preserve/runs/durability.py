"""The settings by which a run outlives the process that trains it."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Durability:
    """When checkpoints are written and which stay; nothing here decides a number.

    Attributes:
        resume: Whether it goes on with what is in its directory.
        num_kept: How many of the newest checkpoints after an epoch stay, beside the best; 0 keeps all.
        minutes: Time after which a checkpoint is written within an epoch.
        again: What goes on with the run if it is left before its end, in words.
    """

    resume: bool = False
    num_kept: int = 2
    minutes: float = 10.0
    again: str = "the same command with --resume"
