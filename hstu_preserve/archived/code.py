"""Take the code that a run needs, if its digest is the one that the user trusts; unpack it, and keep it as it is."""

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from hstu_preserve.archived.top_folder import find_top
from hstu_preserve.bundle.extraction import open_root, write_file
from hstu_preserve.errors import ContentError, MissingPathError, UnavailableError, UsageError
from hstu_preserve.legacy.walker import open_legacy
from hstu_preserve.primitives.digests import sha256_of_file
from hstu_preserve.primitives.files import CHUNK_BYTES, open_stream
from hstu_preserve.primitives.paths import is_companion, require_inside_bundle
from hstu_preserve.primitives.wording import list_some, printable
from hstu_preserve.records.contents import describe_findings

PASSED_OVER = frozenset({".git", "__pycache__"})
"""Folders that no run reads: history, and what Python compiled."""
MAX_FILES = 100_000
READABLE, ENTERABLE = 0o444, 0o555
DEFAULT_ENTRY = "main.py"


@dataclass(frozen=True, kw_only=True)
class Listed:
    """A file of the code.

    Attributes:
        path: Below the code's folder, `/` on every platform.
        sha256: Of its content.
    """

    path: str
    sha256: str


@dataclass(frozen=True, kw_only=True)
class Code:
    """Code as it was handed in: an archive or a folder.

    Attributes:
        place: Where it is.
        digest: Of the archive's bytes; of a folder, of its listing as `sha256sum` would print it, sorted by path.
        files: Its files, in the order of their paths.
    """

    place: Path
    digest: str
    files: tuple[Listed, ...]


def describe_code(place: Path) -> Code:
    """Return the digest and the files of an archive or folder of code; nothing of it is run.

    Raises:
        MissingPathError: There is nothing there.
        ContentError: An archive that cannot be read whole, or with a member that no reader takes.
        UsageError: A folder with links or other special files, or with too many.
        UnavailableError: It cannot be read.
    """
    if not os.path.lexists(place):
        raise MissingPathError(f"{place}: no such file or directory; name the code's archive or folder with --code")
    if place.is_dir():
        files = list_folder(place)
        return Code(place=place, digest=digest_listing(files), files=files)
    with open_legacy(place) as walker:
        for _ in walker.members():
            pass
    if walker.findings:
        raise ContentError(describe_findings(f"{place}: not an archive that can be read", walker.findings))
    assert walker.sha256 is not None  # it was read to its end
    files = tuple(sorted((Listed(path=file.path, sha256=file.sha256) for file in walker.files), key=by_path))
    return Code(place=place, digest=walker.sha256, files=files)


def by_path(file: Listed) -> str:
    """Return what files are sorted by."""
    return file.path


def list_folder(folder: Path) -> tuple[Listed, ...]:
    """Return every file below a folder.

    Raises:
        UsageError: Something is neither a file nor a folder, or has a name that is none on every system, or too many.
        UnavailableError: It cannot be read.
    """
    try:
        paths = sorted(walk_folder(folder))
        if len(paths) > MAX_FILES:
            raise UsageError(f"{folder}: more than {MAX_FILES} files; name the folder of the code alone with --code")
        return tuple(Listed(path=path, sha256=sha256_of_file(folder / path)) for path in paths)
    except OSError as error:
        raise UnavailableError(f"{folder}: cannot be read ({error.filename}: {error.strerror})") from None


def walk_folder(folder: Path) -> Iterator[str]:
    """Yield the paths of the files below a folder, `/` on every platform."""
    for root, folders, names in os.walk(folder, onerror=refuse):
        folders[:] = [name for name in folders if name not in PASSED_OVER]
        for name in [*folders, *names]:
            path = Path(root, name)
            spelled = path.relative_to(folder).as_posix()
            if path.is_symlink() or not (path.is_file() or path.is_dir()):
                raise UsageError(f"{path}: neither a file nor a folder; code that is run has no links")
            try:
                require_inside_bundle(spelled)
            except ValueError as error:
                raise UsageError(f"{folder}: {printable(str(error))}") from None
            if name in names and not is_companion(spelled):
                yield spelled


def refuse(error: OSError) -> None:
    """Raise what `os.walk` would pass over."""
    raise error


def digest_listing(files: tuple[Listed, ...]) -> str:
    """Return the sha256 of the lines that `sha256sum` prints of the files, sorted by path."""
    lines = "".join(f"{file.sha256}  {file.path}\n" for file in files)
    return hashlib.sha256(lines.encode()).hexdigest()


def find_entry(code: Code, entry: str | None) -> str:
    """Return the path of the file that a run starts, below the code's folder.

    Without a name, it is `main.py` at the top or in the one folder that all files lie in.

    Raises:
        UsageError: There is no such file, or it could be several.
    """
    paths = [file.path for file in code.files]
    top = find_top(paths)
    for wanted in [entry] if entry is not None else [DEFAULT_ENTRY]:
        for path in (wanted, f"{top}{wanted}"):
            if path in paths:
                return path
    scripts = [path for path in paths if path.endswith(".py") and path.removeprefix(top).count("/") == 0]
    offer = f"; at its top are {list_some(map(printable, scripts), at_most=6)}" if scripts else ""
    raise UsageError(f"{code.place}: no file {printable(entry or DEFAULT_ENTRY)}; name the script with --entry{offer}")


def require_trusted(code: Code, trusted: str | None, *, plan: str) -> None:
    """Require that the user trusts exactly this code.

    Args:
        code: The code.
        trusted: The digest that the user gave, None if he gave none.
        plan: What would be run, for the message.

    Raises:
        UsageError: Another digest, or none.
    """
    if trusted is None:
        raise UsageError(
            f"{code.place}: nothing was run; {plan}; read the code, then add --trust-code {code.digest} to run it"
        )
    if trusted.lower().removeprefix("sha256:") != code.digest:
        raise UsageError(
            f"--trust-code {printable(trusted)}: {code.place} is other code, sha256 {code.digest}; nothing was run"
        )


def unpack_code(code: Code, folder: Path) -> None:
    """Write the code to a new folder in which nothing can be written any more.

    Raises:
        ContentError: It is no longer the code that was described.
        UnavailableError: It cannot be read or written.
    """
    folder.mkdir()
    copy = copy_folder if code.place.is_dir() else extract_archive
    if copy(code, folder) != code.files or list_folder(folder) != code.files:
        raise ContentError(f"{code.place}: changed while it was worked on; nothing was run")
    for root, folders, names in os.walk(folder, topdown=False):
        for name in names:
            Path(root, name).chmod(READABLE)
        for name in folders:
            Path(root, name).chmod(ENTERABLE)
    folder.chmod(ENTERABLE)


def extract_archive(code: Code, folder: Path) -> tuple[Listed, ...]:
    """Write an archive's files below a folder; no reader but our own sees it."""
    with open_legacy(code.place) as walker, open_root(folder, label=folder) as root:
        for member in walker.members():
            write_file(root, path=member.path, chunks=member.chunks)
    return tuple(sorted((Listed(path=file.path, sha256=file.sha256) for file in walker.files), key=by_path))


def copy_folder(code: Code, folder: Path) -> tuple[Listed, ...]:
    """Copy a folder's files below another one."""
    with open_root(folder, label=folder) as root:
        for file in code.files:
            with open_stream(code.place / file.path) as stream:
                write_file(root, path=file.path, chunks=iter(lambda: stream.read(CHUNK_BYTES), b""))
    return code.files
