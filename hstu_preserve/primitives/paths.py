"""Check paths inside a bundle: one canonical spelling, never outside."""

import unicodedata
from collections.abc import Iterable
from itertools import pairwise
from pathlib import PurePosixPath
from typing import Annotated

from pydantic import AfterValidator

MAX_COMPONENT_BYTES = 255
MAX_PATH_BYTES = 4096
MAX_DEPTH = 100
GIN_SUFFIX = ".gin"
COMPANION_PREFIX = "._"
COMPANION_FOLDER = "__MACOSX"
WINDOWS_DEVICE_NAMES = frozenset(
    {"con", "prn", "aux", "nul", *(f"{port}{n}" for port in ("com", "lpt") for n in range(1, 10))}
)


def require_inside_bundle(path: str) -> str:
    """Return `path` if it is relative, canonical, NFC and spells the same file on every platform.

    Raises:
        ValueError: The path leaves or blurs the bundle.
    """
    parts = PurePosixPath(path).parts
    if not parts or path != "/".join(parts) or path.startswith("/") or ".." in parts:
        raise ValueError(f"not a relative path inside the bundle: {path!r}")
    if unicodedata.normalize("NFC", path) != path:
        raise ValueError(f"not in Unicode normal form C: {path!r}")
    if any(unicodedata.category(character) in {"Cc", "Cf", "Cs", "Zl", "Zp"} for character in path):
        raise ValueError(f"control, format or line-breaking character in path: {path!r}")
    if len(path.encode()) > MAX_PATH_BYTES or any(len(part.encode()) > MAX_COMPONENT_BYTES for part in parts):
        raise ValueError(f"path too long: {path[:80]!r}…")
    if len(parts) > MAX_DEPTH:
        raise ValueError(f"path of more than {MAX_DEPTH} components: {path[:80]!r}…")
    for part in parts:
        require_portable_component(part)
    return path


def require_portable_component(part: str) -> None:
    """Raise ValueError for a name that Windows or a shell would read as something else."""
    if set(part) & set('\\:*?"<>|'):
        raise ValueError(f"character not portable in a file name: {part!r}")
    if part.startswith("~") or part.endswith((".", " ")):
        raise ValueError(f"file name not portable: {part!r}")
    if part.split(".", maxsplit=1)[0].casefold() in WINDOWS_DEVICE_NAMES:
        raise ValueError(f"file name reserved on Windows: {part!r}")


def is_companion(path: str) -> bool:
    """Whether macOS wrote the file beside another one, for the attributes that other systems have no place for.

    Its tools name it `._NAME` in archives and on disks without such attributes, and put it below `__MACOSX` in zips.
    """
    *folders, name = path.split("/")
    return name.startswith(COMPANION_PREFIX) or COMPANION_FOLDER in folders


def find_colliding(paths: Iterable[str]) -> list[tuple[str, str]]:
    """Return pairs that are one name on a case-insensitive file system: two files, two folders, a file and a folder."""
    # In the order of the folded components what collides stands side by side; a table of all folders, each spelled
    # from the root, would let a manifest of a megabyte take gigabytes.
    ordered = sorted(paths, key=lambda path: (fold(path).replace("/", "\0"), path))
    return [pair for before, after in pairwise(ordered) if (pair := find_collision(before, after))]


def find_collision(first: str, second: str) -> tuple[str, str] | None:
    """Return the names, nearest to the root, with which two paths collide."""
    first_parts, second_parts = first.split("/"), second.split("/")
    for depth, (one, other) in enumerate(zip(first_parts, second_parts, strict=False), start=1):
        if fold(one) != fold(other):
            return None
        if one != other or depth in {len(first_parts), len(second_parts)}:
            return "/".join(first_parts[:depth]), "/".join(second_parts[:depth])
    return None


def fold(path: str) -> str:
    """Return a key that is equal for two paths if some file system takes them for the same path."""
    return unicodedata.normalize("NFC", path).casefold()


BundlePath = Annotated[str, AfterValidator(require_inside_bundle)]
"""A file's path inside a bundle, relative to its root, `/` on every platform."""
