"""Hold the entries of a list of digests, one for each file; refuse a list that contradicts itself."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from hstu_preserve.errors import ContentError
from hstu_preserve.primitives.text import NotUtf8Error, decode_utf8, find_other_encoding
from hstu_preserve.records.legacy.outcomes import ListedFile

# Time and memory grow with the size. Measured at 16 MiB on a busy machine, 300,000 `md5sum` lines took 21 s and
# 730 MiB, JSON 24 s and 820 MiB. A quarter of that is bearable for a stranger's list, with room for 75,000 files.
MAX_LIST_BYTES = 4 * 2**20
MAX_NAME_CHARACTERS = 4096


@dataclass(kw_only=True)
class DigestList:
    """Files that a list gives digests for, and the places where a digest stands that belongs to no name."""

    files: list[ListedFile] = field(default_factory=list)
    unattributed: list[str] = field(default_factory=list)


def decode(content: bytes, *, source: str) -> str:
    """Return the text of a list, in UTF-8 or in the encoding that its byte order mark names (PowerShell's is UTF-16).

    Raises:
        ContentError: It is too large, or no such text.
    """
    if len(content) > MAX_LIST_BYTES:
        raise ContentError(f"{source}: larger than {MAX_LIST_BYTES} bytes")
    marked = find_other_encoding(content)
    try:
        return content.decode(marked) if marked else decode_utf8(content)
    except NotUtf8Error as error:
        raise ContentError(f"{source}: {error} (line {error.line}); save it as UTF-8") from None
    except UnicodeDecodeError:
        raise ContentError(f"{source}: not {marked}, as its byte order mark says; save it as UTF-8") from None


def merge(files: Iterable[ListedFile], *, source: str) -> list[ListedFile]:
    """Return one entry per name, each with all that the list says of it.

    Raises:
        ContentError: Two entries of one name contradict each other.
    """
    merged: dict[str, ListedFile] = {}
    for file in files:
        before = merged.setdefault(file.name, file)
        for name, first, second in compare_fields(before, file):
            if first is not None and second is not None and first != second:
                raise ContentError(
                    f"{source}: {before.place} and {file.place} contradict each other on {file.name!r} "
                    f"({name} {first}, {second})"
                )
        merged[file.name] = ListedFile(
            name=file.name,
            md5=before.md5 or file.md5,
            sha256=before.sha256 or file.sha256,
            size=file.size if before.size is None else before.size,
            place=before.place,
        )
    return list(merged.values())


def compare_fields(one: ListedFile, other: ListedFile) -> Iterator[tuple[str, str | int | None, str | int | None]]:
    """Yield what both entries say, field by field."""
    yield "md5", one.md5, other.md5
    yield "sha256", one.sha256, other.sha256
    yield "size", one.size, other.size


LIST_NAME = "MANIFEST.md"
"""The published archive keeps its md5 digests in this file, beside the archives."""
