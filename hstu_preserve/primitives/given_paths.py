"""Paths as people give them: with `~` in quotes, as text from Python; needs nothing heavy, as every command does it."""

from pathlib import Path


def expand_home(text: str) -> str:
    """Return a path with the user's home for a leading `~`, as a shell would; a folder named `~` here stays itself."""
    path = Path(text)
    if not text.startswith("~") or Path(path.parts[0]).exists():
        return text
    try:
        return str(path.expanduser())
    except RuntimeError:  # no such user, or no home: the error is then about the path as it was typed
        return text


def as_path(path: str | Path | None) -> Path | None:
    """Return a path that a Python caller gives as text or as `Path`; None stays None."""
    return None if path is None else Path(path)
