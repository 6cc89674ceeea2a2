"""Write a folder under a temporary name and rename it when it is complete.

The writer holds a lock on it, so that leftovers of killed processes can be told from a folder that is being written.
"""

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from hstu_preserve.errors import UnavailableError
from hstu_preserve.primitives.files import current_umask, flush_directory, make_directory, refuse_unwritable, set_mode
from hstu_preserve.primitives.removal import remove_tree
from hstu_preserve.primitives.temporaries import (
    FOLDER_FLAGS,
    draw_temporary,
    is_abandoned,
    is_held,
    list_leftovers,
    remove_abandoned,
)

SCRATCH_NAME = "hstu-preserve"
TMPDIR_ADVICE = "name a folder with room for the unpacked bundle in TMPDIR"


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
            remove_abandoned(list_leftovers(directory))
            temporary = stack.enter_context(temporary_folder(directory))
        yield temporary
        with refuse_unwritable(directory):
            set_mode(temporary, 0o777 & ~current_umask())
            flush_directory(temporary)
            require_free()
            temporary.replace(directory)
    flush_directory(directory.parent)


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """Yield a new empty folder where TMPDIR says, which does not outlive the block.

    Raises:
        UnavailableError: It cannot be made there, or there is no room for what the block writes.
    """
    named = os.environ.get("TMPDIR")
    try:
        place = Path(named or tempfile.gettempdir())  # what TMPDIR names, where Python would go on to another one
        with temporary_folder(place / SCRATCH_NAME) as folder:
            yield folder
    except UnavailableError as error:
        if str(error).startswith(f"{place}{os.sep}") and "cannot be written" in str(error):
            raise UnavailableError(f"{error}; {TMPDIR_ADVICE}") from None
        raise
    except OSError as error:
        where = f"TMPDIR={named}" if named else "no folder for temporary files"
        raise UnavailableError(f"{where}: cannot be written ({error.strerror or error}); {TMPDIR_ADVICE}") from None


def list_abandoned_scratch_folders() -> list[Path]:
    """Return the folders that killed processes left where TMPDIR says."""
    try:
        place = Path(os.environ.get("TMPDIR") or tempfile.gettempdir())
    except OSError:
        return []
    return [folder for folder in list_leftovers(place / SCRATCH_NAME) if is_abandoned(folder)]


@contextmanager
def temporary_folder(directory: Path) -> Iterator[Path]:
    """Yield a new empty folder beside `directory`, locked; if it still has its name at the end, it is removed.

    Raises:
        OSError: It cannot be made.
    """
    while True:
        # Not mkdtemp: a signal could come between the folder and the `try` that removes it.
        temporary = draw_temporary(directory)
        try:
            temporary.mkdir(mode=0o700)
            if (descriptor := hold_folder(temporary)) is not None:
                try:
                    yield temporary
                finally:
                    os.close(descriptor)
                return
        finally:
            remove_tree(temporary)


def hold_folder(folder: Path) -> int | None:
    """Return a descriptor of the folder, locked if the file system can lock; None if the folder is gone."""
    try:
        descriptor = os.open(folder, FOLDER_FLAGS)
    except FileNotFoundError:
        return None
    if is_held(descriptor, folder):
        return descriptor
    os.close(descriptor)
    return None
