"""Find the entry that a list of digests has of one file."""

import json
import re
import unicodedata
from collections.abc import Callable, Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from hstu_preserve.digest_lists.digest_list import DigestList
from hstu_preserve.digest_lists.parsing import parse_list
from hstu_preserve.errors import ContentError
from hstu_preserve.primitives.archive_names import strip_suffix
from hstu_preserve.records.legacy.outcomes import ListedFile

ENCODINGS = ("utf-8", "utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be", "cp1252", "iso8859-15", "cp437", "cp850")
"""Of Unix, of PowerShell, and of Windows in western languages: its programs' and its console's."""


@dataclass(frozen=True, kw_only=True)
class FilePlace:
    """Where a file lies, as seen from a list of digests.

    Attributes:
        path: From the list's folder.
        others: The paths of other files there, as far as they are known: lines that name one of them are about it.
    """

    path: str
    others: Collection[str] = ()


@dataclass(frozen=True, kw_only=True)
class ReadList:
    """A list of digests that a repository holds.

    Attributes:
        name: Where it lies there.
        content: Its bytes.
        digests: Its entries; None if it cannot be read.
        problem: Why it cannot be read; None if it can.
    """

    name: str
    content: bytes
    digests: DigestList | None
    problem: str | None

    @property
    def notice(self) -> str | None:
        """Say that the list cannot be read, and that no wanted name was found in it; None if it can be read."""
        return self.problem and f"{self.problem}; passed over, since no name that was wanted was found in its bytes"

    def find(self, place: FilePlace) -> ListedFile | None:
        """Return what the list says of a file.

        Raises:
            ContentError: It contradicts itself on the file; or it names the file, and cannot be read.
        """
        if self.digests is not None:
            return None if place.path == self.name else find_listing(place, self.digests)
        # A list that may protect this file and cannot be read must not count as one that says nothing of it.
        if any(find_word(name, self.content) for name in spell(strip_suffix(PurePosixPath(place.path).name))):
            raise ContentError(f"{self.problem}; the list names {place.path}, and what it says of it is not known")
        return None


def spell(name: str) -> Iterator[bytes]:
    """Yield the bytes of a name in each encoding that lists are known to be written in."""
    for form in ("NFC", "NFD"):
        for encoding in ENCODINGS:
            with suppress(UnicodeEncodeError):
                yield unicodedata.normalize(form, name).encode(encoding)
    yield json.dumps(name)[1:-1].encode()


def find_word(name: bytes, content: bytes) -> bool:
    """Whether a name stands in a text, and is no part of a longer word."""
    return re.search(rb"(?<![\w-])%b(?![\w-])" % re.escape(name), content) is not None


def read_list(content: bytes, *, name: str) -> ReadList:
    """Return a list of digests; one that cannot be read says why."""
    try:
        digests = parse_list(content, source=name)
    except ContentError as error:
        return ReadList(name=name, content=content, digests=None, problem=str(error))
    return ReadList(name=name, content=content, digests=digests, problem=None)


def locate(path: Path, *, digest_list: Path) -> FilePlace:
    """Return where a file on this machine lies, as seen from a list; by its name alone outside the list's folder."""
    folder, file = digest_list.absolute().parent, path.absolute()
    if not file.is_relative_to(folder):
        return FilePlace(path=path.name)
    namesake = folder / path.name
    is_ambiguous = namesake != file and namesake.is_file()
    return FilePlace(path=file.relative_to(folder).as_posix(), others=[path.name] if is_ambiguous else [])


def find_listing(place: FilePlace, digests: DigestList) -> ListedFile | None:
    """Return what a list says of an archive, whose lines may leave its suffix out.

    A line is about the file at the path that it gives, seen from the list's folder. Only a line that is about no other
    file is read more loosely: a bare name means the one file of that name, and a path from elsewhere the file whose
    path it ends with.

    Raises:
        ContentError: Several lines are about the file and contradict each other.
    """
    taken = {*place.others, *map(strip_suffix, place.others)}
    free = [file for file in digests.files if not {file.name, strip_suffix(file.name)} & taken]
    for candidates, fits in (
        (digests.files, lambda name: name == place.path),
        (free, lambda name: strip_suffix(name) == strip_suffix(place.path)),
        (free, lambda name: is_loosely(name, place)),
    ):
        if same := choose_exact(filter_by_name(candidates, fits), place):
            return require_one(same, place)
    return None


def filter_by_name(files: Collection[ListedFile], fits: Callable[[str], bool]) -> list[ListedFile]:
    """Return the lines whose name fits."""
    return [file for file in files if fits(file.name)]


def choose_exact(files: list[ListedFile], place: FilePlace) -> list[ListedFile]:
    """Return the lines that give the file's suffix, too, or all where none does."""
    name = PurePosixPath(place.path).name
    return [file for file in files if PurePosixPath(file.name).name == name] or files


def is_loosely(line: str, place: FilePlace) -> bool:
    """Whether a line that names the file by no path from the list's folder can only mean it."""
    stem, path = strip_suffix(line), strip_suffix(place.path)
    if "/" not in line:
        return stem == PurePosixPath(path).name and not has_namesake(place)
    # Such a path is of the machine that wrote the list; only its end can be compared.
    is_from_elsewhere = line.startswith(("/", "~", ".."))
    return stem.endswith(f"/{path}") and (is_from_elsewhere or "/" in path)


def has_namesake(place: FilePlace) -> bool:
    """Whether another file has the same name in another folder."""
    name = PurePosixPath(place.path).name
    return any(PurePosixPath(other).name == name for other in place.others)


def require_one(same: list[ListedFile], place: FilePlace) -> ListedFile:
    """Return what the lines agree on.

    Raises:
        ContentError: They contradict each other.
    """
    if len({(file.md5, file.sha256) for file in same}) > 1:
        places = ", ".join(file.place for file in same)
        raise ContentError(f"{place.path}: the list gives it several digests ({places})")
    return same[0]
