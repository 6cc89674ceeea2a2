"""Name archive files: their suffixes, and the names that bundles get."""

BUNDLE_SUFFIX = ".tar.gz"
ARCHIVE_SUFFIXES = (BUNDLE_SUFFIX, ".tgz")
"""Of archives that are read; bundles are written with the first one."""
MIGRATED_SUFFIX = f".migrated{BUNDLE_SUFFIX}"


def strip_suffix(name: str) -> str:
    """Return an archive's name without `.tar.gz` or `.tgz`."""
    return next((name.removesuffix(suffix) for suffix in ARCHIVE_SUFFIXES if name.endswith(suffix)), name)


def name_migrated(name: str) -> str:
    """Return the file name of the bundle that is made from a legacy archive of this name."""
    return f"{strip_suffix(name)}{MIGRATED_SUFFIX}"
