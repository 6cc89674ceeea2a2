"""Name archive files: their suffixes, the names that bundles get, and those that say code."""

import re
from pathlib import PurePosixPath

BUNDLE_SUFFIX = ".tar.gz"
ARCHIVE_SUFFIXES = (BUNDLE_SUFFIX, ".tgz")
"""Of archives that are read; bundles are written with the first one."""
MIGRATED_SUFFIX = f".migrated{BUNDLE_SUFFIX}"

CODE_NAME = re.compile(r"(^|[-_.])code([-_.]|$)")


def strip_suffix(name: str) -> str:
    """Return an archive's name without `.tar.gz` or `.tgz`."""
    return next((name.removesuffix(suffix) for suffix in ARCHIVE_SUFFIXES if name.endswith(suffix)), name)


def name_migrated(name: str) -> str:
    """Return the file name of the bundle that is made from a legacy archive of this name."""
    return f"{strip_suffix(name)}{MIGRATED_SUFFIX}"


def is_code(path: str) -> bool:
    """Whether an archive's name says `code`, as a word of its own."""
    return CODE_NAME.search(PurePosixPath(path).name.casefold()) is not None


def is_archive(path: str) -> bool:
    """Whether a file of a repository is an archive, by its name."""
    return path.endswith(ARCHIVE_SUFFIXES)
