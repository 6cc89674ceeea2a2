"""Hold what the user asks of a run of somebody else's code, and what it is run on."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hstu_preserve.archived.workspace import Stage, parse_stage, parse_variable
from hstu_preserve.errors import UsageError
from hstu_preserve.gin_recipes.overlay import parse_binding

if TYPE_CHECKING:
    from torch import Tensor

StageData = Callable[[Path], None]
"""Writes the data that the code reads below the folder in which it runs."""
DEVICES = ("auto", "cpu", "cuda")
WORLD_SIZE = re.compile(r"-ddp(?P<size>[0-9]{1,4})(?:-|$)")


@dataclass(frozen=True, kw_only=True)
class ArchivedSettings:
    """What the user asks for.

    Attributes:
        code: The archive or folder of the code.
        trusted: The digest of the code that he trusts; None runs nothing.
        entry: The script below the code's folder; None is `main.py`.
        python: The interpreter; None is the one that runs this program.
        stages: Files that the code finds at places of their own.
        overlay: Bindings that follow the bundle's.
        environment: Variables for the code, beside those it needs.
        timeout_seconds: After which a run is ended; None never.
        device: `auto`, `cpu` or `cuda`.
        skips_training: Whether data loaders yield nothing while the model trains; otherwise it trains with rate 0.
        output: A new folder for code, runs and their output.
    """

    code: Path
    trusted: str | None
    entry: str | None
    python: Path | None
    stages: tuple[Stage, ...]
    overlay: tuple[str, ...]
    environment: Mapping[str, str]
    timeout_seconds: float | None
    device: str
    skips_training: bool
    output: Path


@dataclass(frozen=True, kw_only=True)
class AuthorCode:
    """The author's code, as the user names it, and how it is to be run.

    Attributes:
        code: The archive or folder of the code; None takes the one that lies beside the bundle or was fetched with it.
        trust: The sha256 of the code that the user trusts; None runs nothing, and says what would be run.
        entry: The script below the code's folder; None is `main.py`.
        python: The interpreter of an environment that the user built; None is the one that runs this program.
        stages: `SRC=DEST`, files that the code finds below the folder in which it runs.
        overlay: `NAME = VALUE`, gin bindings that follow the bundle's.
        environment: `NAME=VALUE`, variables for the code.
        timeout_minutes: After which a run is ended with all of its processes; None never.
        skips_training: Whether the one epoch of an evaluation trains on nothing; else it trains with a rate of 0.
    """

    code: str | Path | None = None
    trust: str | None = None
    entry: str | None = None
    python: str | Path | None = None
    stages: Sequence[str] = ()
    overlay: Sequence[str] = ()
    environment: Sequence[str] = ()
    timeout_minutes: float | None = None
    skips_training: bool = True

    def settle(self, *, code: Path | None, device: str, output: Path | None) -> ArchivedSettings:
        """Return the settings of the runs.

        Raises:
            UsageError: No code, no output folder, or a stage, variable or device that makes no sense.
            RecipeError: An overlay line is not one binding.
            MissingPathError: There is no file to stage.
        """
        if code is None:
            raise UsageError("--runner archived: name the author's code with --code FILE|DIR")
        if output is None:
            raise UsageError("--runner archived: name a new directory with --output; the code runs in it")
        if device not in DEVICES:
            raise UsageError(f"--device {device}: unknown; choose from {', '.join(DEVICES)}")
        for line in self.overlay:
            parse_binding(line)
        return ArchivedSettings(
            code=code,
            trusted=self.trust,
            entry=self.entry,
            python=None if self.python is None else Path(self.python),
            stages=tuple(map(parse_stage, self.stages)),
            overlay=tuple(self.overlay),
            environment=dict(map(parse_variable, self.environment)),
            timeout_seconds=None if self.timeout_minutes is None else 60.0 * self.timeout_minutes,
            device=device,
            skips_training=self.skips_training,
            output=output,
        )


NATIVE, ARCHIVED = "native", "archived"


def choose_runner(runner: str, author_code: AuthorCode) -> AuthorCode | None:
    """Return the author's code if it is to run, None if this program's is.

    Raises:
        UsageError: There is no such runner, or the code is described for a runner that runs none of it.
    """
    if runner == ARCHIVED:
        return author_code
    if runner != NATIVE:
        raise UsageError(f"--runner {runner}: unknown; choose from {NATIVE}, {ARCHIVED}")
    if author_code != AuthorCode():
        raise UsageError("options of the author's code need --runner archived; add it, or leave them out")
    return None


@dataclass(frozen=True, kw_only=True)
class ArchivedBundle:
    """What a run of the code takes from a bundle, each part read by this program and never executed by it.

    Attributes:
        name: The bundle's or the checkpoint's, which may say on how many GPUs it was made.
        gins: Every gin file by its path in the archive.
        entry: The gin file that a run is given.
        root: The folder that includes are also looked up in.
        weights: The checkpoint's tensors by name.
    """

    name: str
    gins: Mapping[str, bytes]
    entry: str
    root: str
    weights: "Mapping[str, Tensor]"

    @property
    def world_size(self) -> int:
        """On how many GPUs it was made, as upstream writes into a run's name: `-ddp8`."""
        found = WORLD_SIZE.search(self.name)
        return int(found["size"]) if found else 1
