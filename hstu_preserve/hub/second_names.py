"""Give a fetched file a second name: by a link, or on another disk by a copy that is compared; whole or not at all."""

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from hstu_preserve.errors import UnavailableError
from hstu_preserve.hub.content_digests import hash_file, heed_nothing
from hstu_preserve.primitives.files import (
    CHUNK_BYTES,
    current_umask,
    flush_directory,
    flush_file,
    refuse_unwritable,
    set_mode,
)
from hstu_preserve.records.downloads import DigestKind

TEMPORARY_PREFIX, TEMPORARY_SUFFIX = ".fetched.", ".tmp"


def give(source: Path, destination: Path, *, sha256: str) -> None:
    """Give a file a name, even if another file has it.

    Raises:
        UnavailableError: The system refuses, or a copy differs from its original.
    """
    with refuse_unwritable(destination):
        destination.parent.mkdir(parents=True, exist_ok=True)
        with link_or_copy(source, folder=destination.parent, sha256=sha256) as temporary:
            temporary.replace(destination)


def give_new(source: Path, destination: Path, *, sha256: str, heed: Callable[[], None] = heed_nothing) -> bool:
    """Let a file have a name if nothing else has it, and return whether it does.

    Raises:
        UnavailableError: The system refuses, or a copy differs from its original.
    """
    with refuse_unwritable(destination):
        destination.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(source, destination)
        except FileExistsError:
            return False
        except OSError:  # another disk, or one that has no links
            with copy_compared(source, folder=destination.parent, sha256=sha256, heed=heed) as copy:
                return name_unless_taken(copy, destination)
        return True


def name_unless_taken(temporary: Path, destination: Path) -> bool:
    """Let a whole file have a name that nothing has, and return whether it does."""
    try:
        os.link(temporary, destination)
    except FileExistsError:
        return False
    except OSError:  # a disk that has no links: what takes the name in this moment is lost
        if os.path.lexists(destination):
            return False
        temporary.replace(destination)
    flush_directory(destination.parent)
    return True


@contextmanager
def link_or_copy(source: Path, *, folder: Path, sha256: str) -> Iterator[Path]:
    """Yield another name of a file in a folder, which is gone afterwards."""
    temporary = folder / f"{TEMPORARY_PREFIX}{os.urandom(8).hex()}{TEMPORARY_SUFFIX}"
    try:
        os.link(source, temporary)
    except OSError:
        with copy_compared(source, folder=folder, sha256=sha256) as copy:
            yield copy
        return
    try:
        yield temporary
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def copy_compared(
    source: Path, *, folder: Path, sha256: str, heed: Callable[[], None] = heed_nothing
) -> Iterator[Path]:
    """Yield a copy of a file in a folder, flushed, read again and compared; it is gone afterwards.

    Raises:
        UnavailableError: The copy is not what was copied.
    """
    handle, name = tempfile.mkstemp(prefix=TEMPORARY_PREFIX, suffix=TEMPORARY_SUFFIX, dir=folder)
    copy = Path(name)
    try:
        with os.fdopen(handle, "wb") as target, source.open("rb") as content:
            while chunk := content.read(CHUNK_BYTES):
                heed()
                target.write(chunk)
            target.flush()
            flush_file(target.fileno())
        found = hash_file(copy, kinds=(), heed=heed).digests()[DigestKind.SHA256]
        if found != sha256:
            raise UnavailableError(
                f"{folder}: the copy of {source} differs from what was fetched (sha256 {sha256}, copied {found}); "
                "a disk or the memory may be failing"
            )
        set_mode(copy, 0o666 & ~current_umask())
        yield copy
    finally:
        copy.unlink(missing_ok=True)
