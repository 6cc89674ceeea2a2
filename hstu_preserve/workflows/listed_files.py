"""What a published list of digests says of one file."""

from pathlib import PurePosixPath

from hstu_preserve.bundle.layout import strip_suffix
from hstu_preserve.errors import ContentError
from hstu_preserve.records.legacy import ListedFile
from hstu_preserve.records.legacy_lists import DigestList


def find_listed(name: str, digests: DigestList) -> ListedFile | None:
    """Return what the list says of the archive, by file name, with or without its suffix.

    Raises:
        ContentError: Several entries name the file and contradict each other.
    """
    same = [file for file in digests.files if strip_suffix(PurePosixPath(file.name).name) == strip_suffix(name)]
    exact = [file for file in same if PurePosixPath(file.name).name == name] or same
    if len({(file.md5, file.sha256) for file in exact}) > 1:
        places = ", ".join(file.place for file in exact)
        raise ContentError(f"{name}: the list gives it several digests ({places})")
    return exact[0] if exact else None
