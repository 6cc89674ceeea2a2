"""Write a folder under a temporary name and rename it when it is complete.

The writer holds a lock on it, so that leftovers of killed processes can be told from a folder that is being written.
"""

import fcntl
import os
import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from hstu_preserve.primitives.files import (
    FOLDER_FLAGS,
    begin_temporary_name,
    current_umask,
    flush_directory,
    list_leftovers,
    make_directory,
    refuse_unwritable,
    set_mode,
)


def require_nothing() -> None:
    """Let a folder take its name whatever came into being meanwhile; the system refuses to replace a filled one."""


@contextmanager
def whole_folder(directory: Path, *, require_free: Callable[[], None] = require_nothing) -> Iterator[Path]:
    """Yield a folder that becomes `directory` when the block ends without an error; an empty one may be there already.

    Folders that killed processes left of earlier attempts at the same directory are removed.

    Args:
        directory: The folder's final name.
        require_free: Raises if something came into being under that name; called right before the renaming.

    Raises:
        UnavailableError: It cannot be written.
    """
    with ExitStack() as stack:
        with refuse_unwritable(directory):
            make_directory(directory.parent)
            remove_abandoned_folders(directory)
            temporary = stack.enter_context(temporary_folder(directory))
        yield temporary
        with refuse_unwritable(directory):
            set_mode(temporary, 0o777 & ~current_umask())
            flush_directory(temporary)
            require_free()
            temporary.replace(directory)
    flush_directory(directory.parent)


@contextmanager
def temporary_folder(directory: Path) -> Iterator[Path]:
    """Yield a new empty folder beside `directory`, locked; if it still has its name at the end, it is removed.

    Raises:
        OSError: It cannot be made.
    """
    while True:
        # Not mkdtemp: a signal could come between the folder and the `try` that removes it.
        temporary = directory.parent / f"{begin_temporary_name(directory)}{secrets.token_hex(4)}.tmp"
        try:
            temporary.mkdir(mode=0o700)
            if (descriptor := hold_folder(temporary)) is not None:
                try:
                    yield temporary
                finally:
                    os.close(descriptor)
                return
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


def hold_folder(folder: Path) -> int | None:
    """Return a descriptor of the folder, locked if the file system can lock; None if the folder is gone.

    Between being made and being locked it looks abandoned, so another process may just be removing it.
    """
    try:
        descriptor = os.open(folder, FOLDER_FLAGS)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)  # waits until nobody is removing it
    except OSError:
        return descriptor  # without locks nobody removes it
    if folder.exists():
        return descriptor
    os.close(descriptor)
    return None


def remove_abandoned_folders(directory: Path) -> None:
    """Remove the folders that killed processes left beside `directory`; one that may still be written stays."""
    for folder in list_leftovers(directory):
        try:
            descriptor = os.open(folder, FOLDER_FLAGS)
        except OSError:
            continue  # a file, a link, somebody else's, or gone
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            continue
        else:
            shutil.rmtree(folder, ignore_errors=True)
        finally:
            os.close(descriptor)
