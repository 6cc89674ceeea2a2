"""Remove folders of our own, those too in which nothing may be written any more."""

import os
import shutil
from contextlib import suppress
from pathlib import Path


def remove_tree(folder: Path) -> None:
    """Remove a folder and all that is in it; what nobody here may remove stays.

    Only root removes a file from a folder that may not be written, so that each folder is made writable first.
    """
    make_writable(folder)
    for root, folders, _ in os.walk(folder):
        for name in folders:
            make_writable(Path(root, name))
    shutil.rmtree(folder, ignore_errors=True)


def make_writable(folder: Path) -> None:
    """Let the owner list and change a folder; a link's target stays as it is."""
    with suppress(OSError):
        if not folder.is_symlink():
            folder.chmod(0o700)
