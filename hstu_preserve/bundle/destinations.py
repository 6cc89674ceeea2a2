"""Check before the work begins that its result can be written, so that no hour of work ends in a refusal."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from hstu_preserve.bundle.layout import CONFIG_FOLDER, GENERATED_NAMES, RUN_RECORD
from hstu_preserve.errors import UsageError
from hstu_preserve.primitives.files import MAX_NAME_BYTES, refuse_unwritable
from hstu_preserve.primitives.temporary_folders import whole_folder

STORE_FILES = frozenset({"store.json", "offsets.npy"})
RUN_FILES = frozenset({RUN_RECORD, CONFIG_FOLDER})
TREES = (RUN_FILES, GENERATED_NAMES, STORE_FILES)
"""Names that together make a folder a run, an unpacked bundle or a store: a file more, and it is another one."""


def require_new(path: Path, *, option: str) -> None:
    """Require that nothing is at `path` and that it can be written.

    Args:
        path: The new file or folder.
        option: The option with which the user names it, for the message.

    Raises:
        UsageError: Something is there, or it would become part of a run, bundle or store.
        UnavailableError: It cannot be written.
    """
    if os.path.lexists(path):
        raise UsageError(f"{path}: exists; name a new one with {option}")
    require_writable(path, option=option)


def require_writable(path: Path, *, option: str) -> None:
    """Require that a file or folder can be written at `path`, its missing parents included.

    Raises:
        UsageError: It would become part of a run, bundle or store, its parent is a file, or its name is too long.
        UnavailableError: No permission, a read-only disk, ….
    """
    length = len(os.fsencode(path.name))
    if length > MAX_NAME_BYTES:
        raise UsageError(
            f"{path}: a name of {length} bytes, of which a file's has at most {MAX_NAME_BYTES}; set {option}"
        )
    parents = Path(os.path.realpath(path)).parents  # a link may lead into a run or bundle
    tree = next((folder for folder in parents if is_tree(folder)), None)
    if tree is not None:
        raise UsageError(f"{path}: lies inside {tree}, a run, bundle or store, whose files are fixed; change {option}")
    nearest = next(folder for folder in parents if os.path.lexists(folder))
    if not nearest.is_dir():
        raise UsageError(f"{path}: {nearest} is a file, not a directory; change {option}")
    with refuse_unwritable(path):
        tempfile.TemporaryFile(dir=nearest).close()


def is_tree(folder: Path) -> bool:
    """Whether a folder is a run, an unpacked bundle or a store."""
    return any(all(os.path.lexists(folder / name) for name in names) for names in TREES)


@contextmanager
def new_folder(directory: Path, *, option: str) -> Iterator[Path]:
    """Yield an empty folder beside `directory` that takes its name when the block ends without an error.

    So neither a signal nor a full disk leaves a half-made folder, which would keep the same command from running again.

    Raises:
        UsageError: The directory exists, or would become part of a run, bundle or store.
        UnavailableError: It cannot be written.
    """
    require_new(directory, option=option)
    with whole_folder(directory, require_free=partial(require_absent, directory)) as temporary:
        yield temporary


def require_absent(directory: Path) -> None:
    """Raise UsageError if something took the name of a folder while it was being made."""
    if os.path.lexists(directory):
        raise UsageError(f"{directory}: came into being meanwhile; nothing was written over it")
