"""The suffixes of archive file names."""

ARCHIVE_SUFFIXES = (".tar.gz", ".tgz")


def strip_suffix(name: str) -> str:
    """Return an archive's name without `.tar.gz`."""
    return next((name.removesuffix(suffix) for suffix in ARCHIVE_SUFFIXES if name.endswith(suffix)), name)
