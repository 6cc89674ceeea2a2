"""The names that unfinished files and folders have beside their destinations, and what killed writers left under them.

Whoever writes holds a lock on the unfinished file or folder, so that what a killed process left can be told from what
is being written. Only what bears this program's mark is ever removed: others, too, end their temporaries in `.tmp`.
"""

import fcntl
import os
import re
import secrets
from collections.abc import Iterable
from pathlib import Path

from hstu_preserve.primitives.removal import remove_tree

MARK = ".hstu-preserve.tmp"
"""How the names of all temporaries of this program end."""
MAX_BORROWED_BYTES = 160
"""Of a destination's own name in the name of its temporary: a file system's limit is 255 for both together."""
DRAWN = re.compile(r"[0-9a-f]{8}")
FOLDER_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
"""Open a folder itself, never the target of a link that took its place."""


def draw_temporary(path: Path) -> Path:
    """Return a new name beside `path` for what shall become it."""
    return path.with_name(f"{begin_temporary_name(path)}{secrets.token_hex(4)}{MARK}")


def begin_temporary_name(path: Path) -> str:
    """Return how the names of all temporaries of a path begin."""
    return f".{os.fsencode(path.name)[:MAX_BORROWED_BYTES].decode(errors='ignore')}."


def list_leftovers(path: Path) -> list[Path]:
    """Return the files and folders beside `path` that killed writers of it may have left, not yet renamed to it."""
    beginning = begin_temporary_name(path)
    return sorted(
        other
        for other in list_directory(path.parent)
        if other.name.startswith(beginning) and other.name.endswith(MARK) and is_drawn(other.name[len(beginning) :])
    )


def is_drawn(ending: str) -> bool:
    """Whether a name's ending is one that `draw_temporary` draws."""
    return DRAWN.fullmatch(ending.removesuffix(MARK)) is not None


def list_directory(directory: Path) -> list[Path]:
    """Return what is in a directory, nothing if it cannot be read."""
    try:
        return list(directory.iterdir())
    except OSError:
        return []


def is_held(descriptor: int, path: Path) -> bool:
    """Lock a new temporary, and return whether it is still there.

    Between being made and being locked it looks abandoned, so that another process may just be removing it.
    """
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)  # waits until nobody is removing it
    except OSError:
        return True  # without locks nobody removes it
    try:
        return os.path.samestat(os.fstat(descriptor), os.lstat(path))
    except FileNotFoundError:
        return False


def remove_abandoned(leftovers: Iterable[Path]) -> None:
    """Remove the files and folders that killed processes left; one that may still be written stays."""
    for path in leftovers:
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
        except OSError:
            continue  # a link, somebody else's, or gone
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            remove_tree(path) if path.is_dir() else path.unlink(missing_ok=True)
        except OSError:
            continue  # it is being written, or nobody here may remove it
        finally:
            os.close(descriptor)


def is_abandoned(path: Path) -> bool:
    """Whether a folder is one that a killed process left; nothing is changed."""
    try:
        descriptor = os.open(path, FOLDER_FLAGS)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return True


def remove_abandoned_below(directory: Path) -> None:
    """Remove the files that killed processes left anywhere below a directory."""
    remove_abandoned(path for path in sorted(directory.rglob(f".*{MARK}")) if path.is_file() and not path.is_symlink())
