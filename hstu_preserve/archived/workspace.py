"""Lay out the folder in which a run of somebody else's code finds what it reads, and leaves what it writes."""

import hashlib
import os
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from hstu_preserve.archived.top_folder import find_top
from hstu_preserve.errors import MissingPathError, UnavailableError, UsageError
from hstu_preserve.primitives.digests import sha256_of_file
from hstu_preserve.primitives.files import refuse_unwritable
from hstu_preserve.primitives.paths import require_inside_bundle
from hstu_preserve.primitives.wording import printable
from hstu_preserve.records.verdict import Fact

WRITTEN_FOLDERS = frozenset({"tmp", "exps", "ckpts", "logs"})
"""Where trainers of this layout write, and read their data."""


@dataclass(frozen=True, kw_only=True)
class Stage:
    """A file or folder that a run finds at a place of its own.

    Attributes:
        source: Where it is now.
        place: Below the folder in which the code runs.
    """

    source: Path
    place: str


def parse_stage(text: str) -> Stage:
    """Return what `SRC=DEST` asks for.

    Raises:
        UsageError: Not of that form, or DEST leads out of the run's folder.
        MissingPathError: There is no SRC.
    """
    source, separator, place = text.rpartition("=")
    if not separator or not source or not place:
        raise UsageError(f"--stage {printable(text)}: write SRC=DEST, DEST below the folder in which the code runs")
    try:
        require_inside_bundle(place)
    except ValueError as error:
        raise UsageError(f"--stage {printable(text)}: {printable(str(error))}") from None
    if not Path(source).exists():
        raise MissingPathError(f"--stage {source}: no such file or directory")
    return Stage(source=Path(source), place=place)


def parse_variable(text: str) -> tuple[str, str]:
    """Return the name and the value of `NAME=VALUE`.

    Raises:
        UsageError: Not of that form.
    """
    name, separator, value = text.partition("=")
    if not separator or not name.isidentifier():
        raise UsageError(f"--env {printable(text)}: write NAME=VALUE")
    return name, value


def make_work_folder(folder: Path, *, code: Path) -> None:
    """Make the folder in which the code runs: links to everything at the code's top that no run writes to.

    Raises:
        UnavailableError: It cannot be made.
    """
    top = code / find_top([path.relative_to(code).as_posix() for path in code.rglob("*") if path.is_file()])
    with refuse_unwritable(folder):
        folder.mkdir()
        for path in sorted(top.iterdir()):
            if path.name not in WRITTEN_FOLDERS:
                (folder / path.name).symlink_to(os.path.relpath(path, folder))


def stage(stages: Sequence[Stage], folder: Path) -> None:
    """Copy what a run reads to its places: a copy, since the code may write to it.

    Raises:
        UsageError: Something is at a place already.
        UnavailableError: It cannot be read or written.
    """
    for one in stages:
        place = folder / one.place
        if os.path.lexists(place) or any(parent.is_symlink() for parent in place.parents if parent != folder):
            raise UsageError(f"--stage {one.source}={one.place}: the code has something there already")
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
            if one.source.is_dir():
                shutil.copytree(one.source, place)
            else:
                shutil.copyfile(one.source, place)
        except (OSError, shutil.Error) as error:
            reason = getattr(error, "strerror", None) or type(error).__name__
            raise UnavailableError(f"--stage {one.source}={one.place}: cannot be copied ({reason})") from None


def list_staged(folder: Path) -> Iterator[Path]:
    """Yield every file below the folder in which the code runs that was put there, by path."""
    for root, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not Path(root, name).is_symlink())
        yield from (Path(root, name) for name in sorted(names) if not Path(root, name).is_symlink())


MAX_NAMED_FILES = 16


def describe_staged(folder: Path) -> tuple[Fact, ...]:
    """Return the digest of each file that was put into the folder; of many, one digest of their listing."""
    listed = [(path.relative_to(folder).as_posix(), sha256_of_file(path)) for path in list_staged(folder)]
    if len(listed) <= MAX_NAMED_FILES:
        return tuple(Fact(name=f"staged {PurePosixPath(path)}", value=digest) for path, digest in listed)
    lines = "".join(f"{digest}  {path}\n" for path, digest in listed)
    return (
        Fact(name="staged files", value=len(listed)),
        Fact(name="staged listing", value=hashlib.sha256(lines.encode()).hexdigest()),
    )
