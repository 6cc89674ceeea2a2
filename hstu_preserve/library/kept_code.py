"""Find the code that was published with a bundle, here: beside the bundle, or fetched with it."""

from pathlib import Path

from hstu_preserve.errors import UsageError
from hstu_preserve.hub.cache import open_cache
from hstu_preserve.hub.repository import DEFAULT_REVISION
from hstu_preserve.library.kept import find_kept
from hstu_preserve.library.sources import Source
from hstu_preserve.primitives.archive_names import is_archive, is_code
from hstu_preserve.primitives.wording import list_some


def find_code(source: Source) -> Path | None:
    """Return the code archive of the repository that a bundle is of, None if it is not here.

    Raises:
        UsageError: It could be several.
        ContentError: It was modified since it was fetched.
    """
    beside = sorted(path for path in source.path.parent.iterdir() if is_archive(path.name) and is_code(path.name))
    found = beside or list_fetched(source)
    if len(found) > 1:
        names = list_some((str(path) for path in found), at_most=4)
        raise UsageError(f"{source.text}: several archives could be its code ({names}); name one with --code")
    return found[0] if found else None


def list_fetched(source: Source) -> list[Path]:
    """Return the code archives of the bundle's repository that `download --code` fetched."""
    if source.copy is None:
        return []
    repository = source.copy.receipt.repository
    snapshot = open_cache().read_snapshot(repository, revision=DEFAULT_REVISION)
    names = [] if snapshot is None else [file.path for file in snapshot.files if is_archive(file.path)]
    copies = [find_kept(repository, name, revision=None) for name in names if is_code(name)]
    return [copy.path for copy in copies if copy is not None]
