"""Check that files to come can be written: the room on their disk, and the permission."""

import os
import shutil
from pathlib import Path

from hstu_preserve.errors import UnavailableError

SPARE_BYTES = 16 * 2**20
"""Room left on the disk beside what is written."""


def find_existing(path: Path) -> Path:
    """Return the path itself, or the nearest one above it that exists."""
    absolute = path.absolute()
    return next(one for one in (absolute, *absolute.parents) if is_there(one))


def is_there(path: Path) -> bool:
    """Whether there is something, as far as this user may see."""
    try:
        path.stat()
    except OSError:
        return False
    return True


def is_writable(folder: Path) -> bool:
    """Whether this user may make files in a folder that may still have to be made; never on a read-only disk."""
    return os.access(find_existing(folder), os.W_OK | os.X_OK)


def are_on_one_disk(left: Path, right: Path) -> bool:
    """Whether files of one folder can be linked into the other, as far as their disks go."""
    return find_existing(left).stat().st_dev == find_existing(right).stat().st_dev


def require_space(folder: Path, num_bytes: int, *, advice: str) -> None:
    """Raise UnavailableError if the disk of a folder cannot take so many bytes more; `advice` says what to do."""
    free = shutil.disk_usage(find_existing(folder)).free
    if num_bytes and num_bytes + SPARE_BYTES > free:
        raise UnavailableError(f"{folder}: {num_bytes} bytes are to be written and {free} are free; {advice}")
