"""Keep two commands from training into one output at the same time."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from hstu_preserve.errors import UsageError
from hstu_preserve.primitives.files import make_directory, refuse_unwritable
from hstu_preserve.primitives.voice import Voice


@contextmanager
def hold(output: Path, *, voice: Voice) -> Iterator[None]:
    """Make the folder `output` if it is missing, and keep other commands from training into it meanwhile.

    The folder itself is locked: unlike the files in it, nothing replaces it while a run is under way.

    Args:
        output: The run directory.
        voice: Warns if no lock can be had.

    Raises:
        UsageError: Another process trains into it, or it is a file.
        UnavailableError: It cannot be made or opened.
    """
    if output.exists() and not output.is_dir():
        raise UsageError(f"{output}: not a directory; name a new one with --output")
    with ExitStack() as stack:
        with refuse_unwritable(output):
            make_directory(output)
            folder = os.open(output, os.O_RDONLY | os.O_CLOEXEC)
        stack.callback(os.close, folder)
        if not is_locked(folder, output=output) and not is_locked_beside(output, stack=stack):
            voice.say(f"warning: {output}: cannot be locked, so nothing keeps another command from training into it")
        yield


def is_locked(descriptor: int, *, output: Path) -> bool:
    """Take the lock that ends with the descriptor; False if the file system has none for it.

    Raises:
        UsageError: Another process has it.
    """
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise UsageError(f"{output}: another process is training into it") from None
    except OSError:
        return False
    return True


def is_locked_beside(output: Path, *, stack: ExitStack) -> bool:
    """Lock a file beside `output` instead: NFS locks only what is open for writing, which no folder can be.

    The file stays: whoever removed it could remove the one that another command has just locked.

    Raises:
        UsageError: Another process has it.
    """
    folder = output.resolve()
    try:
        beside = os.open(folder.parent / f".{folder.name}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    except OSError:
        return False
    stack.callback(os.close, beside)
    return is_locked(beside, output=output)
