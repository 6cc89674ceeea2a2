"""Every deliberate error, with the exit code the command line gives it.

PreserveError
├── UsageError                     2  the caller asked for something that makes no sense
│   ├── MissingPathError           2  a named file or directory is not there
│   ├── UnknownNameError           2  an id, name or metric that does not exist; the nearest are offered
│   └── RecipeError                2  a gin file or recipe that cannot be read; file and line are named
├── ContentError                   3  content is not what it claims to be
│   ├── VerificationError          3  findings against a manifest
│   ├── DataMismatchError          3  another dataset than the recipe or bundle names
│   ├── CheckpointError            3  a checkpoint that is damaged or of another shape
│   └── DivergedError              3  a training whose loss or weights became NaN or infinite
├── UnavailableError               4  something is missing on this machine (package, data, device, permission, space)
│   ├── LostProcessError           4  another process of a run is gone
│   └── UnreachableError           4  a server does not answer at all
├── NotReproducedError             5  a verdict said no
└── InconclusiveError              6  a verdict could not be reached
    └── NotRunnableError           6  a bundle or this machine lacks what a rung needs to be run
"""

from collections.abc import Iterable
from typing import ClassVar


class PreserveError(Exception):
    """Base of every error that is somebody's fault but not a bug of ours."""

    exit_code: ClassVar[int] = 1


class UsageError(PreserveError):
    """The request itself is wrong."""

    exit_code = 2


class MissingPathError(UsageError):
    """A path that was named does not exist."""


class UnknownNameError(UsageError):
    """A name that is not known; carries the nearest known ones."""

    def __init__(self, *, kind: str, name: str, known: Iterable[str], hint: str = "") -> None:
        from difflib import get_close_matches

        self.kind, self.name = kind, name
        self.nearest = get_close_matches(name, list(dict.fromkeys(known)), n=3, cutoff=0.4)
        offer = f"; did you mean {' or '.join(map(repr, self.nearest))}?" if self.nearest else ""
        ending = f"{' ' if offer else '; '}{hint}" if hint else ""
        super().__init__(f"{name}: unknown {kind}{offer}{ending}")


class RecipeError(UsageError):
    """A gin chain that does not resolve to a recipe; the message names file and line."""


class ContentError(PreserveError):
    """Content is not what it claims to be."""

    exit_code = 3


class VerificationError(ContentError):
    """Bytes differ from what the manifest promises.

    Attributes:
        findings: Every difference as data: `hstu_preserve.records.contents.Finding`; none where the message is all.
    """

    def __init__(self, message: str, *, findings: Iterable[object] = ()) -> None:
        self.findings = tuple(findings)
        super().__init__(message)


class DataMismatchError(ContentError):
    """The data is not the data that the recipe or bundle names."""


class CheckpointError(ContentError):
    """A checkpoint is damaged, unsafe or of another shape."""


class DivergedError(ContentError):
    """A training came to nothing: its loss or its weights are no numbers any more."""


class UnavailableError(PreserveError):
    """Something this machine lacks: a package, data, a device, permission or space."""

    exit_code = 4


class LostProcessError(UnavailableError):
    """Another process of a run on several is gone or cannot be reached."""


class UnreachableError(UnavailableError):
    """Nobody answers at an address: no network, no such name, a refused connection, or settings that allow none."""


class NotReproducedError(PreserveError):
    """The claim does not hold on a rung that was asked for."""

    exit_code = 5


class InconclusiveError(PreserveError):
    """No verdict was possible on a rung that was asked for."""

    exit_code = 6


class NotRunnableError(InconclusiveError):
    """A rung cannot be run: the bundle records too little for it, or it would compare what is not comparable."""


def worst_exit_code(codes: Iterable[int]) -> int:
    """Return the exit code of several results: the lowest of 3 to 6 that occurred, else 2 if it occurred, else 0.

    A request that makes no sense (2) says nothing of the bytes, so that it must not hide a finding (3) on another one.
    """
    failed = set(codes) - {0}
    return min(failed - {UsageError.exit_code}, default=min(failed, default=0))
