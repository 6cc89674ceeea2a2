"""Take paths as Python callers give them, as text or as `Path`."""

from pathlib import Path


def as_path(path: str | Path | None) -> Path | None:
    """Return a path; None stays None."""
    return None if path is None else Path(path)
